"""What README and exports/README say can be done."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from batchgender.cli import main

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EMBEDDING = (ROOT / "exports" / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for line in README.splitlines() if re.match(r"(\$ )?batchgender \w", line)]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_readme_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
    main.commands[name].make_context(name, arguments)


def test_the_readme_has_commands_to_check() -> None:
    assert {shlex.split(line.removeprefix("$ "))[1] for line in COMMANDS} == set(main.commands)


def test_every_make_target_in_the_readme_is_in_the_help() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z-]+)", README)) | set(re.findall(r"^make ([a-z-]+)", README, re.M)) <= targets


def test_the_library_example_runs(
    red_or_blue: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "batchgender.onnx").write_bytes(red_or_blue.read_bytes())
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(example, {})
    assert len(capsys.readouterr().out.splitlines()) == 80


def test_the_embedding_examples_run(
    trained: Path, portraits: Path, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats = ("--format", "onnx", "--format", "torchscript", "--format", "pt2")
    monkeypatch.chdir(tmp_path)
    assert cli("export", trained / "best.pt", *formats).exit_code == 0
    photo = portraits / "test" / "female" / "0000.jpg"
    cv2.imwrite("photo.jpg", cv2.imread(str(photo)))
    examples = re.findall(r"```python\n(.*?)```", EMBEDDING, re.S)
    assert len(examples) == 2
    for example in examples:
        names: dict[str, Any] = {}
        exec(example, names)
        assert abs(float(names["probabilities"].sum()) - 1) < 1e-5


def test_the_csv_columns_of_the_readme_are_those_written(
    cli: Callable[..., Any], red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    header = (tmp_path / "r.csv").read_text().splitlines()[0]
    assert header in README
    assert set(json.loads((tmp_path / "r.report.json").read_text())["classes"]) == {"Female", "Male"}
