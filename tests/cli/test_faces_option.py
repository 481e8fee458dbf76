from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import BLUE, RED
from PIL import Image
from tiny_detectors import CELL, picture_of_cells

from batchgender import load_classifier
from batchgender.classify.face_choice import FaceOptions
from batchgender.errors import UserError

Cli = Callable[..., Any]


def save(file: Path, cells: dict[tuple[int, int], tuple[int, int, int]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture_of_cells(cells)).save(file)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A man, a woman with a man, nobody, and a file that is no photo."""
    save(tmp_path / "photos" / "male" / "alone.png", {(1, 1): BLUE})
    save(tmp_path / "photos" / "two.png", {(0, 0): RED, (2, 2): BLUE})
    save(tmp_path / "photos" / "none.png", {})
    (tmp_path / "photos" / "broken.jpg").write_text("no photo")
    return tmp_path / "photos"


def run(cli: Cli, people: Path, model: Path, detector: Path, *options: Any) -> tuple[Any, pd.DataFrame]:
    out = people.parent / "r.csv"
    arguments = ("--model", model, "--detector", detector, "--out", out, "--overwrite", *options)
    result = cli("classify", people, *arguments)
    return result, pd.read_csv(out, keep_default_na=False, dtype=str)


def test_each_face_has_a_row_and_who_has_none_an_error(
    cli: Cli, people: Path, red_or_blue: Path, cell_detector: Path
) -> None:
    result, table = run(cli, people, red_or_blue, cell_detector, "--faces", "all")
    assert result.exit_code == 0
    rows = list(zip(table.path, table.face, table.prediction, table.label, table.error, strict=True))
    assert rows[0] == ("broken.jpg", "", "", "", "no image of a format that can be read")
    assert rows[1] == ("male/alone.png", "1", "Male", "Male", "")
    assert rows[2] == ("none.png", "", "", "", "no face found")
    assert [row[0] for row in rows[3:]] == ["two.png", "two.png"]
    two = table[table.path == "two.png"]
    boxes = {row["prediction"]: tuple(int(row[side]) for side in ("x", "y", "width")) for _, row in two.iterrows()}
    assert boxes == {"Female": (0, 0, CELL), "Male": (2 * CELL, 2 * CELL, CELL)}
    assert set(two.face) == {"1", "2"} and set(two.face_size) == {str(CELL)}
    assert "1 of 4 photos show no face" in result.stderr and "1 of 4 photos could not be read" in result.stderr


def test_a_photo_without_a_face_is_not_unreadable(
    cli: Cli, people: Path, red_or_blue: Path, cell_detector: Path
) -> None:
    (people / "broken.jpg").unlink()
    result, table = run(cli, people, red_or_blue, cell_detector, "--faces", "largest", "--strict")
    assert result.exit_code == 0 and len(table) == 3
    assert "no face found" in result.stdout + result.stderr


def test_auto_cuts_where_faces_are_smaller_than_in_training(
    cli: Cli, people: Path, red_or_blue: Path, cell_detector: Path
) -> None:
    result, table = run(cli, people, red_or_blue, cell_detector)
    assert "faces: smaller than those that the model was trained on in 2 of 4 photos looked at" in result.stderr
    assert "face" in table and table.path.is_unique


def test_auto_takes_photos_whole_where_their_faces_are_framed_as_in_training(
    cli: Cli, tmp_path: Path, red_or_blue: Path, cell_detector: Path
) -> None:
    for index in range(20):
        # One cell, and all of the picture.
        picture = np.full((CELL, CELL, 3), RED, np.uint8)
        (tmp_path / "crops").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "crops" / f"{index}.png")
    detector = tmp_path / "whole.onnx"
    from tiny_detectors import write_cell_detector

    # In the picture that is looked at, 128 pixels wide, a cell of this detector is all of it.
    write_cell_detector(detector, box=4.0)
    result, table = run(cli, tmp_path / "crops", red_or_blue, detector)
    assert "faces: framed as the model was trained in" in result.stderr
    assert "face" not in table and set(table.prediction) == {"Female"}


def test_auto_goes_on_in_one_line_where_no_detector_can_be_had(
    cli: Cli, people: Path, red_or_blue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batchgender.faces import detector_file

    monkeypatch.delenv("BATCHGENDER_DETECTOR")
    monkeypatch.setattr(detector_file, "cached_detector", lambda: tmp_path / "none" / "detector.onnx")
    monkeypatch.setattr(detector_file, "URL", "http://127.0.0.1:9/detector.onnx")
    line = ("classify", people, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    result = cli(*line)
    said = [each for each in result.stderr.splitlines() if each.startswith("faces: ")]
    assert result.exit_code == 0 and len(said) == 1
    assert "each photo should show one face, cropped" in said[0] and "--detector" in said[0]
    assert cli(*line, "--overwrite", "--faces", "largest").exit_code == 1


def test_many_small_faces_are_told(cli: Cli, people: Path, red_or_blue: Path, cell_detector: Path) -> None:
    for file in people.rglob("*.png"):
        # A cell is 24 pixels then.
        with Image.open(file) as picture:
            picture.resize((96, 96)).save(file)
    result, _ = run(cli, people, red_or_blue, cell_detector, "--faces", "all", "--min-face", 10)
    assert "3 of 3 faces are below 30 pixels" in result.stderr


def test_options_that_exclude_each_other_are_wrong_usage(cli: Cli, people: Path, tmp_path: Path) -> None:
    for options in (
        ("--faces", "off", "--align"),
        ("--faces", "off", "--min-face", 30),
        ("--faces", "off", "--fps", 1),
    ):
        assert cli("classify", people, "--out", tmp_path / "r.csv", *options).exit_code == 2


def test_a_run_resumed_with_other_faces_is_refused(
    cli: Cli, people: Path, red_or_blue: Path, cell_detector: Path, tmp_path: Path
) -> None:
    run(cli, people, red_or_blue, cell_detector, "--faces", "all")
    out = people.parent / "r.csv"
    settings = ("--model", red_or_blue, "--detector", cell_detector)
    import json

    out.rename(f"{out}.part")
    about = {"model": "another"}
    Path(f"{out}.part.json").write_text(json.dumps(about))
    result = cli("classify", people, *settings, "--out", out, "--faces", "largest", "--resume")
    assert result.exit_code == 1 and "faces" in result.stderr


def test_the_library_finds_faces_in_paths_and_arrays(people: Path, red_or_blue: Path, cell_detector: Path) -> None:
    classifier = load_classifier(red_or_blue)
    options = FaceOptions("all", str(cell_detector))
    rows = {(row.path, row.face and row.face.number): row for row in classifier.classify(people, faces=options)}
    assert len(rows) == 5 and rows["none.png", None].error == "no face found"
    array = picture_of_cells({(1, 2): BLUE})
    (row,) = classifier.classify(array, faces=options)
    assert row.prediction == "Male" and row.face and (row.face.x, row.face.y) == (2 * CELL, CELL)
    with pytest.raises(UserError, match="auto looks at photos before"):
        list(classifier.classify(array, faces="auto"))
    with pytest.raises(UserError, match="'biggest' is none of"):
        list(classifier.classify(array, faces="biggest"))


def write_video(file: Path, seconds: int, frames_a_second: int) -> None:
    """A video whose faces are red in even seconds, blue in odd ones."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), frames_a_second, (128, 128))
    for index in range(seconds * frames_a_second):
        colour = (RED, BLUE)[index // frames_a_second % 2]
        writer.write(picture_of_cells({(1, 1): colour, (1, 2): colour, (2, 1): colour, (2, 2): colour})[..., ::-1])
    writer.release()


def test_frames_of_a_video_are_rows_with_their_time(
    cli: Cli, tmp_path: Path, red_or_blue: Path, cell_detector: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    write_video(folder / "film.mp4", seconds=4, frames_a_second=10)
    save(folder / "photo.png", {(0, 0): RED})
    (folder / "torn.mp4").write_bytes((folder / "film.mp4").read_bytes()[:2000])
    result, table = run(cli, folder, red_or_blue, cell_detector, "--fps", 1)
    assert result.exit_code == 0
    frames = table[table.path == "film.mp4"]
    assert frames.time.astype(float).tolist() == [0, 1, 2, 3]
    assert frames.prediction.tolist() == ["Female", "Male", "Female", "Male"]
    assert table[table.path == "photo.png"].time.tolist() == [""]
    (torn,) = table[table.path == "torn.mp4"].error
    assert "video" in torn
    # Without the option they are left out, and counted.
    result, table = run(cli, folder, red_or_blue, cell_detector)
    assert table.path.tolist() == ["photo.png"] and ".mp4 2" in result.stderr
    result = cli("classify", folder / "film.mp4", "--out", tmp_path / "v.csv")
    assert result.exit_code == 1 and "--fps" in result.stderr
