"""A missing extra is named at once, without a look at any file."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import one_line_error

from batchgender.errors import UserError
from batchgender.extras import require_extra

Cli = Callable[..., Any]


def test_an_extra_that_is_there_is_no_error() -> None:
    require_extra("train", "this test")


def test_a_missing_one_is_named_with_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("batchgender.extras.find_spec", lambda name: None if name == "datasets" else find(name))
    with pytest.raises(UserError, match=r"this test needs the extra batchgender\[train\] \(datasets not installed\)"):
        require_extra("train", "this test")


@pytest.mark.parametrize(
    "line",
    [
        ["train", "--data", "nowhere"],
        ["tune", "--data", "nowhere"],
        ["calibrate", "none.pt"],
        ["export", "none.pt", "--format", "onnx"],
        ["evaluate", "none.pt", "--data", "nowhere"],
    ],
)
def test_commands_ask_for_it_before_they_open_anything(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("batchgender.extras.find_spec", lambda name: None)
    assert "batchgender[train]" in one_line_error(cli(*line))
