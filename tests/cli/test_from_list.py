"""`classify --from-list`, as a user runs it."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
from click.testing import Result
from conftest import RED, one_line_error
from tiny_detectors import picture_of_cells

Cli = Callable[..., Result]
Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def here(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with photos/{female,male}/*, two of each labelled wrong by their folder, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(file: str) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_labels(names: dict[str, str], file: str = "labels.csv") -> dict[str, str]:
    """A CSV of all photos with what they really show, red or blue, as `names` calls it, last first; by path."""
    shown = {}
    for path in sorted(Path("photos").rglob("*.*"), reverse=True):
        wrong = path.stem in ("00", "01")
        shown[str(path)] = names["female" if (path.parent.name == "female") != wrong else "male"]
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label"), *shown.items()])
    return shown


def test_a_list_of_paths_gives_the_rows_that_their_folder_gives(cli: Cli, red_or_blue: Path, here: Path) -> None:
    line = ("classify", "--model", red_or_blue, "--out")
    assert cli(*line, "whole.csv", "photos").exit_code == 0
    found = subprocess.run(["find", "photos", "-type", "f"], capture_output=True, text=True, check=True).stdout
    Path("list.txt").write_text(found)
    result = cli(*line, "list.csv", "--from-list", "list.txt")
    assert result.exit_code == 0 and "accuracy" in result.stdout
    # In the order of the list, each path as it stands there.
    assert [row["path"] for row in rows("list.csv")] == found.splitlines()
    whole = {f"photos/{row['path']}": row for row in rows("whole.csv")}
    for row in rows("list.csv"):
        assert row == {**whole[row["path"]], "path": row["path"]}
    assert json.loads(Path("list.report.json").read_text())["photos_from"] == ["list.txt"]


def test_find_writes_to_it_through_a_pipe(red_or_blue: Path, here: Path) -> None:
    Path("photos/female/a\nb.jpg").write_bytes(Path("photos/female/05.jpg").read_bytes())
    find = subprocess.run(["find", "photos", "-type", "f", "-print0"], capture_output=True, check=True)
    program = [sys.executable, "-c", "from batchgender.cli import main; main()"]
    line = [*program, "classify", "--from-list", "-", "-0", "--model", str(red_or_blue), "--out", "-"]
    done = subprocess.run(line, input=find.stdout, capture_output=True)
    table = list(csv.DictReader(done.stdout.decode().splitlines(keepends=True)))
    assert done.returncode == 0 and len(table) == 81 and not any(row["error"] for row in table)
    assert "photos/female/a\nb.jpg" in [row["path"] for row in table]


def test_the_labels_of_a_list_count_before_the_folders(cli: Cli, red_or_blue: Path, here: Path) -> None:
    shown = write_labels({"female": "Frau", "male": "m"})
    line = ("classify", "--from-list", "labels.csv", "--model", red_or_blue, "--overwrite", "--out", "r.csv")
    unnamed = cli(*line)
    assert "labels that are no class of the model, and count as none: Frau 40; --label-names" in unnamed.stderr
    assert {row["label"] for row in rows("r.csv")} == {"", "Male"}
    named = cli(*line, "--label-names", "female=Frau")
    assert "no class of the model" not in named.stderr
    classes = {"Frau": "Female", "m": "Male"}
    assert {row["path"]: row["label"] for row in rows("r.csv")} == {path: classes[name] for path, name in shown.items()}
    assert json.loads(Path("r.report.json").read_text())["accuracy"] == 1
    assert "accuracy" not in cli(*line, "--no-labels").stdout
    assert {row["label"] for row in rows("r.csv")} == {""}


def test_swapped_names_swap_the_labels_of_a_list_once(cli: Cli, red_or_blue: Path, here: Path) -> None:
    write_labels({"female": "male", "male": "female"})
    swap = ("--label-names", "female=male", "--label-names", "male=female")
    cli("classify", "--from-list", "labels.csv", "--model", red_or_blue, "--out", "r.csv", *swap)
    assert json.loads(Path("r.report.json").read_text())["accuracy"] == 1


def test_no_and_yes_are_taken_as_in_columns_to_train_on(cli: Cli, red_or_blue: Path, here: Path) -> None:
    write_labels({"female": "0", "male": "1"})
    table = pd.read_csv("labels.csv", dtype=str, keep_default_na=False)
    table.loc[:9, "label"] = "NaN"
    table.to_csv("labels.csv", index=False)
    line = ("classify", "--from-list", "labels.csv", "--model", red_or_blue, "--overwrite", "--out", "r.csv")
    said = cli(*line).stderr
    assert said.count("taking 0 for Female and 1 for Male") == 1 and "no class of the model" not in said
    report = json.loads(Path("r.report.json").read_text())
    assert report["accuracy"] == 1 and report["unlabelled"] == 10
    cli(*line, "--label-names", "female=1", "--label-names", "male=0")
    assert json.loads(Path("r.report.json").read_text())["accuracy"] == 0


def test_a_video_of_a_list_gives_frames_where_they_are_asked_for(
    cli: Cli, red_or_blue: Path, cell_detector: Path, here: Path
) -> None:
    video = cv2.VideoWriter("clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 128))
    for _ in range(30):
        video.write(picture_of_cells({(1, 1): RED})[..., ::-1])
    video.release()
    Path("list.csv").write_text("path,label\nclip.avi,female\nnowhere.avi,\n")
    line = ("classify", "--from-list", "list.csv", "--model", red_or_blue, "--overwrite", "--out", "r.csv")
    cli(*line)
    assert ["no image" in rows("r.csv")[0]["error"], len(rows("r.csv"))] == [True, 2]
    assert cli(*line, "--fps", 2, "--detector", cell_detector).exit_code == 0
    frames = rows("r.csv")[:-1]
    assert [frame["time"] for frame in frames] == [f"{0.5 * at:.3f}" for at in range(6)]
    assert {(frame["label"], frame["prediction"]) for frame in frames} == {("Female", "Female")}
    assert "no video" in rows("r.csv")[-1]["error"]


def test_an_empty_label_is_none_whatever_the_folder_says(cli: Cli, red_or_blue: Path, here: Path) -> None:
    Path("list.csv").write_text("label;path\nfemale;photos/male/00.png\n;photos/male/01.png\n")
    cli("classify", "--from-list", "list.csv", "--model", red_or_blue, "--out", "r.csv")
    assert [row["label"] for row in rows("r.csv")] == ["Female", ""]


def test_a_results_file_is_a_list(cli: Cli, red_or_blue: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("classify", "photos", "--model", red_or_blue, "--out", "r.csv", "--csv-bom").exit_code == 0
    monkeypatch.chdir(here / "photos")
    assert cli("classify", "--from-list", "../r.csv", "--model", red_or_blue, "--out", "../s.csv").exit_code == 0
    assert rows("../s.csv") == [{key.strip("\ufeff"): cell for key, cell in row.items()} for row in rows("../r.csv")]


def test_what_can_not_be_read_is_a_row(cli: Cli, red_or_blue: Path, here: Path) -> None:
    lines = ["photos/male/05.png", "nowhere.jpg", "photos", "list.txt", "photos/male/05.png"]
    Path("list.txt").write_text("\r\n".join(lines))
    result = cli("classify", "--from-list", "list.txt", "--model", red_or_blue, "--out", "r.csv", "--strict")
    assert result.exit_code == 3 and "3 of 4 photos could not be read" in result.stderr
    assert "lines whose photo stands above already: 1" in result.stderr
    table = rows("r.csv")
    assert [row["path"] for row in table] == lines[:4] and table[0]["prediction"] == "Male"
    for row, reason in zip(table[1:], ("No such file", "a directory", "no image"), strict=True):
        assert reason in row["error"]


def test_a_stopped_run_over_a_list_ends_with_the_same_bytes(
    cli: Cli, command: Command, red_or_blue: Path, here: Path
) -> None:
    write_labels({"female": "female", "male": "male"})
    line = ("classify", "--from-list", "labels.csv", "--model", red_or_blue, "--out", "r.csv")
    assert cli(*line).exit_code == 0
    whole = Path("r.csv").read_bytes()
    killed = command(*line, "--overwrite")
    while not Path("r.csv.part").exists() and killed.poll() is None:
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    Path("r.csv").unlink()
    Path("r.csv.part").write_bytes(b"".join(whole.splitlines(keepends=True)[:11]))
    before = Path("labels.csv").read_bytes()
    Path("labels.csv").write_bytes(before.replace(b",female", b",male", 1))
    assert "begun with another photos_from" in one_line_error(cli(*line, "--resume"))
    Path("labels.csv").write_bytes(before)
    assert cli(*line, "--resume").exit_code == 0 and Path("r.csv").read_bytes() == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("photos", "--from-list", "list.txt"), "PHOTOS and --from-list exclude each other"),
        (("photos", "-0"), "-0 is for --from-list"),
        ((), "Missing argument 'PHOTOS...', or --from-list FILE"),
    ],
)
def test_one_kind_of_input_is_given(cli: Cli, here: Path, arguments: tuple[Any, ...], message: str) -> None:
    result = cli("classify", *arguments, "--out", "r.csv")
    assert result.exit_code == 2 and message in result.stderr


def test_a_wrong_list_is_refused_before_a_model_is_opened(cli: Cli, here: Path) -> None:
    Path("list.csv").write_text("photos/male/05.png\n")
    line = ("classify", "--model", "nowhere.onnx", "--out", "r.csv", "--from-list")
    assert "no column `path`" in one_line_error(cli(*line, "list.csv"))
    assert "no such list; check --from-list" in one_line_error(cli(*line, "nowhere.csv"))
    assert "give it as --from-list" in one_line_error(cli("classify", "list.csv", "--out", "r.csv"))


def test_evaluate_measures_on_a_list(cli: Cli, red_or_blue: Path, here: Path) -> None:
    write_labels({"female": "1", "male": "0"})
    table = pd.read_csv("labels.csv", dtype=str)
    table.loc[:9, "label"] = None
    table["split"] = ["test", "train"] * 40
    table.loc[len(table)] = ["nowhere.jpg", "1", "test"]
    table.to_csv("labels.csv", index=False)
    line = ("evaluate", red_or_blue, "--data", "labels.csv", "--report", "r.json")
    result = cli(*line, "--label-names", "female=1", "--label-names", "male=0")
    assert result.exit_code == 0, result.stderr
    report = json.loads(Path("r.json").read_text())
    assert report["accuracy"] == 1 and report["evaluated"] == 35 and report["labelled_unreadable"] == 1
    assert "files that are not there: 1 (nowhere.jpg)" in result.stderr
    assert "its test split: photos without a label are left out: 5" in result.stderr
