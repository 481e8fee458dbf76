"""Figures for each group: from rows, and as `classify` and `evaluate` print and write them."""

import csv
import json
import resource
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from conftest import one_line_error
from fairlearn.metrics import equalized_odds_difference

from batchgender.photos.path_table import PathTable
from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.report.group_counts import SMALLEST
from batchgender.report.statistics import wilson
from batchgender.report.text import report_text
from batchgender.results.rows import Row, make_row

Cli = Callable[..., Result]
CLASSES = ["Female", "Male"]
BANDS = ("0-12", "13-60", "61+", "")


def grouped_rows(count: int = 2000, threshold: float = 0.0) -> tuple[list[Row], PathTable]:
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    groups: dict[str, tuple[str, ...]] = {}
    for index in range(count):
        label, band = CLASSES[index % 2], BANDS[rng.integers(len(BANDS))]
        hard = 1.0 if band == "0-12" else 3.0
        male = rng.beta(hard, 1) if label == "Male" else rng.beta(1, hard)
        thresholds = dict.fromkeys(CLASSES, threshold)
        rows.append(make_row(f"{index}.jpg", (1 - male, male), CLASSES, label, thresholds))
        if index % 5:
            groups[f"{index}.jpg"] = (band, "few" if index % 100 == 1 else "many")
    return rows, PathTable("groups.csv", ["age band", "size"], groups)


def figures_of(rows: list[Row], groups: PathTable) -> Figures:
    counts = RowCounts(CLASSES, groups=groups)
    for row in rows:
        counts.add(row)
    return counts.figures()


def metrics_of(rows: list[Row], groups: PathTable) -> dict[str, Any]:
    return figures_of(rows, groups).as_dict()


def table_of(rows: list[Row], groups: PathTable) -> pd.DataFrame:
    table = pd.DataFrame([(r.path, r.label, r.prediction) for r in rows], columns=["path", "label", "prediction"])
    for index, column in enumerate(groups.columns):
        table[column] = [groups.rows.get(path, ("", ""))[index] for path in table.path]
    return table


def test_each_group_has_the_calibration_and_the_coverage_of_its_own_photos() -> None:
    rows, groups = grouped_rows(threshold=0.7)
    column = metrics_of(rows, groups)["groups"]["columns"]["age band"]
    for name in ("0-12", "13-60", "61+"):
        alone = metrics_of([row for row in rows if groups.of(row.path)[0] == name], groups)
        assert column["groups"][name]["ece"] == pytest.approx(alone["ece"])
        assert column["groups"][name]["coverage"] == alone["coverage"]
    young, grown = (column["groups"][name]["coverage"][4] for name in ("0-12", "13-60"))
    assert young["threshold"] == 0.9 and young["coverage"] < grown["coverage"]


@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_figures_are_those_recomputed_from_the_rows(threshold: float) -> None:
    rows, groups = grouped_rows(threshold=threshold)
    column = metrics_of(rows, groups)["groups"]["columns"]["age band"]
    table = table_of(rows, groups)
    assert column["in_no_group"] == (table["age band"] == "").sum()
    assert list(column["groups"]) == ["0-12", "13-60", "61+"]
    accuracies = []
    for name, figures in column["groups"].items():
        ours = table[table["age band"] == name]
        answered = ours[ours.prediction != "Unsure"]
        right = answered.label == answered.prediction
        accuracies.append(right.mean())
        assert (figures["count"], figures["unsure"]) == (len(ours), len(ours) - len(answered))
        assert figures["accuracy"] == pytest.approx(right.mean())
        assert figures["accuracy_interval_95"] == wilson(right.sum(), len(right))
        for label in CLASSES:
            of_class = right[answered.label == label]
            assert figures["classes"][label]["count"] == (ours.label == label).sum()
            assert figures["classes"][label]["recall"] == pytest.approx(of_class.mean())
            assert figures["classes"][label]["recall_interval_95"] == wilson(of_class.sum(), len(of_class))
    assert column["accuracy_gap"] == pytest.approx(max(accuracies) - min(accuracies))


