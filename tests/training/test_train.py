"""`batchgender train` on a small real set: what it writes, and that a stopped run loses nothing."""

import json
import math
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import one_line_error
from PIL import Image

from batchgender.io import percent, silent
from batchgender.lock import locked
from batchgender.training import checkpoint as checkpoints
from batchgender.training.recipe import find_recipe
from batchgender.training.run_folders import newest
from batchgender.training.run_plan import RunPlan, new_run
from batchgender.training.train import train

Cli = Callable[..., Any]


def weights(file: Path) -> dict[str, torch.Tensor]:
    return checkpoints.load(file).weights


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe whose network, with dropout, is soon trained and saved."""
    file = tmp_path_factory.mktemp("recipe") / "small.toml"
    file.write_text('architecture = "alexnet_narrow"\ninput_size = 96\nepochs = 2\nbatch_size = 8\n')
    return file


@pytest.fixture(scope="module")
def whole(small: Path, portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(RunPlan(find_recipe(str(small)), str(portraits), out), "cpu", silent)
    return out


def test_a_run_logs_each_epoch_and_reports_the_test_split(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = cli("train", "--data", portraits, "--epochs", 1, "--out", out)
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("epoch 1/1")]
    for part in ("loss", "validation loss", "validation accuracy", "images/s", " s "):
        assert part in line
    assert "12 labelled photos" in result.stdout and "Female" in result.stdout and "accuracy" in result.stdout
    assert "not a person's identity" in result.stdout
    history = pd.read_csv(out / "history.csv")
    assert list(history.epoch) == [1] and 0 < history.loss[0] < 2 and 0 <= history.val_accuracy[0] <= 1
    with Image.open(out / "history.png") as image:
        assert image.size[0] > 600
    metrics = checkpoints.load(out / "best.pt").metrics
    assert metrics and f"{percent(metrics.accuracy)}" in result.stdout


def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(
    cli: Cli, small: Path, whole: Path, portraits: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    cli("train", "--data", portraits, "--recipe", small, "--epochs", 1, "--out", out, "--device", "cpu")
    assert not same(weights(out / "last.pt"), weights(whole / "last.pt"))
    result = cli("train", "--resume", "--epochs", 2, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert same(weights(out / "last.pt"), weights(whole / "last.pt"))
    assert same(weights(out / "best.pt"), weights(whole / "best.pt"))
    columns = ["epoch", "loss", "val_loss", "val_accuracy"]
    assert pd.read_csv(out / "history.csv")[columns].equals(pd.read_csv(whole / "history.csv")[columns])


def test_a_killed_run_goes_on_from_its_last_epoch(
    command: Callable[..., Any], cli: Cli, small: Path, whole: Path, portraits: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = command("train", "--data", portraits, "--recipe", small, "--out", out, "--device", "cpu")
    while not (out / "history.csv").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoints.load(out / "last.pt").run.epoch == 1
    assert cli("train", "--resume", "--out", out, "--device", "cpu").exit_code == 0
    assert same(weights(out / "last.pt"), weights(whole / "last.pt"))


def test_a_run_that_is_there_is_not_overwritten(cli: Cli, trained: Path, portraits: Path) -> None:
    before = (trained / "last.pt").stat().st_mtime_ns
    message = one_line_error(cli("train", "--data", portraits, "--out", trained))
    assert "go on with --resume or choose another --out" in message
    assert (trained / "last.pt").stat().st_mtime_ns == before


def test_resuming_with_another_learning_rate_or_other_photos_is_refused(
    cli: Cli, trained: Path, portraits: Path, tmp_path: Path
) -> None:
    message = one_line_error(cli("train", "--resume", "--lr", "0.5", "--out", trained))
    assert "was begun with another --lr" in message
    shutil.copytree(portraits, tmp_path / "less")
    (tmp_path / "less" / "train" / "male" / "0000.jpg").unlink()
    message = one_line_error(cli("train", "--resume", "--data", tmp_path / "less", "--out", trained, "--epochs", 2))
    assert "the training photos have changed" in message


def test_a_loss_that_is_no_number_stops_and_keeps_the_epoch_before(
    cli: Cli, trained: Path, portraits: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    state = checkpoints.load(out / "last.pt")
    state.weights["classifier.6.bias"][0] = math.nan
    checkpoints.save(state, out / "last.pt")
    message = one_line_error(cli("train", "--resume", "--epochs", 2, "--out", out, "--data", portraits))
    assert "the loss is no number any more at epoch 2, step 3, image 32" in message and "try a smaller --lr" in message
    assert checkpoints.load(out / "last.pt").run.epoch == 1


def test_a_full_disk_while_saving_keeps_the_checkpoint_before(
    command: Callable[..., Any], trained: Path, portraits: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    before = weights(out / "last.pt")

    room = (out / "last.pt").stat().st_size // 3

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    line = ("train", "--resume", "--epochs", 2, "--out", out, "--data", portraits, "--device", "cpu")
    process = command(*line, preexec_fn=limit)
    errors = process.communicate()[1].splitlines()
    assert process.returncode == 1 and not any("Traceback" in line for line in errors)
    assert "can't write the checkpoint (File too large); the one of the epoch before is kept" in errors[-1]
    assert same(weights(out / "last.pt"), before)
    assert not list(out.glob("*.part"))


def test_a_checkpoint_is_weights_and_plain_data_alone(trained: Path) -> None:
    data = torch.load(trained / "best.pt", weights_only=True)
    assert data["classes"] == ["Female", "Male"] and data["epoch"] == 1
    json.dumps({key: value for key, value in data.items() if key not in ("weights", "optimizer")})


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_checkpoint_cut_short_is_refused(cli: Cli, trained: Path, tmp_path: Path, share: float) -> None:
    data = (trained / "best.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: int(len(data) * share)])
    message = one_line_error(cli("export", tmp_path / "cut.pt", "--format", "onnx", "--out", tmp_path))
    assert "damaged, cut short, or no checkpoint of batchgender" in message


def test_a_checkpoint_that_would_run_code_is_refused(cli: Cli, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"schema": 1, "weights": Trap()}, tmp_path / "trap.pt")
    one_line_error(cli("evaluate", tmp_path / "trap.pt", "--data", tmp_path))
    assert not (tmp_path / "sprung").exists()


def test_runs_are_numbered_and_the_newest_is_taken(
    cli: Cli, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "train first" in one_line_error(cli("export", "--format", "onnx"))
    assert "nothing to resume" in one_line_error(cli("train", "--resume"))
    assert str(new_run({}, None, None).out) == "runs/alexnet-seed"
    shutil.copytree(trained, tmp_path / "runs" / "alexnet-seed")
    assert str(new_run({}, None, None).out) == "runs/alexnet-seed-2"
    assert str(newest(Path("runs"), "best.pt", "")) == "runs/alexnet-seed/best.pt"


def test_a_device_that_is_not_there_is_named(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    message = one_line_error(cli("train", "--data", portraits, "--device", "cuda", "--out", tmp_path / "run"))
    assert "no cuda device here; use --device auto" in message


def test_a_second_run_in_a_folder_is_refused_while_the_first_runs(
    cli: Cli, whole: Path, portraits: Path, tmp_path: Path
) -> None:
    new, begun = tmp_path / "new", shutil.copytree(whole, tmp_path / "begun")
    before = sorted((file.name, file.read_bytes()) for file in begun.iterdir())
    for out, options in ((new, ("--data", portraits)), (begun, ("--resume", "--epochs", 9))):
        with locked([out / "last.pt"], silent):
            assert "last.pt: another run" in one_line_error(cli("train", *options, "--out", out))
    assert not new.exists() and sorted((file.name, file.read_bytes()) for file in begun.iterdir()) == before
