"""`batchgender evaluate` of an ONNX file on folders of photos: what the base install can do."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Evaluate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Evaluate in a process where nothing of the extra `train` can be imported."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'datasets', 'matplotlib', 'onnxscript'):\n"
        "    sys.modules[name] = None\n"
        "from batchgender.cli import main\n"
        "main()"
    )

    def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", code, "evaluate", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)

    return run


def test_the_packaged_model_is_evaluated_on_folders_without_torch(
    evaluate: Evaluate, cli: Callable[..., Any], portraits: Path
) -> None:
    done = evaluate("packaged", "--data", portraits)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("12 labelled photos")
    assert done.stdout == cli("evaluate", "packaged", "--data", portraits).stdout


def test_what_needs_more_names_the_extra_and_a_name_that_is_no_folder_is_said_to_be_none(
    evaluate: Evaluate, portraits: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos.parquet").write_bytes(b"PAR1")
    for data, reason in (("photos.parquet", "this kind of data needs"), ("fotos", "fotos: no such folder here, and")):
        done = evaluate("packaged", "--data", data)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and line.startswith("Error: ") and reason in line and "batchgender[train]" in line
