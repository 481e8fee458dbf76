"""`batchgender report`: the report of a results file is the one of its run."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pandas as pd
import pytest
from click.testing import Result
from conftest import BLUE, RED, one_line_error, write_picture
from PIL import Image
from tiny_detectors import picture_of_cells

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def calibrated(red_or_blue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says that it was calibrated, what it was trained on, and has a threshold."""
    model = onnx.load(red_or_blue)
    about = json.loads({p.key: p.value for p in model.metadata_props}["batchgender"])
    about |= {"temperature": 1.5, "bias": [0.1, 0.0], "dataset": "drawn", "thresholds": {"Female": 0.6, "Male": 0.6}}
    onnx.helper.set_model_props(model, {"batchgender": json.dumps(about)})
    file = tmp_path_factory.mktemp("model") / "calibrated.onnx"
    onnx.save_model(model, file)
    return file


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of no, one and two bright cells, which `cell_detector` calls faces, of many shades; one is broken."""
    folder = tmp_path_factory.mktemp("people")
    for index in range(60):
        shade = index * 4
        cells = {(0, 0): (250, 0, shade), (2, 2): (shade, 0, 240)} if index % 2 else {(1, 1): (shade, 0, 245)}
        name = ("female", "male", "others")[index % 3 if index % 7 else 2]
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(picture_of_cells(cells if index % 5 else {})).save(folder / name / f"{index:02}.png")
    (folder / "male" / "broken.jpg").write_bytes(b"no photo")
    rows = [f"{file.relative_to(folder)},{file.name[0]}0" for file in sorted(folder.rglob("*.png"))]
    (folder / "groups.csv").write_text("\n".join(["path,age", *rows[:50]]))
    rows = [f"{file.relative_to(folder)},Male" for file in sorted((folder / "others").iterdir())]
    (folder / "labels.csv").write_text("\n".join(["path,label", *rows[:9], f"{rows[9].split(',')[0]},drop"]))
    return folder


RUNS = {
    "csv": (".csv", ("--faces", "off"), ()),
    "every face": (".jsonl", ("--faces", "all"), ()),
    "largest face": (".parquet", ("--faces", "largest"), ()),
    "threshold": (".csv", ("--faces", "off"), ("--threshold", "0.8")),
    "groups": (".parquet", ("--faces", "all"), ("--groups", "groups.csv")),
    "labels": (".jsonl", ("--faces", "off"), ("--labels", "labels.csv")),
}


@pytest.mark.parametrize("run", RUNS)
def test_it_is_printed_and_written_as_by_the_run(
    run: str, cli: Cli, calibrated: Path, cell_detector: Path, people: Path, tmp_path: Path
) -> None:
    ending, faces, shared = RUNS[run]
    shared = tuple(str(people / each) if each.endswith(".csv") else each for each in shared)
    detector = () if "off" in faces else ("--detector", cell_detector)
    out, reports = tmp_path / f"r{ending}", ("--report", tmp_path / "r.json", "--report", tmp_path / "r.html")
    ran = cli("classify", people, "--model", calibrated, "--out", out, *reports, *faces, *detector, *shared)
    assert ran.exit_code == 0, ran.stderr
    written = {name: (tmp_path / name).read_bytes() for name in ("r.json", "r.html")}
    rows = out.read_bytes()
    made = cli("report", out, "--model", calibrated, "--photos", people, *reports, *shared, "--overwrite")
    assert made.exit_code == 0, made.stderr
    assert made.stdout == ran.stdout
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(written["r.json"])
    assert {name: (tmp_path / name).read_bytes() for name in written} == written
    assert out.read_bytes() == rows


def test_without_the_model_it_has_all_but_what_only_that_knows(
    cli: Cli, calibrated: Path, photos: Path, tmp_path: Path
) -> None:
    ran = cli("classify", photos, "--model", calibrated, "--faces", "off", "--out", tmp_path / "r.csv.gz")
    of_run = json.loads((tmp_path / "r.report.json").read_text())
    (tmp_path / "r.report.json").unlink()
    made = cli("report", tmp_path / "r.csv.gz")
    assert made.exit_code == 0
    report = json.loads((tmp_path / "r.report.json").read_text())
    assert of_run["ece_uncalibrated"] is not None and report["ece_uncalibrated"] is None
    unknown = {"model", "photos_from", "thresholds", "trained_on", "ece_uncalibrated"}
    assert {key: value for key, value in of_run.items() if key not in unknown} == {
        key: value for key, value in report.items() if key not in unknown
    }
    assert unknown & set(report) == {"ece_uncalibrated"}
    # What is there already is not replaced unasked.
    before = (tmp_path / "r.report.json").read_bytes()
    again = cli("report", tmp_path / "r.csv.gz", "--threshold", 0.9)
    assert again.exit_code == 0 and again.stdout != ran.stdout and "--overwrite" in again.stderr
    assert (tmp_path / "r.report.json").read_bytes() == before


def test_what_another_threshold_would_answer_is_what_a_run_with_it_answers(
    cli: Cli, calibrated: Path, people: Path, tmp_path: Path
) -> None:
    line = ("classify", people, "--model", calibrated, "--faces", "off")
    cli(*line, "--out", tmp_path / "a.csv")
    ran = cli(*line, "--out", tmp_path / "b.csv", "--threshold", 0.9)
    made = cli(
        "report", tmp_path / "a.csv", "--threshold", 0.9, "--report", tmp_path / "made.json", "--model", calibrated
    )
    assert made.stdout == ran.stdout and "Unsure" in made.stdout
    ours, theirs = (json.loads((tmp_path / name).read_text()) for name in ("made.json", "b.report.json"))
    for key in ("predictions", "unsure", "accuracy", "classes", "confusion", "thresholds", "details"):
        assert ours[key] == theirs[key], key
    # The rows are not those of the model's own thresholds, and the report does not say so.
    mixed = cli("report", tmp_path / "b.csv", "--model", calibrated, "--report", tmp_path / "mixed.json")
    assert "thresholds stored in the model" in mixed.stderr
    assert "thresholds" not in json.loads((tmp_path / "mixed.json").read_text())


def test_a_csv_that_other_programs_saved_again_has_the_same_report(
    cli: Cli, red_or_blue: Path, cell_detector: Path, people: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.csv"
    cli("classify", people, "--model", red_or_blue, "--faces", "all", "--detector", cell_detector, "--out", out)
    expected = cli("report", out).stdout
    pd.read_csv(out).assign(note="mine").to_csv(tmp_path / "pandas.csv", index=False)
    assert ".0," in (tmp_path / "pandas.csv").read_text()
    with out.open(newline="") as stream:
        excel = list(csv.reader(stream))
    for row in excel[1:]:
        row[1:] = [cell.replace(".", ",") if cell.replace(".", "").isdigit() else cell for cell in row[1:]]
    with (tmp_path / "excel.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(excel)
    for name in ("pandas.csv", "excel.csv"):
        assert cli("report", tmp_path / name).stdout == expected, name


@pytest.fixture(scope="module")
def results(cli: Cli, red_or_blue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of six photos: results.csv, lines.jsonl, and the photos."""
    folder = tmp_path_factory.mktemp("results")
    for index in range(3):
        write_picture(folder / "photos" / "female" / f"{index}.png", RED)
        write_picture(folder / "photos" / "male" / f"{index}.png", BLUE)
    for name in ("results.csv", "lines.jsonl"):
        line = ("classify", folder / "photos", "--model", red_or_blue, "--faces", "off", "--no-isolate")
        assert cli(*line, "--out", folder / name).exit_code == 0
    return folder