def test_the_equalised_odds_difference_is_fairlearns() -> None:
    rows, groups = grouped_rows()
    column = metrics_of(rows, groups)["groups"]["columns"]["age band"]
    table = table_of(rows, groups)
    table = table[table["age band"] != ""]
    expected = equalized_odds_difference(
        table.label == "Male", table.prediction == "Male", sensitive_features=table["age band"]
    )
    assert column["equalized_odds_difference"] == pytest.approx(expected)


def test_a_class_with_few_photos_in_a_group_is_left_out_of_the_equalised_odds() -> None:
    # Group a is always right, b with Female alone: of Male it has one photo less than counts.
    rows: list[Row] = []
    groups: dict[str, tuple[str, ...]] = {}
    for group, label, count, right in (("a", "Female", 50, 50), ("a", "Male", 50, 50), ("b", "Female", 50, 40)):
        for index in range(count):
            path = f"{group}/{label}/{index}.jpg"
            probability = 0.9 if (index < right) == (label == "Female") else 0.1
            rows.append(make_row(path, (probability, 1 - probability), CLASSES, label, {}))
            groups[path] = (group,)
    for index in range(SMALLEST):
        rows.append(make_row(f"b/Male/{index}.jpg", (0.9, 0.1), CLASSES, "Male", {}))
        groups[f"b/Male/{index}.jpg"] = ("b",)
    table = PathTable("g.csv", ["group"], groups)
    differences = [
        metrics_of(some, table)["groups"]["columns"]["group"]["equalized_odds_difference"] for some in (rows, rows[:-1])
    ]
    assert differences == [1.0, pytest.approx(0.2)]


def test_small_groups_are_marked_and_left_out_of_the_gaps() -> None:
    rows, groups = grouped_rows()
    metrics = metrics_of(rows, groups)
    column = metrics["groups"]["columns"]["size"]
    assert column["groups"]["few"]["count"] < SMALLEST <= column["groups"]["many"]["count"]
    assert column["groups"]["few"]["small"] and not column["groups"]["many"]["small"]
    assert column["accuracy_gap"] is None and column["equalized_odds_difference"] is None
    text = report_text(figures_of(rows, groups))
    assert "over recalls of 30 labelled photos or more" in text
    assert "few *" in text and "* fewer than 30 labelled photos: left out of the comparison" in text
    assert "fewer than two groups to compare" in text


def test_groups_stand_in_the_order_of_their_numbers() -> None:
    rows = [make_row(f"{i}.jpg", (1, 0), CLASSES, "Female", {}) for i in range(5)]
    # The last one is longer than Python turns into a number.
    endless = "1" * 5000
    bands = ("10-19", "5-9", endless, "100+", "unknown")
    groups = PathTable("g.csv", ["age"], {f"{i}.jpg": (band,) for i, band in enumerate(bands)})
    metrics = metrics_of(rows, groups)
    assert list(metrics["groups"]["columns"]["age"]["groups"]) == ["5-9", "10-19", "100+", endless, "unknown"]
    assert metrics["groups"]["columns"]["age"]["groups"]["5-9"]["classes"]["Male"]["recall"] is None
    report_text(figures_of(rows, groups))


def test_photos_that_are_unreadable_or_without_a_label_count_in_no_group() -> None:
    rows = [Row("a.jpg", label="Female", error="empty file"), make_row("b.jpg", (1, 0), CLASSES, "", {})]
    column = metrics_of(rows, PathTable("g.csv", ["age"], {"a.jpg": ("1",), "b.jpg": ("1",)}))["groups"]["columns"]
    assert column["age"]["groups"] == {} and column["age"]["in_no_group"] == 0


def test_memory_does_not_grow_with_the_photos() -> None:
    rows, groups = grouped_rows(200)
    report = RowCounts(CLASSES, groups=groups)
    tracemalloc.start()
    # Of each kind of rows that a page shows sixty are held.
    for row in 6 * rows:
        report.add(row)
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(50):
        for row in rows:
            report.add(row)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 10_000


