import csv
import json
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchgender.errors import UserError
from batchgender.faces.face import Face
from batchgender.model.thresholds import UNSURE
from batchgender.photos.photo import InMemory, Photo
from batchgender.results.formats import read_csv
from batchgender.results.keeping import Pending
from batchgender.results.results_file import ResultsFile
from batchgender.results.rows import NO_FACE, Row, RowLayout, make_row

CLASSES = ["Female", "Male"]
ODD_PATHS = [
    "plain.jpg",
    "with space.jpg",
    'comma,quote".jpg',
    "'single'.jpg",
    "new\nline.jpg",
    "carriage\rreturn.jpg",
    "both\r\n.jpg",
    "emoji 😀.jpg",
    "=1+1.jpg",
    "caf\\xe9.jpg",
    ' leading, "and" trailing ',
]
SETTINGS = {"model": "1"}
LAYOUT = RowLayout(tuple(CLASSES))
FACES = RowLayout(tuple(CLASSES), faces=True, several=True)


def rows() -> list[Row]:
    read = [make_row(path, (i / 20, 1 - i / 20), CLASSES, CLASSES[i % 2], {}) for i, path in enumerate(ODD_PATHS)]
    return [*read, Row("broken.jpg", label="Male", error='empty "file", no picture')]


def begun(
    out: Path | str, settings: dict[str, str] = SETTINGS, resume: bool = False, layout: RowLayout = LAYOUT
) -> ResultsFile:
    results = ResultsFile(str(out), resume)
    results.begin(layout, settings)
    return results


def write(out: Path, what: list[Row]) -> None:
    results = begun(out)
    results.write(what)
    results.finish()


def test_every_path_comes_back_as_it_was_through_csv(tmp_path: Path) -> None:
    write(tmp_path / "r.csv", rows())
    assert list(read_csv(str(tmp_path / "r.csv"), LAYOUT)) == rows()
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as stream:
        assert [line["path"] for line in csv.DictReader(stream)] == [row.path for row in rows()]
    assert list(pd.read_csv(tmp_path / "r.csv", keep_default_na=False)["path"]) == [row.path for row in rows()]


def test_csv_has_the_columns_of_the_contract_and_crlf(tmp_path: Path) -> None:
    write(tmp_path / "r.csv", rows()[:1])
    header, line, rest = (tmp_path / "r.csv").read_bytes().split(b"\r\n")
    assert header == b"path,prediction,confidence,p_female,p_male,label,error"
    assert line == b"plain.jpg,Male,1.000000,0.000000,1.000000,Female,"
    assert rest == b""


def test_json_lines_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    for name in ("r.csv", "r.jsonl", "r.parquet"):
        write(tmp_path / name, rows())
    numbers = ("confidence", "p_female", "p_male")
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False, na_values={name: [""] for name in numbers})
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "r.parquet"), table)
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text("utf-8").splitlines()]
    assert [line["path"] for line in lines] == list(table["path"])
    assert lines[-1]["confidence"] is None and lines[0]["p_male"] == 1.0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.csv", "r.jsonl", "r.parquet"]


def test_a_prediction_below_the_threshold_of_its_class_is_unsure() -> None:
    thresholds = {"Female": 0.5, "Male": 0.6}
    assert make_row("a", (0.41, 0.59), CLASSES, "", thresholds).prediction == UNSURE
    assert make_row("a", (0.4, 0.6), CLASSES, "", thresholds).prediction == "Male"
    assert make_row("a", (0.4, 0.6), CLASSES, "", thresholds).confidence == 0.6


def test_an_unfinished_run_is_refused_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    first = begun(out)
    first.write(rows()[:3])
    first.close()
    with pytest.raises(UserError, match="unfinished run; go on with --resume or start again with --overwrite"):
        ResultsFile(str(out))
    assert list(read_csv(f"{out}.part", LAYOUT)) == rows()[:3]
    assert not out.exists()


def test_finished_results_are_refused_and_kept(tmp_path: Path) -> None:
    write(tmp_path / "r.csv", rows())
    before = (tmp_path / "r.csv").read_bytes()
    with pytest.raises(UserError, match="exists already"):
        ResultsFile(str(tmp_path / "r.csv"))
    with pytest.raises(UserError, match="finished, nothing to resume"):
        ResultsFile(str(tmp_path / "r.csv"), resume=True)
    assert (tmp_path / "r.csv").read_bytes() == before


