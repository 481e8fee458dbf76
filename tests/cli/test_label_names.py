"""`--label-names`: folders in other words, in classify, evaluate and train."""

import shlex
import shutil
import time
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
    hint = "all photos lie in two folders, hombre/ and mujer/"
    assert hint in without.stderr and "accuracy" not in without.stdout
    assert hint not in cli(*line, "--no-labels").stderr
    named = cli(*line, *NAMES)
    assert hint not in named.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    assert (table.label == table.path.str.split("/").str[0].map({"mujer": "Female", "hombre": "Male"})).all()
    assert (table.prediction == table.label).sum() == 76


@pytest.mark.parametrize("layout", ["{name}/{at}", "{name}/album {at}", "set {at}/{name}"])
def test_the_hint_names_the_options_to_write_whatever_lies_around_the_folders(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, layout: str
) -> None:
    names = {"female": "las mujeres", "male": "los hombres"}
    for at, file in enumerate(sorted(each for each in photos.rglob("*") if each.is_file())):
        target = tmp_path / "sorted" / layout.format(name=names[file.parent.name], at=at % 3) / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    line = ("classify", tmp_path / "sorted", "--model", red_or_blue, "--out", tmp_path / "r.csv", "--overwrite")
    said = cli(*line).stderr
    options = shlex.split(said[said.index("if these are, ") : said.index(", or the other way round")])[3:]
    assert len(options) == 4
    labels = pd.read_csv(tmp_path / "r.csv").label
    assert labels.isna().all()
    cli(*line, *options)
    table = pd.read_csv(tmp_path / "r.csv")
    assert (table.label == table.path.str.contains("mujeres").map({True: "Female", False: "Male"})).all()


def test_more_folders_than_classes_get_no_hint(cli: Cli, red_or_blue: Path, spanish: Path, tmp_path: Path) -> None:
    (spanish / "otros").mkdir()
    shutil.copy(next((spanish / "mujer").iterdir()), spanish / "otros")
    line = ("classify", spanish, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert "all photos lie" not in cli(*line).stderr


def test_names_that_fit_no_folder_are_said(cli: Cli, red_or_blue: Path, spanish: Path, tmp_path: Path) -> None:
    line = ("classify", spanish, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    said = cli(*line, "--label-names", "female=mujeres").stderr
    assert "no photo carries a label" in said and "--label-names female=hombre" in said


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
    killed = command(*line, *NAMES, "--overwrite")
    while not (tmp_path / "r.csv.part").exists() and killed.poll() is None:
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert (tmp_path / "r.csv.part.json").exists()
    (tmp_path / "r.csv").unlink()
    (tmp_path / "r.csv.part").write_bytes(b"".join(whole.splitlines(keepends=True)[:11]))
    assert "begun with another label_names" in one_line_error(cli(*line, "--resume"))
    assert "begun with another label_names" in one_line_error(cli(*line, *NAMES[:2], "--resume"))
    assert cli(*line, *NAMES[2:], *NAMES[:2], "--resume").exit_code == 0 and (tmp_path / "r.csv").read_bytes() == whole


@pytest.mark.parametrize("names", [["female"], ["female="], ["female=a", "male=A"], ["=a"], ["/"]])
@pytest.mark.parametrize("command_name", ["classify", "evaluate", "train"])
def test_wrong_names_are_wrong_usage(cli: Cli, tmp_path: Path, command_name: str, names: list[str]) -> None:
    places: dict[str, list[Any]] = {
        "classify": [tmp_path, "--out", tmp_path / "r.csv"],
        "evaluate": ["packaged"],
        "train": [],
    }
    options = [part for name in names for part in ("--label-names", name)]
    result = cli(command_name, *places[command_name], *options)
    assert result.exit_code == 2 and "Error: --label-names: " in result.stderr.splitlines()[-1]


def test_names_of_a_class_that_the_model_has_not_are_refused_before_the_run(
    cli: Cli, red_or_blue: Path, spanish: Path, tmp_path: Path
) -> None:
    line = ("classify", spanish, "--model", red_or_blue, "--out", tmp_path / "r.csv", "--label-names", "femalle=mujer")
    assert "the model has no class femalle" in one_line_error(cli(*line))
    assert not list(tmp_path.glob("r.csv*"))


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
    again = ("--label-names", "male=HOMBRE", "--label-names", "Female= mujer")
    assert cli(*line, "--resume", "--epochs", 3, *again).exit_code == 0
    assert "another --label-names" in one_line_error(cli(*line, "--resume", "--label-names", "female=hombre"))
    assert cli("calibrate", out / "best.pt").exit_code == 0
    assert cli("evaluate", out / "best.pt", "--data", data, *NAMES).exit_code == 0
    message = one_line_error(cli("evaluate", out / "best.pt", "--data", data))
    assert "classes that the model does not know: hombre, mujer" in message and "--label-names" in message