def write_groups(path: Path, photos: Path, column: str, prefix: str = "", every: int = 1) -> Path:
    """Put each photo into the group of its file's first digit."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", column])
        for file in sorted(photos.rglob("*.*"))[::every]:
            writer.writerow([prefix + str(file.relative_to(photos)), f"{file.name[0]}0s"])
    return path


def test_classify_reports_the_groups_as_text_json_and_html(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    groups = write_groups(tmp_path / "groups.csv", photos, "decade")
    arguments = ("classify", photos, "--model", red_or_blue, "--groups", groups, "--out")
    result = cli(*arguments, tmp_path / "r.csv")
    assert result.exit_code == 0 and "no row" not in result.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    decades = (table.label == table.prediction).groupby(table.path.str.extract(r"/(\d)")[0] + "0s").mean()
    column = json.loads((tmp_path / "r.report.json").read_text())["groups"]["columns"]["decade"]
    assert {name: group["accuracy"] for name, group in column["groups"].items()} == dict(decades)
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("00s")]
    assert f"{100 * decades['00s']:.1f} %" in line
    cli(*arguments, tmp_path / "s.csv", "--report", tmp_path / "s.html")
    seen: list[str] = []
    parser = HTMLParser()
    parser.handle_data = seen.append  # type: ignore[method-assign, assignment]
    parser.feed((tmp_path / "s.html").read_text())
    assert line in "".join(seen)


def test_evaluate_and_classify_report_the_same_groups(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    # Of the data, names carry the split; of the folder given to classify they do not: one file serves both.
    shutil.copytree(photos, tmp_path / "data" / "test")
    groups = write_groups(tmp_path / "groups.csv", photos, "decade", prefix="test/", every=3)
    options = ("--groups", groups)
    evaluated = cli("evaluate", red_or_blue, "--data", tmp_path / "data", *options)
    folder = tmp_path / "data" / "test"
    classified = cli("classify", folder, "--model", red_or_blue, "--out", tmp_path / "r.csv", *options)
    assert "decade" in evaluated.stdout and classified.stdout == evaluated.stdout
    for result in (evaluated, classified):
        assert "53 of 80 photos have no row of their own" in result.stderr
    assert "53 labelled photos in no group" in evaluated.stdout


def test_a_resumed_run_reports_all_rows_in_the_groups_of_the_file_given_last(
    cli: Cli, command: Callable[..., "subprocess.Popen[str]"], red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    def full_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_500, 2_500))

    first = write_groups(tmp_path / "first.csv", photos, "first")
    second = write_groups(tmp_path / "second.csv", photos, "second")
    arguments = ("classify", photos, "--model", red_or_blue, "--out")
    whole = cli(*arguments, tmp_path / "whole.csv", "--groups", second)
    stopped = command(*arguments, tmp_path / "r.csv", "--groups", first, preexec_fn=full_disk)
    assert "the rows so far are kept" in stopped.communicate()[1]
    assert (tmp_path / "r.csv.part").stat().st_size > 1000
    resumed = cli(*arguments, tmp_path / "r.csv", "--groups", second, "--resume")
    assert resumed.stdout == whole.stdout and "second" in resumed.stdout
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; check --groups"),
        ("path,age\nelsewhere.jpg,1\n", "'elsewhere.jpg' there, 'female/00.jpg' here"),
    ],
)
@pytest.mark.parametrize("command", ["classify", "evaluate"])
def test_a_groups_file_that_does_not_fit_ends_in_one_line_and_writes_nothing(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, text: str | None, message: str, command: str
) -> None:
    groups = tmp_path / "groups.csv"
    if text:
        groups.write_text(text)
    arguments = {
        "classify": ["classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv"],
        "evaluate": ["evaluate", red_or_blue, "--data", photos, "--split", "all", "--report", tmp_path / "r.json"],
    }[command]
    assert message in one_line_error(cli(*arguments, "--groups", groups))
    assert not list(tmp_path.glob("r.*"))


def test_groups_without_any_label_are_said_to_give_no_figures(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    folder = photos / "female"
    folder.rename(tmp_path / "plain")
    groups = write_groups(tmp_path / "groups.csv", tmp_path / "plain", "decade")
    result = cli(
        "classify", tmp_path / "plain", "--model", red_or_blue, "--out", tmp_path / "r.csv", "--groups", groups
    )
    assert result.exit_code == 0 and "there are no figures on right and wrong answers" in result.stderr
