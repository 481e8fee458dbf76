"""Files that can run code are opened where the user trusts them, and nowhere else."""

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import one_line_error

from batchgender.model.metadata import EXTRA_FILE, ModelInfo

Cli = Callable[..., Any]
INFO = ModelInfo(["Female", "Male"], 32, [0.5] * 3, [0.25] * 3)


class _LeavesAMark(torch.nn.Module):
    """Makes a file when it is loaded."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark, self.training, self.kept = mark, False, torch.zeros(1)

    @torch.jit.export
    def __getstate__(self):  # type: ignore[no-untyped-def]
        return self.mark, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):  # type: ignore[no-untyped-def]
        self.mark = state[0]
        self.training = state[1]
        self.kept = torch.from_file(self.mark, True, 4, dtype=torch.uint8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class _MakesAFolder:
    """Runs a command of the system's when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


def prepared_torchscript(file: Path, mark: Path) -> None:
    """Write a TorchScript file with our metadata that makes `mark` when it is loaded."""
    torch.jit.save(torch.jit.script(_LeavesAMark(str(mark))), file, _extra_files={EXTRA_FILE: INFO.to_json()})
    mark.unlink(missing_ok=True)


def prepared_torch_export(file: Path, mark: Path) -> None:
    """Write a torch.export file with our metadata that makes `mark` when it is loaded."""
    program = torch.export.export(torch.nn.Identity(), (torch.zeros(1),))
    torch.export.save(program, file, extra_files={EXTRA_FILE: INFO.to_json()})
    pickled = io.BytesIO()
    torch.save({"example": _MakesAFolder(str(mark))}, pickled)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (example,) = (name for name in parts if "sample_inputs" in name)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, pickled.getvalue() if name == example else data)


PREPARED = {"a.pt": prepared_torchscript, "a.pt2": prepared_torch_export}


@pytest.mark.parametrize("name", PREPARED)
def test_a_prepared_file_runs_nothing_unasked(cli: Cli, portraits: Path, tmp_path: Path, name: str) -> None:
    file, mark = tmp_path / name, tmp_path / "mark"
    PREPARED[name](file, mark)
    message = one_line_error(cli("evaluate", file, "--data", portraits))
    assert f"{file}: a " in message and "can run any code on this machine" in message and "--trust" in message
    assert "ONNX file or the checkpoint" in message
    assert cli("inspect", file, "--json").exit_code == 0
    for line in (
        ("calibrate", file, "--data", portraits),
        ("export", file, "--format", "onnx", "--out", tmp_path / "x"),
        ("train", "--data", portraits, "--weights", file, "--epochs", "1", "--out", tmp_path / "a"),
        ("train", "--data", portraits, "--teacher", file, "--epochs", "1", "--out", tmp_path / "b"),
        ("classify", portraits, "--model", file, "--out", tmp_path / "r.csv"),
    ):
        one_line_error(cli(*line))
    # Under another name it is still what it is.
    file.rename(tmp_path / "a.pth")
    one_line_error(cli("evaluate", tmp_path / "a.pth", "--data", portraits))
    assert not mark.exists()


@pytest.mark.parametrize("name", PREPARED)
def test_the_prepared_files_do_run_where_they_are_trusted(tmp_path: Path, name: str) -> None:
    """Or the test above would show nothing."""
    file, mark = tmp_path / name, tmp_path / "mark"
    PREPARED[name](file, mark)
    code = "import sys; from batchgender.export.load_any_model import load_any_model as load"
    # A process of its own: torch logs what it does with such a file, and trips over its own words.
    done = subprocess.run([sys.executable, "-c", f"{code}; load(sys.argv[1], trust=True)", file], capture_output=True)
    assert mark.exists(), done.stderr


def test_a_trusted_file_is_evaluated_as_the_onnx_file_is(cli: Cli, embeddable: Path, portraits: Path) -> None:
    expected = cli("evaluate", embeddable / "batchgender.onnx", "--data", portraits)
    assert expected.exit_code == 0 and "accuracy" in expected.stdout
    for name in ("batchgender.pt", "batchgender.pt2"):
        assert cli("evaluate", embeddable / name, "--data", portraits, "--trust").stdout == expected.stdout


@pytest.mark.parametrize("name", ["none.pt2", "text.pt2"])
def test_what_is_no_such_file_is_said_to_be_none(cli: Cli, portraits: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "text.pt2").write_text("no archive")
    message = one_line_error(cli("evaluate", tmp_path / name, "--data", portraits))
    assert "no such model file" in message or "damaged, or not from batchgender" in message


def test_what_is_told_of_a_foreign_file_is_for_onnx_alone(cli: Cli, trained: Path, portraits: Path) -> None:
    line = ("evaluate", trained / "best.pt", "--data", portraits, "--channels", "bgr", "--output", "y")
    assert "no ONNX file; leave --output, --channels out" in one_line_error(cli(*line))