def test_what_is_no_results_file_is_refused_in_a_line(cli: Cli, results: Path, tmp_path: Path) -> None:
    text = (results / "results.csv").read_text()
    rows = text.splitlines()
    cells = rows[2].split(",")
    (tmp_path / "folder.csv").mkdir()
    damaged = {
        "other.csv": "name,age\nAnna,3\n",
        "no_labels.csv": "\n".join([rows[0].replace(",label", ",mine"), *rows[1:]]),
        "no_probabilities.csv": "path,prediction,label,error\na.jpg,Female,,\n",
        "header.csv": rows[0] + "\n",
        "empty.csv": "",
        "cut.csv": text[: len(text) - 20],
        "zeros.csv": text[:200] + "\0" * 300,
        "five.csv": text.replace(cells[3], "5.0", 1),
        "nan.csv": text.replace(cells[3], "nan", 1),
        "missing.csv": "\n".join([*rows[:2], ",".join([*cells[:3], "", *cells[4:]])]),
        "unknown.csv": text.replace("Female,0", "Other,0", 1),
        "blank.csv": "\n".join([*rows[:2], "a.jpg,,,,,,"]),
        "torn.jsonl": (results / "lines.jsonl").read_text()[:-30],
        "list.jsonl": "[1]\n",
        "keys.jsonl": (results / "lines.jsonl").read_text() + '{"path": "a", "prediction": "Male", "error": ""}\n',
        "fake.parquet": "PAR1 no parquet PAR1",
        "results.txt": text,
    }
    for name, content in damaged.items():
        (tmp_path / name).write_text(content)
    for name in [*damaged, "missing_file.csv", "folder.csv"]:
        error = one_line_error(cli("report", tmp_path / name))
        assert str(tmp_path / name) in error, name
        assert not (tmp_path / name).with_suffix(".report.json").exists()


