"""Trainings that `torchrun` starts as several processes: the same figures as of one, written and told once."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from batchgender.errors import UserError
from batchgender.training.processes import Processes

CPU = torch.device("cpu")
RECIPE = """
base = "strong"
architecture = "alexnet_narrow"
input_size = 64
start_size = 0
epochs = 3
batch_size = 8
warmup_epochs = 0.5
ema = 0.5
patience = 0
"""


def test_processes_share_each_batch_and_leave_no_photo_out() -> None:
    order = [5, 3, 8, 1, 9, 0, 2, 7, 4, 6]
    shares = [Processes(CPU, number, 2).share(order, 4) for number in range(2)]
    assert shares == [[5, 8, 9, 2, 4], [3, 1, 0, 7, 6]]
    assert Processes(CPU).share(order, 4) == order
    assert Processes(CPU, 0, 2).batch_size(4) == 2
    with pytest.raises(UserError, match="give --batch-size 6"):
        Processes(CPU, 0, 3).batch_size(4)


def train(launcher: list[str], photos: Path, given: list[str], out: Path) -> tuple[list[dict[str, str]], str]:
    line = [sys.executable, *launcher, "-m", "batchgender", "train", "--data", str(photos), "--out", str(out), *given]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    with open(out / "history.csv", newline="") as stream:
        return list(csv.DictReader(stream)), done.stdout


def test_two_processes_end_with_the_figures_of_one_and_report_once(portraits: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(portraits, photos)
    # One process has fewer photos than the other where some can't be read.
    for broken in sorted((photos / "train" / "male").glob("*.jpg"))[:5]:
        broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "small.toml").write_text(RECIPE)
    rows = [f"{path.relative_to(photos)},{int(path.stem) % 7}" for path in sorted(photos.rglob("*.jpg"))]
    (tmp_path / "numbers.csv").write_text("\n".join(["path,number", *rows]))
    given = ["--recipe", str(tmp_path / "small.toml"), "--also-learn", str(tmp_path / "numbers.csv"), "--device", "cpu"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    alone, _ = train([], photos, given, tmp_path / "alone")
    both, told = train(torchrun, photos, given, tmp_path / "both")
    assert len(both) == len(alone) == 3
    assert told.count("test split, ") == 1
    for one, other in zip(alone, both, strict=True):
        # Each process normalises over its half of a batch.
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), rel=0.25)
        assert float(one["val_loss"]) == pytest.approx(float(other["val_loss"]), rel=0.5)
    for name in ("best.pt", "last.pt", "history.png"):
        assert (tmp_path / "both" / name).stat().st_size
    again, _ = train(torchrun, photos, ["--resume", "--epochs", "4"], tmp_path / "both")
    assert again[:3] == both and len(again) == 4
