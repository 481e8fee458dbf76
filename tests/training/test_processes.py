"""Trainings that `torchrun` starts as several processes: the same figures as of one, written and told once."""

import csv
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.lock import locked
from batchgender.training import checkpoint as checkpoints
from batchgender.training.networks.alexnet import AlexNet
from batchgender.training.processes import Processes, started_processes

CPU = torch.device("cpu")
# Nothing in it depends on the other photos of a batch, or on chance.
PLAIN = partial(AlexNet, dropout=0.0, width=32, filters=(8, 8, 8, 8, 8), first=(7, 2), places=1)
PROGRAM = """
from functools import partial
from batchgender.cli import main
from batchgender.training.networks import registry
from batchgender.training.networks.alexnet import AlexNet
registry.OURS["plain"] = partial(AlexNet, dropout=0.0, width=32, filters=(8, 8, 8, 8, 8), first=(7, 2), places=1)
main()
"""
RECIPE = """
architecture = "plain"
input_size = 64
epochs = 2
batch_size = 12
optimizer = "sgd"
lr = 0.3
keep = "last"
"""
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def test_processes_share_each_batch_and_leave_no_photo_out() -> None:
    order = [5, 3, 8, 1, 9, 0, 2, 7, 4, 6]
    shares = [Processes(CPU, number, 2).share(order, 4) for number in range(2)]
    assert shares == [[5, 8, 9, 2, 4], [3, 1, 0, 7, 6]]
    assert Processes(CPU).share(order, 4) == order
    assert Processes(CPU, 0, 2).batch_size(4) == 2
    with pytest.raises(UserError, match="give --batch-size 6"):
        Processes(CPU, 0, 3).batch_size(4)


def run(launcher: list[str], folder: Path, *given: object) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    line = [sys.executable, *launcher, str(program), "train", *map(str, given), "--device", "cpu"]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def history_of(out: Path) -> list[dict[str, str]]:
    with open(out / "history.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return sum(float((one[name] - other[name]).square().sum()) for name in one) ** 0.5


def test_two_processes_learn_what_one_learns_of_the_same_batches(portraits: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(RECIPE)
    ends = []
    for name, launcher in (("alone", []), ("both", TORCHRUN)):
        done = run(
            launcher, tmp_path, "--data", portraits, "--recipe", tmp_path / "plain.toml", "--out", tmp_path / name
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("test split, ") == 1 and done.stderr.count("epoch 2/2") == 1
        ends.append(checkpoints.load(tmp_path / name / "last.pt").weights)
    torch.manual_seed(0)
    begun = PLAIN(2).state_dict()
    # Of half a batch each, not averaged, the gradients would lead elsewhere; sums are rounded otherwise.
    assert distance(*ends) < 0.05 * distance(begun, ends[0])
    one, other = (history_of(tmp_path / name)[-1] for name in ("alone", "both"))
    for figure in ("loss", "val_loss"):
        assert float(one[figure]) == pytest.approx(float(other[figure]), rel=0.02)


def test_photos_that_can_t_be_read_hold_no_process_up_and_one_goes_on_with_what_two_began(
    portraits: Path, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(portraits, photos)
    for broken in sorted((photos / "train" / "male").glob("*.jpg"))[:7]:
        broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "plain.toml").write_text(RECIPE.replace("batch_size = 12", "batch_size = 4"))
    rows = [f"{path.relative_to(photos)},{int(path.stem) % 7}" for path in sorted(photos.rglob("*.jpg"))]
    (tmp_path / "numbers.csv").write_text("\n".join(["path,number", *rows]))
    given = ["--recipe", tmp_path / "plain.toml", "--also-learn", tmp_path / "numbers.csv"]
    done = run(TORCHRUN, tmp_path, "--data", photos, *given, "--out", out)
    assert done.returncode == 0, done.stderr
    both = history_of(out)
    done = run([], tmp_path, "--resume", "--epochs", 3, "--out", out)
    assert done.returncode == 0, done.stderr
    assert len(both) == 2 and history_of(out)[:2] == both and len(history_of(out)) == 3


def test_what_the_first_process_alone_meets_ends_all_in_a_line(portraits: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(RECIPE)
    line = ["--data", portraits, "--recipe", tmp_path / "plain.toml", "--out", tmp_path / "run"]
    with locked([tmp_path / "run" / "last.pt"], silent):
        done = run(TORCHRUN, tmp_path, *line)
    told = [each for each in done.stderr.splitlines() if each.startswith("Error: ")]
    assert done.returncode == 1 and len(told) == 2 and len(set(told)) == 1
    # No traceback of ours, whatever torchrun adds of its own.
    assert not re.search(r"\[rank\d\]|batchgender/.*line \d", done.stderr)


def test_a_cluster_s_variables_without_torchrun_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in ("2", "many"):
        monkeypatch.setenv("WORLD_SIZE", count)
        with started_processes("cpu") as processes:
            assert processes == Processes(CPU)
