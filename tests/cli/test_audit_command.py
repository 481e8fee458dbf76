"""`batchgender audit`, from results to a sheet and back to labels."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import BLUE, RED, one_line_error
from tiny_networks import CLASSES

Cli = Callable[..., Any]


def write_noise(path: Path, color: Sequence[int], seed: int) -> None:
    """A photo of a colour with a pattern of its own, for plain ones look alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(-30, 30, (12, 12, 1))
    picture = (np.array(color) + np.kron(blocks, np.ones((8, 8, 1)))).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(path), picture[..., ::-1])


@pytest.fixture(scope="module")
def audited(cli: Cli, red_or_blue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with faces/{train,test}/{female,male}, 40 photos of each, and labelled.csv, their real results.

    train/female/00.png is blue; test/male/07.png has the bytes of train/male/07.png; test/female/09.jpg is
    train/female/09.png, small; test/male/red.png is train/female/11.png in the wrong folder.
    """
    folder = tmp_path_factory.mktemp("audited")
    faces = folder / "faces"
    seed = 0
    for split in ("train", "test"):
        for label, color in (("female", RED), ("male", BLUE)):
            for index in range(40):
                seed += 1
                write_noise(faces / split / label / f"{index:02}.png", color, seed)
    write_noise(faces / "train" / "female" / "00.png", BLUE, 999)
    shutil.copy(faces / "train" / "male" / "07.png", faces / "test" / "male" / "07.png")
    (faces / "test" / "female" / "09.png").unlink()
    picture = cv2.imread(str(faces / "train" / "female" / "09.png"))
    assert picture is not None
    cv2.imwrite(str(faces / "test" / "female" / "09.jpg"), cv2.resize(picture, (70, 70), interpolation=cv2.INTER_AREA))
    shutil.copy(faces / "train" / "female" / "11.png", faces / "test" / "male" / "red.png")
    (faces / "test" / "male" / "broken.png").write_bytes(b"no picture")
    done = cli("classify", faces, "--model", red_or_blue, "--out", folder / "labelled.csv")
    assert done.exit_code == 0
    return folder


def test_doubted_labels_and_duplicates_are_found_without_classifying_again(
    cli: Cli, audited: Path, tmp_path: Path
) -> None:
    before = {file: file.stat().st_mtime_ns for file in audited.rglob("*")}
    done = cli("audit", audited / "labelled.csv", "--json", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "a.json").read_text())
    assert {each["path"] for each in found["doubted"]} == {"train/female/00.png", "test/male/red.png"}
    assert (found["photos"], found["left_out"]) == (161, 1)
    first, *others = found["duplicates"]
    assert first["paths"] == ["test/male/red.png", "train/female/11.png"] and first["labels_differ"] and first["exact"]
    assert [(each["paths"], each["exact"], each["across_splits"]) for each in others] == [
        (["test/female/09.jpg", "train/female/09.png"], False, True),
        (["test/male/07.png", "train/male/07.png"], True, True),
    ]
    accuracy = {name: (each["photos"], each["accuracy"]) for name, each in found["accuracy"].items()}
    assert accuracy["all"] == (161, 159 / 161) and accuracy["without doubted labels"] == (159, 1)
    # Of three pairs one photo each, and both of the pair with two labels.
    assert accuracy["each picture once"] == (157, 156 / 157)
    assert accuracy["test split"] == (81, 80 / 81)
    assert accuracy["test split, without pictures of others"] == (78, 1)
    assert "(different labels, different splits, same content)" in done.stdout
    assert "audit photos that it never saw" in done.stdout and "not who anybody is" in done.stdout
    assert {file: file.stat().st_mtime_ns for file in audited.rglob("*")} == before


def test_a_sheet_filled_in_is_taken_as_labels(cli: Cli, red_or_blue: Path, audited: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    assert cli("audit", audited / "labelled.csv", "--relabel-sheet", sheet).exit_code == 0
    with open(sheet, encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert set(rows[0]) == {"path", "label", "prediction", "confidence", "new_label"}
    by_path = {row["path"]: row for row in rows}
    # Those that are doubted, and the other photo of the picture with two labels.
    assert set(by_path) == {"train/female/00.png", "test/male/red.png", "train/female/11.png"}
    doubted = by_path["train/female/00.png"]
    assert (doubted["label"], doubted["prediction"], doubted["new_label"]) == ("Female", "Male", "")
    by_path["train/female/00.png"]["new_label"] = "Male"
    by_path["test/male/red.png"]["new_label"] = "drop"
    pd.DataFrame(rows).to_csv(sheet, index=False, sep=";")
    line = ("classify", audited / "faces", "--model", red_or_blue, "--labels", sheet)
    assert cli(*line, "--out", tmp_path / "r.csv").exit_code == 0
    report = json.loads((tmp_path / "r.report.json").read_text())
    assert report["accuracy"] == 1 and report["unlabelled"] == 1
    # What was filled in is not written over.
    text = sheet.read_bytes()
    message = one_line_error(cli("audit", audited / "labelled.csv", "--relabel-sheet", sheet))
    assert "exists already, and may be filled in" in message and sheet.read_bytes() == text


def test_photos_that_have_moved_are_found_by_the_option_alone(cli: Cli, audited: Path, tmp_path: Path) -> None:
    shutil.copytree(audited / "faces", tmp_path / "moved")
    report = json.loads((audited / "labelled.report.json").read_text())
    (tmp_path / "r.report.json").write_text(json.dumps({**report, "photos_from": [str(tmp_path / "gone")]}))
    shutil.copy(audited / "labelled.csv", tmp_path / "r.csv")
    message = one_line_error(cli("audit", tmp_path / "r.csv"))
    assert "its photos are not where its report says" in message and "say with --photos where they are now" in message
    (tmp_path / "gone").mkdir()
    assert "the photos of" in (message := one_line_error(cli("audit", tmp_path / "r.csv"))) and "--photos" in message
    done = cli("audit", tmp_path / "r.csv", "--photos", tmp_path / "moved")
    assert done.exit_code == 0 and "pictures that stand in several places  3" in done.stdout
    # Some of them: what is missing is said.
    shutil.rmtree(tmp_path / "moved" / "test" / "male")
    part = cli("audit", tmp_path / "r.csv", "--photos", tmp_path / "moved")
    assert "42 of 162 photos of" in part.stderr and "(test/male/00.png, " in part.stderr


def test_without_a_report_the_labels_are_looked_at_alone(cli: Cli, audited: Path, tmp_path: Path) -> None:
    shutil.copy(audited / "labelled.csv", tmp_path / "r.csv")
    done = cli("audit", tmp_path / "r.csv")
    assert done.exit_code == 0 and "no report beside it says where its photos are" in done.stderr
    assert "doubted labels  2" in done.stdout and "several places" not in done.stdout


def test_photos_are_classified_where_no_results_are_given(cli: Cli, red_or_blue: Path, audited: Path) -> None:
    done = cli("audit", audited / "faces", "--model", red_or_blue)
    assert done.exit_code == 0, done.output
    same = cli("audit", audited / "labelled.csv")
    assert done.stdout.splitlines()[1:] == same.stdout.splitlines()[1:]


def test_swapped_classes_are_an_alarm(cli: Cli, audited: Path, tmp_path: Path) -> None:
    table = pd.read_csv(audited / "labelled.csv", keep_default_na=False)
    table["label"] = table.label.map(dict(zip(CLASSES, CLASSES[::-1], strict=True)))
    table.to_csv(tmp_path / "swapped.csv", index=False)
    assert "far below one half: are the labels the other way round?" in cli("audit", tmp_path / "swapped.csv").stderr


def test_what_can_not_be_audited_ends_in_a_line(cli: Cli, audited: Path, tmp_path: Path) -> None:
    table = pd.read_csv(audited / "labelled.csv", keep_default_na=False)
    for name, label, message in (("none.csv", "", "has a label"), ("one.csv", "Male", "all labels in it are Male")):
        table.assign(label=label).to_csv(tmp_path / name, index=False)
        assert message in one_line_error(cli("audit", tmp_path / name))
    (tmp_path / "empty").mkdir()
    assert "no photos found in" in one_line_error(cli("audit", tmp_path / "empty"))
    assert "no such file or folder" in one_line_error(cli("audit", tmp_path / "nowhere"))
    assert "No such file" in one_line_error(cli("audit", tmp_path / "nowhere.csv"))
    message = one_line_error(cli("audit", audited / "labelled.csv", "--relabel-sheet", tmp_path / "sheet.xlsx"))
    assert "a sheet is a CSV" in message


def test_options_that_do_not_go_together_are_wrong_usage(cli: Cli, audited: Path) -> None:
    assert cli("audit", audited / "labelled.csv", "--model", "packaged").exit_code == 2
    assert cli("audit", audited / "faces", "--photos", audited / "faces").exit_code == 2


def test_the_missing_extra_is_named(cli: Cli, audited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgender.extras.find_spec", lambda name: None)
    assert "pip install 'batchgender[audit]'" in one_line_error(cli("audit", audited / "labelled.csv"))