def photos_of(what: list[Row]) -> Pending:
    return Pending([Photo(path, InMemory(b"")) for path in dict.fromkeys(row.path for row in what)])


def resumed(out: Path, what: list[Row], layout: RowLayout = LAYOUT) -> None:
    results = begun(out, resume=True, layout=layout)
    photos = photos_of(what)
    kept = list(results.done(photos))
    assert kept == what[: len(kept)] and not Path(f"{out}.part.old").exists()
    left = [photo.path for photo in photos]
    assert {row.path for row in kept} | set(left) == {row.path for row in what}
    results.write([row for row in what if row.path in left])
    results.finish()


def stopped(out: Path, what: list[Row], layout: RowLayout, size: int) -> None:
    """A run that was killed when so many bytes of its rows were on the disk."""
    with closing(begun(out, layout=layout)) as results:
        assert results.keeping
        list(results.keeping.answered(photos_of(what)))
        results.write(what)
    os.truncate(f"{out}.part", size)


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk: of thousands of small files that takes a minute."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.mark.usefixtures("unsynced")
def test_wherever_a_run_is_cut_resuming_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    write(whole, rows())
    data = whole.read_bytes()
    for size in range(len(data) + 1):
        out = tmp_path / "r.csv"
        stopped(out, rows(), LAYOUT, size)
        resumed(out, rows())
        assert out.read_bytes() == data, f"cut at byte {size}"
        out.unlink()


@pytest.mark.usefixtures("unsynced")
def test_a_photo_of_several_faces_is_resumed_whole(tmp_path: Path) -> None:
    faces = [Row("a.jpg", error=NO_FACE)] + [
        replace(row, face=Face(number, -3, 4, 30, 41, 0.876), path=path)
        for path, count in (("b.jpg", 3), ("c.jpg", 1), ("d.jpg", 2))
        for number, row in enumerate(rows()[:count], 1)
    ]
    whole = begun(tmp_path / "whole.csv", layout=FACES)
    whole.write(faces)
    whole.finish()
    assert list(read_csv(tmp_path / "whole.csv", FACES)) == faces
    data = (tmp_path / "whole.csv").read_bytes()
    for size in range(len(data) + 1):
        out = tmp_path / "r.csv"
        stopped(out, faces, FACES, size)
        resumed(out, faces, FACES)
        assert out.read_bytes() == data, f"cut at byte {size}"
        out.unlink()


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_columns_of_faces_are_numbers(tmp_path: Path, ending: str) -> None:
    results = begun(tmp_path / f"r{ending}", layout=FACES)
    results.write([replace(rows()[0], face=Face(1, -3, 4, 30, 41, 0.876)), Row("none.jpg", error=NO_FACE)])
    results.finish()
    file = str(tmp_path / f"r{ending}")
    table = pd.read_parquet(file) if ending == ".parquet" else pd.read_json(file, lines=True)
    assert list(table)[:8] == ["path", "face", "x", "y", "width", "height", "face_score", "face_size"]
    numbers = table[list(table)[1:8]].to_numpy(float)
    assert numbers[0].tolist() == [1, -3, 4, 30, 41, 0.876, 30]
    assert np.isnan(numbers[1]).all()


def test_resuming_under_another_model_is_refused_and_spoils_nothing(tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    with closing(begun(out)) as first:
        assert first.keeping
        list(first.keeping.answered(photos_of(rows())))
        first.write(rows()[:3])
    with pytest.raises(UserError, match="was begun with another model"):
        begun(out, {"model": "2"}, resume=True)
    with closing(begun(out, resume=True)) as again:
        assert list(again.done(photos_of(rows()))) == rows()[:3]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("file/r.csv", "file: can't write in this folder"),
        ("r.txt", "unknown format; end the name in .csv, .csv.gz, .jsonl, .jsonl.gz, .parquet, .db"),
        ("folder.csv", "is a folder"),
        (".", "is a folder"),
        ("", "is a folder"),
    ],
)
def test_an_output_that_can_not_be_made_is_refused_at_once(tmp_path: Path, out: str, message: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=message):
        ResultsFile(str(tmp_path / out))


def test_a_folder_that_is_missing_is_made_when_the_run_begins(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "r.csv"
    results = ResultsFile(str(out))
    assert not (tmp_path / "new").exists()
    results.begin(LAYOUT, SETTINGS)
    results.write(rows())
    results.finish()
    assert list(read_csv(out, LAYOUT)) == rows()
