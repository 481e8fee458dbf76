import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchgender.report.counts import Report, as_html, as_json, as_text, write_report
from batchgender.report.statistics import wilson
from batchgender.results.results_file import Row, make_row

CLASSES = ["Female", "Male"]


def random_rows(count: int, threshold: float = 0.0) -> list[Row]:
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        label = ("Female", "Male", "Male", "")[index % 4]
        male = rng.beta(2, 1) if label == "Male" else rng.beta(1, 2)
        rows.append(make_row(f"{index}.jpg", (1 - male, male), CLASSES, label, dict.fromkeys(CLASSES, threshold)))
    return [*rows, Row("broken.jpg", label="Female", error="empty file"), Row("x.jpg", error="empty file")]


def metrics_of(rows: list[Row], temperature: float = 1.0, bias: tuple[float, ...] = ()) -> dict:
    report = Report(CLASSES, temperature, bias=bias)
    for row in rows:
        report.add(row)
    return report.metrics()


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
    metrics, table = metrics_of(rows), table_of(rows)
    answered = table[table.prediction != "Unsure"]
    right = answered.label == answered.prediction
    assert metrics["accuracy"] == pytest.approx(right.mean())
    assert metrics["unsure"] == len(table) - len(answered)
    recalls = []
    for name in CLASSES:
        hits = (right & (answered.label == name)).sum()
        recall, precision = hits / (answered.label == name).sum(), hits / (answered.prediction == name).sum()
        recalls.append(recall)
        figures = metrics["classes"][name]
        assert figures["recall"] == pytest.approx(recall)
        assert figures["precision"] == pytest.approx(precision)
        assert figures["f1"] == pytest.approx(2 * recall * precision / (recall + precision))
        assert figures["support"] == (table.label == name).sum()
    assert metrics["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert metrics["recall_gap"] == pytest.approx(max(recalls) - min(recalls))
    counts = pd.crosstab(table.label, table.prediction)
    for name in CLASSES:
        assert {k: v for k, v in metrics["confusion"][name].items() if v} == dict(counts.loc[name])


def test_auroc_and_calibration_are_those_recomputed_from_the_rows() -> None:
    rows = random_rows(500)
    metrics, table = metrics_of(rows), table_of(rows)
    male, female = table.male[table.label == "Male"].to_numpy(), table.male[table.label == "Female"].to_numpy()
    above = (male[:, None] > female).mean() + (male[:, None] == female).mean() / 2
    assert metrics["auroc"] == pytest.approx(above)
    table["right"] = table.label == table.prediction
    bins = table.groupby(pd.cut(table.confidence, np.linspace(0, 1, 16)), observed=True)
    gaps = (bins.right.mean() - bins.confidence.mean()).abs() * bins.size() / len(table)
    assert metrics["ece"] == pytest.approx(gaps.sum())
    surest = table.sort_values("confidence", ascending=False).head(int(np.ceil(0.9 * len(table))))
    kept = table[table.confidence >= surest.confidence.min()]
    assert metrics["surest"]["accuracy"] == pytest.approx(kept.right.mean())
    assert metrics["surest"]["coverage"] == len(kept) / len(table) >= 0.9
    assert metrics["surest"]["threshold"] == pytest.approx(kept.confidence.min(), abs=1e-6)
    for point in metrics["coverage"]:
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
        metrics = metrics_of(rows)
        shown.append(metrics["ece"])
    assert metrics["ece_by_chance"] == pytest.approx(np.mean(shown), rel=0.1)
    assert metrics["ece_by_chance"] > 0.01


@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_calibration_error_before_calibration_is_that_of_the_logits(bias: float) -> None:
    temperature, rng = 2.5, np.random.default_rng(1)
    labels = rng.integers(2, size=1000)
    logits = np.stack([np.zeros(1000), rng.normal(3 * (2 * labels - 1), 4)], 1)

    def rows(scale: float, bias: float = 0.0) -> list[Row]:
        shares = 1 / (1 + np.exp(-logits[:, 1] / scale - bias))
        return [make_row("", (1 - p, p), CLASSES, CLASSES[i], {}) for p, i in zip(shares, labels, strict=True)]

    scaled, plain = metrics_of(rows(temperature, bias), temperature, (0.0, bias)), metrics_of(rows(1.0))
    assert scaled["ece_uncalibrated"] == pytest.approx(plain["ece"], abs=1e-4)
    assert scaled["ece"] != pytest.approx(plain["ece"], abs=1e-2)
    assert plain["ece_uncalibrated"] is None and "before calibration" not in as_text(plain)
    shown = f"({scaled['ece_uncalibrated']:.4f} before calibration, {scaled['ece_by_chance']:.4f} by chance alone)"
    assert shown in as_text(scaled) and shown in as_html(scaled, {})
    assert json.loads(as_json(scaled, {}))["ece_uncalibrated"] == scaled["ece_uncalibrated"]


def test_the_recall_gap_is_printed_in_points() -> None:
    metrics = metrics_of(random_rows(400))
    assert f"{100 * metrics['recall_gap']:.1f}     points between the classes" in as_text(metrics)


def test_photos_without_a_label_and_unreadable_ones_are_counted_apart() -> None:
    metrics = metrics_of(random_rows(400))
    assert (metrics["photos"], metrics["unreadable"]) == (402, 2)
    assert (metrics["labelled"], metrics["labelled_unreadable"], metrics["evaluated"]) == (301, 1, 300)


def test_wilson_interval_is_that_of_the_textbook() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_one_class_alone_gives_no_figure_that_needs_two() -> None:
    metrics = metrics_of([make_row("a.jpg", (0.9, 0.1), CLASSES, "Female", {})])
    assert metrics["accuracy"] == 1 and metrics["auroc"] is None
    assert metrics["classes"]["Male"]["recall"] is None and metrics["recall_gap"] is None
    assert "Male" in as_text(metrics)
    json.loads(as_json(metrics, {}))


def test_html_report_shows_the_figures_and_escapes_what_it_is_about(tmp_path: Path) -> None:
    metrics = metrics_of(random_rows(100))
    write_report(str(tmp_path / "r.html"), metrics, {"model": "<script>alert(1)</script>"})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    seen: list[str] = []
    parser = HTMLParser()
    parser.handle_data = seen.append  # type: ignore[method-assign]
    parser.feed(page)
    assert "<script>" not in page and "<script>alert(1)</script>" in seen
    assert as_text(metrics) in "".join(seen)
