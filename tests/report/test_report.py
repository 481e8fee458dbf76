import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.report.files import report_data, report_json, write_report
from batchgender.report.page import report_page
from batchgender.report.statistics import wilson
from batchgender.report.text import report_text, summary_text
from batchgender.results.rows import Row, make_row

CLASSES = ["Female", "Male"]


def random_rows(count: int, threshold: float = 0.0) -> list[Row]:
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        label = ("Female", "Male", "Male", "")[index % 4]
        male = rng.beta(2, 1) if label == "Male" else rng.beta(1, 2)
        rows.append(make_row(f"{index}.jpg", (1 - male, male), CLASSES, label, dict.fromkeys(CLASSES, threshold)))
    return [*rows, Row("broken.jpg", label="Female", error="empty file"), Row("x.jpg", error="empty file")]


def figures_of(rows: list[Row], temperature: float = 1.0, bias: tuple[float, ...] = ()) -> Figures:
    counts = RowCounts(CLASSES, temperature, bias=bias)
    for row in rows:
        counts.add(row)
    return counts.figures()


def metrics_of(rows: list[Row], temperature: float = 1.0, bias: tuple[float, ...] = ()) -> dict[str, Any]:
    return figures_of(rows, temperature, bias).as_dict()


def table_of(rows: list[Row]) -> pd.DataFrame:
    """The labelled rows that could be read, for an independent computation."""
    kept = [row for row in rows if row.label and not row.error]
    return pd.DataFrame(
        {
            "label": [r.label for r in kept],
            "prediction": [r.prediction for r in kept],
            "male": [r.probabilities[1] for r in kept],
            "confidence": [r.confidence for r in kept],
        }
    )


@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_figures_are_those_recomputed_from_the_rows(threshold: float) -> None:
    rows = random_rows(2000, threshold)
    found, table = metrics_of(rows), table_of(rows)
    answered = table[table.prediction != "Unsure"]
    right = answered.label == answered.prediction
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["unsure"] == len(table) - len(answered)
    recalls = []
    for name in CLASSES:
        hits = (right & (answered.label == name)).sum()
        recall, precision = hits / (answered.label == name).sum(), hits / (answered.prediction == name).sum()
        recalls.append(recall)
        figures = found["classes"][name]
        assert figures["recall"] == pytest.approx(recall)
        assert figures["precision"] == pytest.approx(precision)
        assert figures["f1"] == pytest.approx(2 * recall * precision / (recall + precision))
        assert figures["support"] == (table.label == name).sum()
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["recall_gap"] == pytest.approx(max(recalls) - min(recalls))
    counts = pd.crosstab(table.label, table.prediction)
    for name in CLASSES:
        assert {k: v for k, v in found["confusion"][name].items() if v} == dict(counts.loc[name])


def test_auroc_and_calibration_are_those_recomputed_from_the_rows() -> None:
    rows = random_rows(500)
    found, table = metrics_of(rows), table_of(rows)
    male, female = table.male[table.label == "Male"].to_numpy(), table.male[table.label == "Female"].to_numpy()
    above = (male[:, None] > female).mean() + (male[:, None] == female).mean() / 2
    assert found["auroc"] == pytest.approx(above)
    table["right"] = table.label == table.prediction
    bins = table.groupby(pd.cut(table.confidence, np.linspace(0, 1, 16).tolist()), observed=True)
    gaps = (bins.right.mean() - bins.confidence.mean()).abs() * bins.size() / len(table)
    assert found["ece"] == pytest.approx(gaps.sum())
    surest = table.sort_values("confidence", ascending=False).head(int(np.ceil(0.9 * len(table))))
    kept = table[table.confidence >= surest.confidence.min()]
    assert found["surest"]["accuracy"] == pytest.approx(kept.right.mean())
    assert found["surest"]["coverage"] == len(kept) / len(table) >= 0.9
    assert found["surest"]["threshold"] == pytest.approx(kept.confidence.min(), abs=1e-6)
    for point in found["coverage"]:
        kept = table[table.confidence >= point["threshold"]]
        assert point["coverage"] == pytest.approx(len(kept) / len(table))
        assert point["accuracy"] == (pytest.approx(kept.right.mean()) if len(kept) else None)


