"""What a training refuses before its first epoch, since it would fail at its end."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import one_line_error

Cli = Callable[..., Any]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text('architecture = "shufflenet_v2_x0_5"\ninput_size = 64\nbatch_size = 8\nepochs = 1\n')
    return file


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("no right to mount a file system here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_split_that_can_not_be_read_is_refused_before_the_first_epoch(
    cli: Cli, portraits: Path, recipe: Path, tmp_path: Path, split: str, resume: bool
) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(portraits, data)
    line = ("train", "--data", data, "--out", out, "--device", "cpu")
    options: tuple[Any, ...] = ("--recipe", recipe)
    if resume:
        assert cli(*line, *options).exit_code == 0
        options = ("--resume", "--epochs", 2)
    before = sorted(out.glob("*")) if resume else []
    for file in (data / split).rglob("*.jpg"):
        file.write_bytes(file.read_bytes()[:200])
    result = cli(*line, *options)
    assert f"photos of its {split} split can be read" in one_line_error(result)
    assert "epoch 1" not in result.stderr and "epoch 2" not in result.stderr and sorted(out.glob("*")) == before


def test_a_disk_without_room_for_the_checkpoints_is_refused_before_the_first_epoch(
    cli: Cli, portraits: Path, recipe: Path, small_disk: Path
) -> None:
    result = cli("train", "--data", portraits, "--out", small_disk / "run", "--recipe", recipe, "--device", "cpu")
    assert "the checkpoints need" in one_line_error(result) and "MB are free on its disk" in result.stderr
    assert "epoch 1" not in result.stderr and not os.listdir(small_disk)
