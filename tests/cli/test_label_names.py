"""`--label-names`: folders in other words, in classify, evaluate and train."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import one_line_error

Cli = Callable[..., Any]
NAMES = ("--label-names", "female=mujer", "--label-names", "male=hombre")


@pytest.fixture
def spanish(photos: Path) -> Path:
    """80 photos in mujer/ and hombre/, four of them labelled wrong."""
    (photos / "female").rename(photos / "mujer")
    (photos / "male").rename(photos / "hombre")
    return photos


def test_folders_that_look_like_labels_get_a_hint_and_with_names_a_report(
    cli: Cli, red_or_blue: Path, spanish: Path, tmp_path: Path
) -> None:
    line = ("classify", spanish, "--model", red_or_blue, "--out", tmp_path / "r.csv", "--overwrite")
    without = cli(*line)
    assert "the folders hombre/ and mujer/ look like labels" in without.stderr and "accuracy" not in without.stdout
    assert "look like labels" not in cli(*line, "--no-labels").stderr
    named = cli(*line, *NAMES)
    assert "look like labels" not in named.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    assert (table.label == table.path.str.split("/").str[0].map({"mujer": "Female", "hombre": "Male"})).all()
    assert (table.prediction == table.label).sum() == 76


def test_swapped_names_are_noticed(cli: Cli, red_or_blue: Path, spanish: Path, tmp_path: Path) -> None:
    swapped = ("--label-names", "female=hombre", "--label-names", "male=mujer")
    lines = (
        ("classify", spanish, "--model", red_or_blue, "--out", tmp_path / "r.csv"),
        ("evaluate", red_or_blue, "--data", spanish, "--split", "all"),
    )
    for line in lines:
        assert "right on 5.0 % of 80 labelled photos, far below one half" in cli(*line, *swapped).stderr
        assert "far below one half" not in cli(*line, *NAMES, *(("--overwrite",) * (line[0] == "classify"))).stderr


def test_a_run_is_resumed_with_the_same_names_alone(
    cli: Cli, command: Callable[..., Any], red_or_blue: Path, spanish: Path, tmp_path: Path
) -> None:
    line = ("classify", spanish, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert cli(*line, *NAMES).exit_code == 0
    whole = (tmp_path / "r.csv").read_bytes()
    # As a run leaves it that is killed after ten rows.
    settings = command(*line, *NAMES, "--overwrite")
    while not (tmp_path / "r.csv.part.json").exists() and settings.poll() is None:
        pass
    settings.kill()
    settings.wait()
    (tmp_path / "r.csv").unlink(missing_ok=True)
    (tmp_path / "r.csv.part").write_bytes(b"".join(whole.splitlines(keepends=True)[:11]))
    assert "begun with another label_names" in one_line_error(cli(*line, "--resume"))
    assert cli(*line, *NAMES, "--resume").exit_code == 0 and (tmp_path / "r.csv").read_bytes() == whole


def test_wrong_names_are_wrong_usage(cli: Cli, spanish: Path, tmp_path: Path) -> None:
    result = cli("classify", spanish, "--out", tmp_path / "r.csv", "--label-names", "female")
    assert result.exit_code == 2 and "neither CLASS=NAME,NAME nor a file" in result.stderr


def test_a_training_keeps_the_names_for_what_opens_its_data_again(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    for split in ("train", "test"):
        shutil.copytree(portraits / split / "female", data / split / "mujer")
        shutil.copytree(portraits / split / "male", data / split / "hombre")
    recipe = tmp_path / "small.toml"
    recipe.write_text('architecture = "shufflenet_v2_x0_5"\ninput_size = 64\nbatch_size = 8\nepochs = 1\n')
    line = ("train", "--data", data, "--out", out, "--device", "cpu")
    assert cli(*line, "--recipe", recipe, *NAMES).exit_code == 0
    assert cli(*line, "--resume", "--epochs", 2).exit_code == 0
    assert "another --label-names" in one_line_error(cli(*line, "--resume", "--label-names", "female=hombre"))
    assert cli("calibrate", out / "best.pt").exit_code == 0
    assert cli("evaluate", out / "best.pt", "--data", data, *NAMES).exit_code == 0
    message = one_line_error(cli("evaluate", out / "best.pt", "--data", data))
    assert "classes that the model does not know: hombre, mujer" in message and "--label-names" in message
