"""`batchgender bench`: figures of this machine that add up."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import one_line_error

Cli = Callable[..., Any]
ROOT = Path(__file__).parent.parent


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds so short that they measure little; what is printed and written is tested."""
    monkeypatch.setattr("batchgender.bench._SECONDS", 0.02)


def test_bench_measures_each_provider_and_batch_and_writes_json(
    quick: None, cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    result = cli("bench", photos, "--model", red_or_blue, "--workers", 2, "--json", tmp_path / "b.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["machine"]["cores"] == 2 and found["photos"] == 80
    on_cpu = [one for one in found["models"] if "CPUExecutionProvider" in one["provider"]]
    assert [one["batch_size"] for one in on_cpu] == [1, 8, 32]
    for one in found["models"]:
        assert one["images_per_second"] > 0 and one["precision"] == "float32"
        if one["end_to_end"]:
            assert one["bound"] == pytest.approx(1 / (1 / found["decoded_per_second"] + 1 / one["images_per_second"]))
            assert f"{one['end_to_end']:,.0f}" in result.stdout
    assert [bool(one["end_to_end"]) for one in on_cpu] == [False, False, True]


def test_bench_generates_its_own_pictures_and_takes_the_default_model(quick: None, cli: Cli) -> None:
    result = cli("bench")
    assert result.exit_code == 0, result.output
    assert "256 generated pictures" in result.stdout and "default.onnx" in result.stdout and "int8" in result.stdout


def test_photos_that_give_nothing_are_one_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "empty.jpg").touch()
    assert "no photo that can be read" in one_line_error(cli("bench", tmp_path / "photos"))


@pytest.mark.skipif(not shutil.which("make") or not (ROOT / ".venv").is_dir(), reason="make or .venv is not here")
@pytest.mark.parametrize("target", ["bench", "bench-train"])
def test_the_benchmarks_of_the_makefile_start(target: str) -> None:
    dry = subprocess.run(["make", "-n", target, "PHOTOS=--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    line = next(line for line in dry.stdout.splitlines() if "benchmarks/" in line)
    started = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert started.returncode == 0 and "usage" in started.stdout, started.stderr