def test_calibration_error_by_chance_is_what_a_perfect_model_shows_on_average() -> None:
    rng = np.random.default_rng(3)
    shares = 1 / (1 + np.exp(-rng.normal(0, 4, 400)))
    shown = []
    for _ in range(100):
        labels = (rng.random(400) < shares).astype(int)  # Each as likely as the model says: it could not do better.
        rows = [make_row("", (1 - p, p), CLASSES, CLASSES[i], {}) for p, i in zip(shares, labels, strict=True)]
        found = metrics_of(rows)
        shown.append(found["ece"])
    assert found["ece_by_chance"] == pytest.approx(np.mean(shown), rel=0.1)
    assert found["ece_by_chance"] > 0.01


@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_calibration_error_before_calibration_is_that_of_the_logits(bias: float) -> None:
    temperature, rng = 2.5, np.random.default_rng(1)
    labels = rng.integers(2, size=1000)
    logits = np.stack([np.zeros(1000), rng.normal(3 * (2 * labels - 1), 4)], 1)

    def rows(scale: float, bias: float = 0.0) -> list[Row]:
        shares = 1 / (1 + np.exp(-logits[:, 1] / scale - bias))
        return [make_row("", (1 - p, p), CLASSES, CLASSES[i], {}) for p, i in zip(shares, labels, strict=True)]

    scaled, plain = figures_of(rows(temperature, bias), temperature, (0.0, bias)), figures_of(rows(1.0))
    assert scaled.ece_uncalibrated == pytest.approx(plain.ece, abs=1e-4)
    assert scaled.ece != pytest.approx(plain.ece, abs=1e-2)
    assert plain.ece_uncalibrated is None and "before calibration" not in report_text(plain)
    shown = f"{scaled.ece_uncalibrated:.4f} before calibration, {scaled.ece_by_chance:.4f} by chance alone"
    assert shown in report_text(scaled) and shown in report_page(scaled, report_data(scaled, {}))
    assert json.loads(report_json(scaled, {}))["ece_uncalibrated"] == scaled.ece_uncalibrated


def test_the_recall_gap_is_printed_in_points() -> None:
    figures = figures_of(random_rows(400))
    assert figures.recall_gap
    (line,) = [line for line in report_text(figures).splitlines() if line.startswith("recall gap")]
    assert line.split()[2] == f"{100 * figures.recall_gap:.1f}" and "points" in line


def test_photos_without_a_label_and_unreadable_ones_are_counted_apart() -> None:
    found = metrics_of(random_rows(400))
    assert (found["photos"], found["unreadable"]) == (402, 2)
    assert (found["labelled"], found["labelled_unreadable"], found["evaluated"]) == (301, 1, 300)


def test_wilson_interval_is_that_of_the_textbook() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_one_class_alone_gives_no_figure_that_needs_two() -> None:
    figures = figures_of([make_row("a.jpg", (0.9, 0.1), CLASSES, "Female", {})])
    assert figures.accuracy == 1 and figures.auroc is None
    assert figures.classes["Male"].recall is None and figures.recall_gap is None
    assert "Male" in report_text(figures)
    json.loads(report_json(figures, {}))


def test_html_report_shows_the_figures_and_escapes_what_it_is_about(tmp_path: Path) -> None:
    figures = figures_of(random_rows(100))
    write_report(str(tmp_path / "r.html"), figures, {"model": "<script>alert(1)</script>"})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    seen: list[str] = []
    parser = HTMLParser()
    parser.handle_data = seen.append  # type: ignore[method-assign, assignment]
    parser.feed(page)
    assert "<script>alert(1)" not in page and "<script>alert(1)</script>" in seen
    assert report_text(figures) in "".join(seen)


@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_coverage_stands_beside_the_accuracy_where_photos_got_no_answer(threshold: float) -> None:
    figures = figures_of(random_rows(2000, threshold))
    (line,) = [line for line in report_text(figures).splitlines() if line.startswith("accuracy  ")]
    assert ("answered (coverage)" in line) == bool(threshold)
    if threshold:
        answered = (figures.evaluated - figures.unsure) / figures.evaluated
        assert f"of the {100 * answered:.1f} % answered" in line


def test_photos_without_labels_are_summed_up_by_prediction() -> None:
    rows = [make_row(f"{i}.jpg", (i / 10, 1 - i / 10), CLASSES, "", dict.fromkeys(CLASSES, 0.75)) for i in range(10)]
    figures = figures_of([*rows, Row("x.jpg", error="empty file")])
    counted = pd.Series([row.prediction for row in rows]).value_counts()
    assert {name: count for name, count in figures.predictions.items() if count} == dict(counted)
    lines = dict(line.split()[:2] for line in summary_text(figures).splitlines())
    assert lines["photos"] == "11" and lines["unreadable"] == "1" and figures.unlabelled == 11
    assert {name: int(lines[name]) for name in counted.index} == dict(counted)