def test_what_is_asked_beside_is_checked_first(cli: Cli, results: Path, tmp_path: Path) -> None:
    file, taken = results / "results.csv", tmp_path / "taken.json"
    taken.write_text("mine")
    assert "--overwrite" in one_line_error(cli("report", file, "--report", taken))
    assert taken.read_text() == "mine"
    assert "report format" in one_line_error(cli("report", file, "--report", tmp_path / "r.txt"))
    assert "no such file" in one_line_error(cli("report", file, "--photos", tmp_path / "moved"))
    assert "no such file" in one_line_error(cli("report", file, "--groups", tmp_path / "groups.csv"))
    assert "no such file" in one_line_error(cli("report", file, "--labels", tmp_path / "labels.csv"))
    assert cli("report", file, "--classes", "a,b").exit_code == 2
    assert cli("report", file, "--label-names", "female=f").exit_code == 2


def test_the_model_of_other_classes_is_refused(cli: Cli, results: Path, red_or_blue: Path, tmp_path: Path) -> None:
    model = onnx.load(red_or_blue)
    about = json.loads({p.key: p.value for p in model.metadata_props}["batchgender"])
    about["classes"] = ["Cat", "Dog"]
    onnx.helper.set_model_props(model, {"batchgender": json.dumps(about)})
    onnx.save_model(model, tmp_path / "cats.onnx")
    assert "Cat, Dog" in one_line_error(cli("report", results / "results.csv", "--model", tmp_path / "cats.onnx"))


def test_photos_that_are_elsewhere_now_are_told_and_the_page_is_written(
    cli: Cli, results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results / "photos", tmp_path / "moved")
    (tmp_path / "moved" / "male" / "0.png").unlink()
    file = results / "results.csv"
    some = cli("report", file, "--report", tmp_path / "some.html", "--photos", tmp_path / "moved")
    assert some.exit_code == 0 and "1 of the 6 photos" in some.stderr and "male/0.png" in some.stderr
    (tmp_path / "empty").mkdir()
    none = cli("report", file, "--report", tmp_path / "none.html", "--photos", tmp_path / "empty")
    assert none.exit_code == 0 and "6 of the 6 photos" in none.stderr
    # Where pictures are not wanted, nobody misses them.
    left = cli("report", file, "--report", tmp_path / "l.html", "--photos", tmp_path / "empty", "--no-thumbnails")
    assert left.exit_code == 0 and "picture" not in left.stderr
    sizes = {name: (tmp_path / f"{name}.html").stat().st_size for name in ("some", "none", "l")}
    assert sizes["some"] > sizes["none"] and sizes["l"] <= sizes["none"]


def test_it_takes_no_more_memory_for_more_rows(tmp_path: Path) -> None:
    peaks = []
    for count in (5_000, 60_000):
        with (tmp_path / f"{count}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["path", "prediction", "confidence", "p_female", "p_male", "label", "error"])
            for index in range(count):
                p = (500_000 + index) / 1_000_000
                writer.writerow([f"{index:06}.jpg", "Female", p, f"{p:.6f}", f"{1 - p:.6f}", "Female", ""])
        program = (
            "import resource, sys; from batchgender.cli import main\n"
            f"main(['report', {str(tmp_path / f'{count}.csv')!r}, '-q'], standalone_mode=False)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        peaks.append(int(ran.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 8_000
