"""What a new user meets: the first run, its summary, models by name, reports, interrupts, quiet runs, tracebacks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pandas as pd
import pytest
from conftest import BLUE, RED, one_line_error, picture, write_picture

import batchgender
from batchgender import UserError, load_classifier
from batchgender.cli import main

Cli = Callable[..., Any]
Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Five photos without labels, one of which can't be read: three red, one blue."""
    for index, color in enumerate((RED, RED, RED, BLUE)):
        write_picture(tmp_path / "plain" / f"{index}.jpg", color)
    (tmp_path / "plain" / "4.jpg").touch()
    return tmp_path / "plain"


def test_a_run_over_photos_without_labels_ends_in_a_summary(
    cli: Cli, red_or_blue: Path, plain: Path, tmp_path: Path
) -> None:
    result = cli("classify", plain, "--model", red_or_blue, "-o", tmp_path / "r.csv", "--threshold", 0.6)
    table = pd.read_csv(tmp_path / "r.csv")
    lines = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines() if len(line.split()) > 1}
    assert lines["photos"] == "5" and lines["unreadable"] == "1"
    for name, count in table.prediction.value_counts().items():
        assert lines[str(name)] == str(count)
    assert "not a person's identity" in result.stdout
    assert "5 photos in " in result.stderr and "photos/s; written: " in result.stderr