def test_the_figures_are_those_of_scikit_learn() -> None:
    rows = random_rows(3000)
    # Rounded as in a results file, many probabilities tie.
    rows = [make_row(r.path, [round(p, 2) for p in r.probabilities], CLASSES, r.label, {}) for r in rows if not r.error]
    figures, table = figures_of(rows), table_of(rows)
    assert figures.auroc == pytest.approx(metrics.roc_auc_score(table.label == "Male", table.male))
    assert figures.accuracy == pytest.approx(metrics.accuracy_score(table.label, table.prediction))
    assert figures.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(table.label, table.prediction))
    expected = metrics.precision_recall_fscore_support(table.label, table.prediction, labels=CLASSES)
    for index, name in enumerate(CLASSES):
        ours = figures.classes[name]
        assert (ours.precision, ours.recall, ours.f1, ours.support) == pytest.approx([each[index] for each in expected])
    confusion = metrics.confusion_matrix(table.label, table.prediction, labels=CLASSES)
    assert [[figures.confusion[a][b] for b in CLASSES] for a in CLASSES] == confusion.tolist()


@pytest.mark.parametrize(("correct", "count"), [(0, 20), (81, 263), (7, 7), (1, 1), (4_000, 5_000)])
def test_the_wilson_interval_is_that_of_statsmodels(correct: int, count: int) -> None:
    assert wilson(correct, count) == pytest.approx(proportion_confint(correct, count, 0.05, "wilson"), abs=1e-9)


def test_the_json_report_counts_the_confidences_of_the_rows() -> None:
    rows = random_rows(2000)
    details, table = json.loads(report_json(figures_of(rows), {}))["details"], table_of(rows)
    answers = table.male.gt(0.5).map({True: "Male", False: "Female"})
    for threshold in (0.5, 0.505, 0.75, 0.9, 1.0):
        answered = table.confidence >= threshold
        for cell in details["confidences"]:
            if cell["label"]:
                kept = zip(cell["steps"], cell["counts"], strict=True)
                above = sum(count for step, count in kept if step >= round(threshold * details["steps"]))
                assert above == (answered & (table.label == cell["label"]) & (answers == cell["answer"])).sum()
    assert sum(each["count"] for each in details["reliability"]) == len(table)
    unlabelled = [count for cell in details["confidences"] if not cell["label"] for count in cell["counts"]]
    assert sum(unlabelled) == sum(1 for row in rows if not row.label and not row.error)


@pytest.mark.parametrize("count", [60, 8000])
def test_the_curve_of_the_json_report_is_that_of_scikit_learn(count: int) -> None:
    rows = random_rows(count)
    curve, table = json.loads(report_json(figures_of(rows), {}))["details"]["curve"], table_of(rows)
    false, true, thresholds = metrics.roc_curve(table.label == curve["positive"], table.male, drop_intermediate=False)
    at = {round(each, 6): place for place, each in enumerate(thresholds[1:], 1)}
    assert min(len(table), 400) <= len(curve["thresholds"]) <= 500
    for threshold, right, wrong in zip(
        curve["thresholds"], curve["true_positives"], curve["false_positives"], strict=True
    ):
        assert right / curve["positives"] == pytest.approx(true[at[threshold]])
        assert wrong / curve["negatives"] == pytest.approx(false[at[threshold]])
    # So few points lose little of the area under the curve.
    area = np.trapezoid([0, *curve["true_positives"]], [0, *curve["false_positives"]])
    assert area / curve["positives"] / curve["negatives"] == pytest.approx(figures_of(rows).auroc, abs=1e-3)


def test_the_rows_worth_a_look_are_the_most_confident_mistakes_and_the_least_sure() -> None:
    rows = random_rows(2000)
    details = figures_of(rows).details
    readable = [row for row in rows if not row.error]
    mistakes = sorted((r for r in readable if r.label and r.label != r.prediction), key=lambda r: -max(r.probabilities))
    assert [row.path for row in details.mistakes] == [row.path for row in mistakes[:60]]
    least = sorted(readable, key=lambda row: max(row.probabilities))
    assert [row.path for row in details.least_sure] == [row.path for row in least[:60]]
    assert [row.path for row in details.unreadable] == ["broken.jpg", "x.jpg"] and not details.no_face
