"""Two results files side by side: what changed, and whether for the better."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import BLUE, RED, one_line_error
from PIL import Image
from statsmodels.stats import contingency_tables
from tiny_detectors import picture_of_cells

from batchgender.report.compare_results import compare_results, mcnemar

Cli = Callable[..., Any]


@pytest.fixture
def results(cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path) -> Path:
    """A real results file of 80 labelled photos, four of them wrong."""
    out = tmp_path / "before.csv"
    assert cli("classify", photos, "--model", red_or_blue, "--out", out).exit_code == 0
    return out


def changed(results: Path, rows: dict[str, str]) -> Path:
    """The same results with other predictions for some photos."""
    table = pd.read_csv(results, keep_default_na=False)
    for path, prediction in rows.items():
        table.loc[table.path == path, "prediction"] = prediction
    table.to_csv(results.with_name("after.csv"), index=False)
    return results.with_name("after.csv")


def test_flips_are_counted_by_class_and_the_worst_are_named(cli: Cli, results: Path, tmp_path: Path) -> None:
    # One of the four wrong ones mended, two of the right ones broken.
    after = changed(results, {"female/00.jpg": "Female", "female/10.jpg": "Male", "male/11.png": "Unsure"})
    result = cli("compare", results, after, "--json", tmp_path / "c.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["photos"], found["flipped"], found["fixed"], found["broken"]) == (80, 3, 1, 2)
    assert found["flips"] == {"Female to Male": 1, "Male to Female": 1, "Male to Unsure": 1}
    assert found["first_accuracy"] == pytest.approx(76 / 80) and found["second_accuracy"] == pytest.approx(75 / 80)
    assert {one["path"] for one in found["worst"]} == {"female/10.jpg", "male/11.png"}
    assert "female/10.jpg: Female to Male" in result.stdout
    assert cli("compare", results, after, "--max-flips", 3).exit_code == 0
    assert "3 predictions changed, more than the 2" in one_line_error(cli("compare", results, after, "--max-flips", 2))


def test_the_same_results_in_three_formats_differ_in_nothing(
    cli: Cli, results: Path, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    for ending in ("jsonl", "parquet"):
        out = tmp_path / f"in_{ending}.{ending}"
        assert cli("classify", photos, "--model", red_or_blue, "--out", out).exit_code == 0
        found = compare_results(str(results), str(out))
        assert (found.photos, found.flipped, found.only_first, found.only_second) == (80, 0, 0, 0)
        assert found.largest_difference == 0 and found.p_value == 1


@pytest.mark.parametrize(
    ("separator", "decimal", "encoding"),
    [
        (";", ",", "utf-8-sig"),
        (";", ".", "utf-8"),
        ("\t", ",", "utf-16"),
        ("\t", ".", "utf-16"),
        (",", ".", "utf-8-sig"),
    ],
)
def test_results_that_a_spreadsheet_saved_again_differ_in_nothing(
    cli: Cli, results: Path, tmp_path: Path, separator: str, decimal: str, encoding: str
) -> None:
    # Of one photo that could not be read the numbers are empty.
    table = pd.read_csv(results, dtype={"confidence": float})
    table.loc[0, ["prediction", "confidence", "p_female", "p_male"]] = None
    table.loc[1, "path"] = "female/é.jpg"
    table.to_csv(results, index=False)
    table["path"] = [unicodedata.normalize("NFD", path) for path in table.path]
    # Columns that were used once, and a row.
    saved = pd.concat([table.assign(one="", two=""), pd.DataFrame([{}])]).rename(columns={"one": "", "two": ""})
    saved.to_csv(tmp_path / "saved.csv", index=False, sep=separator, decimal=decimal, encoding=encoding)
    for pair in ((results, tmp_path / "saved.csv"), (tmp_path / "saved.csv", results)):
        found = compare_results(*map(str, pair))
        assert (found.photos, found.only_first, found.only_second, found.flipped) == (len(table), 0, 0, 0)
        assert found.largest_difference == 0 and found.first_accuracy == found.second_accuracy


def test_a_class_that_a_spreadsheet_takes_for_a_truth_value_is_the_same(tmp_path: Path) -> None:
    rows = "path,prediction,confidence,label\na.jpg,true,0.9,true\nb.jpg,false,0.9,true\n"
    (tmp_path / "a.csv").write_text(rows)
    (tmp_path / "b.csv").write_text(rows.replace("true", "TRUE").replace("false", "FALSE"))
    found = compare_results(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert (found.flipped, found.first_accuracy, found.second_accuracy) == (0, 0.5, 0.5)


def test_two_photos_whose_names_differ_in_their_spelling_alone_stay_two(tmp_path: Path) -> None:
    names = [unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.jpg")]
    for file, answers in (("a.csv", ("Female", "Male")), ("b.csv", ("Female", "Female"))):
        rows = [f"{name},{answer},0.9,\n" for name, answer in zip(names, answers, strict=True)]
        (tmp_path / file).write_text("path,prediction,confidence,label\n" + "".join(rows))
    found = compare_results(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert found.photos == 2 and [one["path"] for one in found.worst] == names[1:]


def test_photos_in_one_file_alone_and_unreadable_ones_are_counted(
    cli: Cli, results: Path, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "female" / "39.jpg").unlink()
    (photos / "male" / "39.png").write_bytes(b"")
    (photos / "male" / "40.jpg").write_bytes((photos / "male" / "38.png").read_bytes())
    after = tmp_path / "after.csv"
    assert cli("classify", photos, "--model", red_or_blue, "--out", after).exit_code == 0
    found = compare_results(str(results), str(after))
    assert (found.photos, found.only_first, found.only_second) == (79, 1, 1)
    assert found.flips == {"Male to unreadable": 1} and found.labelled == 78
    assert "Male to unreadable" in cli("compare", results, after).stdout


@pytest.mark.parametrize(("fixed", "broken"), [(0, 0), (3, 1), (0, 9), (40, 62), (700, 810)])
def test_mcnemars_test_is_that_of_statsmodels(fixed: int, broken: int) -> None:
    expected = contingency_tables.mcnemar([[5, fixed], [broken, 7]], exact=True).pvalue if fixed + broken else 1
    assert mcnemar(fixed, broken) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "no results file"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no results file"),
        (b"a,b\r\n1,2\r\n", "no column confidence, label, path, prediction"),
        (b"path,prediction,confidence,label\r\nx,Male,0.9,\r\nx,Male,0.9,\r\n", "a path twice"),
        (b"path,prediction,confidence,label\r\nx,Male,0.9,\r\n", "has no photo of"),
        (b"path,prediction,confidence,label\r\nx,Male,0.9,,y\r\nz,Male,0.9,\r\n", "damaged"),
        ("path;prediction;confidence;label\r\né;Male;0,9;\r\n".encode("cp1252"), "no results file in UTF-8"),
    ],
)
def test_what_is_no_results_file_is_one_line(content: bytes | None, said: str, cli: Cli, results: Path) -> None:
    other = results.with_name("other.csv")
    if content is not None:
        other.write_bytes(content)
    line = one_line_error(cli("compare", results, other))
    assert said in line and "other.csv" in line


def test_a_name_with_a_newline_stays_on_one_line(cli: Cli, results: Path) -> None:
    table = pd.read_csv(results, keep_default_na=False)
    table.loc[5, "path"] = "new\nline\x1b[2J.jpg"
    table.to_csv(results, index=False)
    after = changed(results, {"new\nline\x1b[2J.jpg": "Unsure"})
    assert "  new\\nline\\x1b[2J.jpg: Female to Unsure" in cli("compare", results, after).stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["r.csv.gz", "r.txt", "http://localhost:9/r.csv", "none.csv", "r.parquet", "r.jsonl"])
def test_what_is_no_results_file_is_said_in_a_line(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if not name.startswith(("http", "none")):
        (tmp_path / name).write_bytes(b"\x1f\x8b damaged")
    (tmp_path / "good.csv").write_text("path,prediction,confidence,label,confidence_a\na.jpg,Female,0.9,,1\n")
    message = one_line_error(cli("compare", "good.csv", name))
    said = ("no results file", "can't read the results", "no place for results")
    assert name in message and any(each in message for each in said)
    assert cli("compare", "good.csv", "good.csv").exit_code == 0


def test_faces_of_one_photo_are_compared_one_by_one(
    cli: Callable[..., Any], red_or_blue: Path, cell_detector: Path, tmp_path: Path
) -> None:
    picture = picture_of_cells({(0, 0): RED, (2, 2): BLUE})
    (tmp_path / "photos").mkdir()
    Image.fromarray(picture).save(tmp_path / "photos" / "two.png")
    Image.fromarray(picture * 0).save(tmp_path / "photos" / "none.png")
    options = ("--model", red_or_blue, "--faces", "all", "--detector", cell_detector)
    for ending in ("csv", "parquet"):
        assert cli("classify", tmp_path / "photos", *options, "--out", tmp_path / f"r.{ending}").exit_code == 0
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False)
    table.loc[table.prediction == "Male", ["prediction", "p_female", "p_male"]] = ["Female", "0.9", "0.1"]
    table.to_csv(tmp_path / "other.csv", index=False)
    result = cli("compare", tmp_path / "r.parquet", tmp_path / "other.csv")
    assert result.exit_code == 0 and "3 photos in both" in result.stdout and "1 changed" in result.stdout
