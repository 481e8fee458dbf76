"""`--labels`: labels of a file in the place of folders' names, in classify, evaluate and train."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import one_line_error

Cli = Callable[..., Any]
# The fixture's photos that lie in the wrong folder.
WRONG = {"female/00.jpg": "male", "female/01.jpg": "male", "male/00.png": "female", "male/01.png": "drop"}


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """A sheet in which the four photos of the wrong folders are mended, one of them by leaving it out."""
    lines = [f"{path},{path.split('/')[0]},{label}" for path, label in WRONG.items()]
    (tmp_path / "sheet.csv").write_text("\n".join(["path,label,new_label", *lines]))
    return tmp_path / "sheet.csv"


def test_classify_takes_them_and_moves_no_photo(
    cli: Cli, red_or_blue: Path, photos: Path, sheet: Path, tmp_path: Path
) -> None:
    before = sorted(photos.rglob("*"))
    line = ("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv", "--labels", sheet)
    done = cli(*line)
    assert done.exit_code == 0 and "states the labels of 4 of 80 photos, of which 1 have none" in done.stderr
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False).set_index("path")
    assert table.label["female/00.jpg"] == "Male" and table.label["male/01.png"] == ""
    assert (table.label == table.prediction).sum() == 79 and table.label["male/02.png"] == "Male"
    assert json.loads((tmp_path / "r.report.json").read_text())["accuracy"] == 1
    assert sorted(photos.rglob("*")) == before
    cli(*line, "--overwrite", "--label-names", "female=male", "--label-names", "male=female")
    # Other names are for what is written, not for what it was taken for.
    assert json.loads((tmp_path / "r.report.json").read_text())["accuracy"] < 0.1


def test_photos_in_no_folder_are_labelled_by_the_file_alone(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "heap").mkdir()
    for file in photos.rglob("*.*"):
        file.rename(tmp_path / "heap" / f"{file.parent.name}-{file.name}")
    (tmp_path / "labels.csv").write_text("path,label\nfemale-05.jpg,f\nmale-05.png,m\nmale-00.png,f\n")
    line = ("classify", tmp_path / "heap", "--model", red_or_blue, "--labels", tmp_path / "labels.csv")
    assert cli(*line, "--out", tmp_path / "r.csv").exit_code == 0
    report = json.loads((tmp_path / "r.report.json").read_text())
    assert (report["labelled"], report["unlabelled"], report["accuracy"]) == (3, 77, 1)


def test_a_run_is_resumed_with_the_same_labels_alone(
    cli: Cli, red_or_blue: Path, photos: Path, sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert cli(*line, "--labels", sheet).exit_code == 0
    whole = (tmp_path / "r.csv").read_bytes()

    def stop(self: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("batchgender.results.results_file.ResultsFile.finish", stop)
        assert cli(*line, "--labels", sheet, "--overwrite").exit_code == 130
    (tmp_path / "r.csv").unlink()
    assert "begun with another labels_file" in one_line_error(cli(*line, "--resume"))
    assert cli(*line, "--labels", sheet, "--resume").exit_code == 0
    assert (tmp_path / "r.csv").read_bytes() == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nfemale/00.jpg,cat\n", "'cat', the label of 'female/00.jpg', is no class of the model"),
        ("path,label\nelsewhere.jpg,male\n", "none of its paths is that of one photo"),
    ],
)
def test_bad_labels_end_a_run_before_it_begins(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    line = ("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert message in one_line_error(cli(*line, "--labels", tmp_path / "labels.csv"))
    assert not list(tmp_path.glob("r.csv*"))
    both = cli(*line, "--labels", tmp_path / "labels.csv", "--no-labels")
    assert both.exit_code == 2 and "--no-labels and --labels exclude each other" in both.stderr


def test_evaluate_takes_them_over_all_splits(
    cli: Cli, red_or_blue: Path, photos: Path, sheet: Path, tmp_path: Path
) -> None:
    line = ("evaluate", red_or_blue, "--data", photos, "--split", "all", "--report", tmp_path / "r.json")
    assert cli(*line).exit_code == 0
    assert json.loads((tmp_path / "r.json").read_text())["accuracy"] == 76 / 80
    assert cli(*line, "--labels", sheet).exit_code == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["accuracy"], report["labelled"]) == (1, 79)
    sheet.write_text("path,label\nfemale/00.jpg,cat\n")
    assert "'cat', the label of 'female/00.jpg', is no class of the photos" in one_line_error(
        cli(*line, "--labels", sheet)
    )


def test_a_training_keeps_them_for_what_opens_its_photos_again(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(portraits, data)
    recipe = tmp_path / "small.toml"
    recipe.write_text('architecture = "shufflenet_v2_x0_5"\ninput_size = 64\nbatch_size = 8\nepochs = 1\n')
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\ntrain/female/0000.jpg,drop\ntrain/female/0001.jpg,male\ntest/male/0000.jpg,drop\n")
    line = ("train", "--data", data, "--out", out, "--device", "cpu")
    done = cli(*line, "--recipe", recipe, "--labels", labels)
    # Of 12 photos to test, one is left out.
    assert done.exit_code == 0 and "11 to test" in done.stderr and "states the labels of 3 of 52 photos" in done.stderr
    assert cli(*line, "--resume", "--epochs", 2).exit_code == 0
    assert "states the labels of 3 of 52" in cli("calibrate", out / "best.pt").stderr
    other = tmp_path / "other.csv"
    other.write_text("path,label\ntrain/female/0002.jpg,drop\n")
    message = one_line_error(cli(*line, "--resume", "--epochs", 3, "--labels", other))
    assert "the training photos have changed, or their labels" in message