def test_the_packaged_model_is_named_in_words_and_by_a_word(
    cli: Cli, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for options in ([], ["--model", "packaged", "--overwrite"]):
        result = cli("classify", plain, "--out", "r.csv", *options)
        assert result.exit_code == 0
        assert f"model: packaged model {batchgender.__version__}" in result.stderr
        assert "site-packages" not in result.output and str(Path(batchgender.__file__).parent) not in result.output
    assert "Female, Male" in cli("inspect", "packaged").stdout


def test_an_export_in_the_folder_takes_the_packaged_models_place_and_that_is_said(
    cli: Cli, red_or_blue: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exports").mkdir()
    shutil.copy(red_or_blue, "exports/batchgender.onnx")
    result = cli("classify", plain, "--out", "r.csv")
    assert "model: exports/batchgender.onnx" in result.stderr and "--model packaged takes the packaged" in result.stderr


def test_a_report_that_is_asked_for_is_written_without_labels_too(
    cli: Cli, red_or_blue: Path, plain: Path, tmp_path: Path
) -> None:
    reports = ("--report", tmp_path / "one.json", "--report", tmp_path / "new" / "two.html")
    result = cli("classify", plain, "--model", red_or_blue, "--out", tmp_path / "r.csv", *reports)
    assert result.exit_code == 0 and "no photo carries a label" in result.stderr
    report = json.loads((tmp_path / "one.json").read_text())
    assert report["unlabelled"] == report["photos"] == 5 and report["predictions"]["Female"] == 3
    assert "Female" in (tmp_path / "new" / "two.html").read_text() and not (tmp_path / "r.report.json").exists()


def test_a_report_that_is_there_is_not_replaced_unasked(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.report.json").write_text("mine")
    line = ("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert "r.report.json: exists already; replace it with --overwrite" in one_line_error(cli(*line))
    assert (tmp_path / "r.report.json").read_text() == "mine" and not list(tmp_path.glob("r.csv*"))
    assert cli(*line, "--overwrite").exit_code == 0
    assert json.loads((tmp_path / "r.report.json").read_text())["labelled"] == 80


def test_photos_without_labels_beside_labelled_ones_are_counted_and_labels_can_be_left_out(
    cli: Cli, red_or_blue: Path, plain: Path, tmp_path: Path
) -> None:
    write_picture(plain / "men" / "a.jpg", BLUE)
    line = ("classify", plain, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    mixed = cli(*line)
    assert "1 labelled photo; 5 photos without a label are in no figure below" in mixed.stdout
    without = cli(*line, "--overwrite", "--no-labels")
    assert "labelled photos" not in without.stdout and pd.read_csv(tmp_path / "r.csv").label.isna().all()


def test_quiet_prints_errors_alone_and_verbose_names_what_can_not_be_read(
    cli: Cli, red_or_blue: Path, plain: Path, tmp_path: Path
) -> None:
    line = ("classify", plain, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert cli(*line, "-q").stderr == ""
    assert "exists already" in one_line_error(cli(*line, "-q"))
    assert "4.jpg: empty file" in cli(*line, "--overwrite", "-v").stderr


def test_without_a_terminal_a_long_run_prints_a_line_now_and_then(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchgender.progress.LINE_EVERY", 0.0)
    result = cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert "classify: 80 photos, " in result.stderr


def test_an_error_shows_where_it_came_from_when_asked(cli: Cli, tmp_path: Path) -> None:
    photo = write_picture(tmp_path / "a.jpg")
    (tmp_path / "text.onnx").write_text("no model")
    line = ["classify", str(photo), "--model", str(tmp_path / "text.onnx"), "--out", str(tmp_path / "r.csv")]
    started = [sys.executable, "-m", "batchgender"]
    plain = {key: value for key, value in os.environ.items() if key != "BATCHGENDER_DEBUG"}
    for arguments, shown, environment in (
        (line, False, plain),
        ([*line, "--traceback"], True, plain),
        (["--traceback", *line], True, plain),
        (line, True, {**plain, "BATCHGENDER_DEBUG": "1"}),
    ):
        done = subprocess.run([*started, *arguments], capture_output=True, text=True, env=environment)
        assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("Error: ")
        # The cause, onnxruntime's own error, is in it.
        assert ("Traceback" in done.stderr and "direct cause" in done.stderr) == shown


def test_the_program_alone_prints_its_help(cli: Cli) -> None:
    for arguments in ([], ["--help"]):
        result = cli(*arguments)
        assert result.exit_code == 0 and "classify" in result.stdout
        commands = [
            line for line in result.stdout.splitlines() if line.startswith("  ") and line.split()[0] in main.commands
        ]
        assert len(commands) == len(main.commands) and not any(line.endswith("...") for line in commands)
    done = subprocess.run([sys.executable, "-m", "batchgender"], capture_output=True, text=True)
    assert done.returncode == 0 and "classify" in done.stdout


@pytest.mark.parametrize("wait", [0.08, 0.15, 0.25, 0.4, 0.6])
def test_an_early_interrupt_ends_in_one_line(red_or_blue: Path, photos: Path, tmp_path: Path, wait: float) -> None:
    # As the installed program starts: it takes Ctrl-C from its first line on.
    line = [sys.executable, "-c", "from batchgender.__main__ import run; print(flush=True); run()"]
    arguments = ["classify", str(photos), "--model", str(red_or_blue), "--out", str(tmp_path / "r.csv"), "-q"]
    process = subprocess.Popen([*line, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    # A fast machine may be done before, or about to end.
    assert (process.returncode, errors.strip()) in ((130, "interrupted"), (0, ""), (-signal.SIGINT, ""))


def test_a_second_interrupt_ends_a_run_whose_model_never_comes_back(photos: Path, tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        endless (float[N,3,8,8] image) => (float[N,2] scores) {
            trips = Constant <value: tensor = int64 {9223372036854775807}> ()
            black = Constant <value: tensor = float {0.0}> ()
            brightest = ReduceMax <keepdims = 0> (image)
            go = Greater (brightest, black)
            pooled = GlobalAveragePool (image)
            shape = Constant <value: tensor = int64[2] {-1, 3}> ()
            three = Reshape (pooled, shape)
            turned = Loop (trips, go, three) <body = turn (int64 i, bool on, float[N,3] x) => (bool on2, float[N,3] y) {
                on2 = Identity (on)
                y = Add (x, x)
            }>
            starts = Constant <value: tensor = int64[1] {0}> ()
            ends = Constant <value: tensor = int64[1] {2}> ()
            axes = Constant <value: tensor = int64[1] {1}> ()
            scores = Slice (turned, starts, ends, axes)
        }
        """
    )
    onnx.save(model, tmp_path / "endless.onnx")
    line = [sys.executable, "-m", "batchgender", "classify", str(photos), "--model", str(tmp_path / "endless.onnx")]
    line += [
        "--classes",
        "female,male",
        "--mean",
        "0,0,0",
        "--std",
        "1,1,1",
        "--out",
        str(tmp_path / "r.csv"),
        "--no-isolate",
    ]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for said in process.stderr:
        if said.startswith("computed by"):
            break
    # The model, which answers to black pictures alone, is at work by then, and takes no notice.
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and errors.splitlines()[-1] == "interrupted"


def test_the_library_takes_lists_and_arrays_and_shows_what_it_has(red_or_blue: Path, plain: Path) -> None:
    assert {"load_classifier", "Classifier", "Row", "UserError"} <= set(dir(batchgender))
    classifier = load_classifier(red_or_blue)
    files = sorted(plain.iterdir())[:4]
    expected = [row.prediction for row in classifier.classify(*files)]
    assert [row.prediction for row in classifier.classify(files)] == expected
    arrays = [picture(color, (40, 60)) for color in (RED, RED, RED, BLUE)]
    rows = list(classifier.classify(arrays))
    assert [row.path for row in rows] == ["0", "1", "2", "3"] and [row.prediction for row in rows] == expected
    assert [row.prediction for row in classifier.classify(np.stack(arrays))] == expected
    with pytest.raises(UserError, match="uint8"):
        list(classifier.classify(np.zeros((4, 4), np.uint8)))
    with pytest.raises(UserError, match="give either"):
        classifier.classify(arrays[0], plain)


@pytest.mark.parametrize("line", [("bench",), ("compare", "before.csv", "after.csv")])
def test_a_json_file_that_cant_be_written_is_refused_before_the_work(
    cli: Cli, tmp_path: Path, line: tuple[str, ...]
) -> None:
    # Neither has what it would need: it is not looked for.
    message = one_line_error(cli(*line, "--json", tmp_path))
    assert "is a folder; give --json the name of a file" in message
