"""Where photos go: the folders of classes, names that collide, predictions decided anew."""

from pathlib import Path

import pytest

from batchgender.errors import UserError
from batchgender.results.read_results import read_results
from batchgender.sorting.decisions import Decisions, class_folder, decided_anew, name_below, sharing_names


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Female", "female"),
        ("Not sure", "not sure"),
        ("a/b", "a_b"),
        ("<b>", "_b_"),
        ("..", "class-"),
        ("Frau.", "frau"),
        ("Con", "class-con"),
        ("nul.x", "class-nul.x"),
        ("Unreadable", "class-unreadable"),
        ("日本", "日本"),
    ],
)
def test_the_folder_of_a_class_is_a_name_on_every_system(name: str, folder: str) -> None:
    assert class_folder(name) == folder


def row(path: str, prediction: str = "", error: str = "", **others: str) -> dict[str, str]:
    return {"path": path, "prediction": prediction, "error": error, **others}


def test_each_photo_has_one_folder_by_its_largest_face() -> None:
    rows = [
        row("a", "Female", face="2"),
        row("a", "Male", face="1"),
        row("b", "Unsure"),
        row("c", error="no face found"),
        row("d", error="empty file"),
        row("film.mp4", "Male", time="1.000"),
    ]
    decisions = Decisions.of(rows)
    assert decisions.folders == {"a": "male", "b": "unsure", "c": "no-face", "d": "unreadable"}
    assert decisions.frames == 1


def test_two_classes_never_share_a_folder() -> None:
    with pytest.raises(UserError, match="would share the folder a_b/"):
        Decisions.of([row("1", "a/b"), row("2", "a_b")])


@pytest.mark.parametrize(
    ("path", "below"),
    [("a/1.jpg", "a/1.jpg"), ("../../etc/1.jpg", "_/_/etc/1.jpg"), ("/etc/1.jpg", "etc/1.jpg"), ("./a//1", "a/1")],
)
def test_no_name_leads_out_of_the_folder(path: str, below: str) -> None:
    assert name_below(path) == Path(below)


def test_names_that_differ_by_case_or_by_what_is_replaced_alone_collide() -> None:
    folders = dict.fromkeys(("a/1.jpg", "a/1.JPG", "../1.jpg", "_/1.jpg", "b/1.jpg"), "male")
    assert sharing_names(folders) == {"a/1.JPG", "_/1.jpg"}
    assert not sharing_names({"a/1.jpg": "male", "a/1.JPG": "female"})


def test_a_threshold_decides_anew(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    lines = ["a,Female,0.9,0.9,0.1,", "b,Unsure,0.6,0.4,0.6,", "c,Male,0.7,0.3,0.7,", "d,,,,,empty file"]
    file.write_text("\n".join(["path,prediction,confidence,p_female,p_male,error", *lines]))
    assert [row["prediction"] for row in decided_anew(str(file), 0.8)] == ["Female", "Unsure", "Unsure", ""]
    assert [row["prediction"] for row in decided_anew(str(file), 0)] == ["Female", "Male", "Male", ""]
    file.write_text("path,prediction,error\na,Female,\n")
    with pytest.raises(UserError, match="has no probabilities"):
        list(decided_anew(str(file), 0.8))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.txt", "", "no results file; give a .csv"),
        ("r.csv", "path,prediction\n1,2\n", "it has no column error"),
        ("r.csv", "path,prediction,error\na,Female\n", "line 2: 2 cells where the header has 3"),
        ("r.csv", "", "it has no column path"),
        ("r.jsonl", "{", "damaged, or no results file"),
        ("r.jsonl", "[1]\n", "damaged, or no results file"),
        ("r.jsonl", '{"path": "a"}\n', "it has no column prediction, error"),
        ("r.parquet", "PAR1", "damaged, or no results file"),
    ],
)
def test_what_is_no_results_file_ends_in_a_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        list(read_results(str(tmp_path / name)))


def test_a_results_file_that_excel_saved_again_is_read(tmp_path: Path) -> None:
    text = "sep=;\r\npath;prediction;confidence;error\r\na;Female;0,9;\r\n;;;\r\n"
    (tmp_path / "r.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert list(read_results(str(tmp_path / "r.csv"))) == [
        {"path": "a", "prediction": "Female", "confidence": "0.9", "error": ""}
    ]
    (tmp_path / "r.csv").write_bytes(text.encode("latin-1") + "Jos\xe9;Female;0,9;".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        list(read_results(str(tmp_path / "r.csv")))
