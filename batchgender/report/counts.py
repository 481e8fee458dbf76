"""Labelled rows to metrics, as text, JSON and HTML."""

import html
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from batchgender.errors import UserError, os_reason
from batchgender.io import bounds, percent
from batchgender.model.thresholds import UNSURE
from batchgender.report.group_counts import GroupCounts, groups_text
from batchgender.report.groups_csv import GroupFile
from batchgender.report.statistics import CalibrationError, gap, share, wilson
from batchgender.results.results_file import Row

NOTE = (
    "The model predicts how a photo's subject was labelled in its training data, not a person's identity."
    " Read the figures of each class beside the overall one."
)
_MICRO = 1_000_000
# The share of the photos, the surest ones, whose accuracy is reported beside that of all.
_SUREST = 0.9
_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class Report:
    """Count rows as they come, and give the figures at the end; its size does not grow with the rows.

    Accuracy, recall, precision and F1 are over the labelled photos that were answered (readable, not Unsure);
    AUROC, expected calibration error and accuracy against coverage are over all labelled readable ones.
    """

    def __init__(
        self,
        classes: Sequence[str],
        temperature: float = 1.0,
        groups: GroupFile | None = None,
        bias: Sequence[float] = (),
    ) -> None:
        self.classes, self.temperature, self.bias = list(classes), temperature, bias or [0.0] * len(classes)
        self.photos = 0
        self.unreadable = 0
        self.labelled = 0
        self.labelled_unreadable = 0
        count = len(self.classes)
        # Rows are labels; the last column is Unsure.
        self.confusion = np.zeros((count, count + 1), np.int64)
        # Probabilities have six decimals, so a counter for each millionth loses nothing.
        self._scores = np.zeros((2, _MICRO + 1), np.int32) if count == 2 else None
        self._ece, self._ece_uncalibrated = CalibrationError(), CalibrationError()
        self._groups = GroupCounts(self.classes, groups) if groups else None
        self._covered = np.zeros((len(_THRESHOLDS), 2), np.int64)

    def add(self, row: Row) -> None:
        """Count one row."""
        self.photos += 1
        self.unreadable += bool(row.error)
        if row.label not in self.classes:
            return
        self.labelled += 1
        if row.error or row.confidence is None:
            self.labelled_unreadable += 1
            return
        label = self.classes.index(row.label)
        predicted = -1 if row.prediction == UNSURE else self.classes.index(row.prediction)
        self.confusion[label, predicted] += 1
        if self._scores is not None:
            self._scores[label, round(row.probabilities[1] * _MICRO)] += 1
        correct = row.probabilities.index(row.confidence) == label
        self._ece.add(row.confidence, correct)
        if self.temperature != 1 or any(self.bias):
            before = uncalibrated(row.probabilities, self.temperature, self.bias)
            self._ece_uncalibrated.add(max(before), before.index(max(before)) == label)
        if self._groups:
            self._groups.add(row.path, label, predicted)
        for index, threshold in enumerate(_THRESHOLDS):
            if row.confidence >= threshold:
                self._covered[index] += (1, correct)

    @property
    def evaluated(self) -> int:
        """Labelled photos that could be read."""
        return self.labelled - self.labelled_unreadable

    def metrics(self) -> dict[str, Any]:
        """The figures as plain data; None where a figure has nothing to stand on."""
        answers = self.confusion[:, :-1]
        answered, correct = int(answers.sum()), int(answers.trace())
        classes = {name: self._class_metrics(index) for index, name in enumerate(self.classes)}
        recalls = [c["recall"] for c in classes.values() if c["recall"] is not None]
        return {
            "photos": self.photos,
            "unreadable": self.unreadable,
            "labelled": self.labelled,
            "labelled_unreadable": self.labelled_unreadable,
            "evaluated": self.evaluated,
            "unsure": self.evaluated - answered,
            "accuracy": share(correct, answered),
            "accuracy_interval_95": wilson(correct, answered),
            "balanced_accuracy": sum(recalls) / len(recalls) if recalls else None,
            "recall_gap": gap(recalls),
            "classes": classes,
            "confusion": {
                name: dict(zip([*self.classes, UNSURE], map(int, self.confusion[index]), strict=True))
                for index, name in enumerate(self.classes)
            },
            "auroc": self._auroc(),
            "ece": self._ece.value(),
            "ece_by_chance": self._ece.by_chance(),
            "ece_uncalibrated": self._ece_uncalibrated.value(),
            "surest": self._surest(),
            "coverage": [
                {
                    "threshold": t,
                    "coverage": share(int(n), self.evaluated),
                    "accuracy": share(int(right), int(n)),
                }
                for t, (n, right) in zip(_THRESHOLDS, self._covered, strict=True)
            ],
            "groups": self._groups.metrics() if self._groups else None,
        }

    def _class_metrics(self, index: int) -> dict[str, Any]:
        answers = self.confusion[:, :-1]
        hits, answered, predicted = (
            int(answers[index, index]),
            int(answers[index].sum()),
            int(answers[:, index].sum()),
        )
        return {
            "precision": share(hits, predicted),
            "recall": share(hits, answered),
            "recall_interval_95": wilson(hits, answered),
            "f1": share(2 * hits, answered + predicted),
            "support": int(self.confusion[index].sum()),
        }

    def _auroc(self) -> float | None:
        """Area under the ROC curve of the second class, ties counted half (Mann and Whitney 1947)."""
        if self._scores is None:
            return None
        negatives, positives = self._scores.astype(np.int64)
        pairs = int(negatives.sum()) * int(positives.sum())
        if not pairs:
            return None
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + negatives / 2)).sum() / pairs)

    def _surest(self) -> dict[str, float] | None:
        """Accuracy at 90 % coverage: of the nine tenths that are surest, and of those as sure as the last of them."""
        if self._scores is None or not self.evaluated:
            return None
        # Columns are the confidence in millionths from a half up; of two equal probabilities the first class is taken.
        half = _MICRO // 2
        correct, total = self._scores[0, half::-1].astype(np.int64), self._scores[:, half::-1].sum(0, dtype=np.int64)
        correct[1:] += self._scores[1, half + 1 :]
        total[1:] += self._scores[:, half + 1 :].sum(0)
        covered = np.cumsum(total[::-1])
        last = int(np.searchsorted(covered, _SUREST * self.evaluated))
        return {
            "coverage": int(covered[last]) / self.evaluated,
            "threshold": (_MICRO - last) / _MICRO,
            "accuracy": int(correct[half - last :].sum()) / int(covered[last]),
        }


def uncalibrated(probabilities: Sequence[float], temperature: float, bias: Sequence[float]) -> list[float]:
    """The probabilities as they were before calibration: (p / e ** bias) ** T, normalised, is softmax(logits)."""
    powers = [(p / math.exp(b)) ** temperature for p, b in zip(probabilities, bias, strict=True)]
    return [power / sum(powers) for power in powers]


def _interval(interval: Sequence[float] | None) -> str:
    return f"95 % interval {bounds(interval)}" if interval else ""


def as_text(metrics: dict[str, Any]) -> str:
    """Lay the figures out for a terminal."""
    classes = metrics["classes"]
    names = list(classes)
    left = ", ".join(
        f"{metrics[key]:,} {word}"
        for key, word in (("labelled_unreadable", "unreadable"), ("unsure", "unsure"))
        if metrics[key]
    )
    counts = f"{metrics['labelled']:,} labelled photos" + (f", of which {left}" if left else "")
    lines = [
        counts,
        f"accuracy           {percent(metrics['accuracy']):>8}   {_interval(metrics['accuracy_interval_95'])}",
        f"balanced accuracy  {percent(metrics['balanced_accuracy']):>8}",
    ]
    if metrics["recall_gap"] is not None:
        lines.append(f"recall gap         {100 * metrics['recall_gap']:>6.1f}     points between the classes")
    if metrics["auroc"] is not None:
        lines.append(f"AUROC              {metrics['auroc']:>8.4f}")
    if metrics["ece"] is not None:
        before = metrics["ece_uncalibrated"]
        scaled = "" if before is None else f"{before:.4f} before calibration, "
        chance = f"({scaled}{metrics['ece_by_chance']:.4f} by chance alone)"
        lines.append(f"calibration error  {metrics['ece']:>8.4f}   expected (ECE, 15 bins) {chance}")
    if metrics["surest"]:
        surest = metrics["surest"]
        lines.append(
            f"accuracy at 90 %   {percent(surest['accuracy']):>8}   coverage: the surest photos, confidence at least"
            f" {surest['threshold']:.2f}"
        )
    width = max(len("class"), *map(len, names))
    lines += ["", f"{'class':<{width}}  {'recall':>8}  {'precision':>9}  {'F1':>8}  {'support':>8}"]
    for name, figures in classes.items():
        lines.append(
            f"{name:<{width}}  {percent(figures['recall']):>8}  {percent(figures['precision']):>9}"
            f"  {percent(figures['f1']):>8}  {figures['support']:>8,}   {_interval(figures['recall_interval_95'])}"
        )
    predicted = [*names, UNSURE] if metrics["unsure"] else names
    lines += ["", f"{'confusion':<{width + 8}}" + "".join(f"{'as ' + name:>12}" for name in predicted)]
    for name in names:
        row = metrics["confusion"][name]
        lines.append(f"{name:<{width + 8}}" + "".join(f"{row[column]:>12,}" for column in predicted))
    lines += ["", "confidence at least   coverage   accuracy"]
    for point in metrics["coverage"]:
        lines.append(f"{point['threshold']:>19.2f}   {percent(point['coverage']):>8}   {percent(point['accuracy']):>8}")
    if metrics["groups"]:
        lines += ["", groups_text(metrics["groups"])]
    return "\n".join(lines)


def as_json(metrics: dict[str, Any], about: dict[str, Any]) -> str:
    """The figures with what they are about (model, source, threshold), as JSON."""
    return json.dumps({"schema": 1, **about, **metrics, "note": NOTE}, indent=2, ensure_ascii=False) + "\n"


def as_html(metrics: dict[str, Any], about: dict[str, Any]) -> str:
    """The same as one page that needs nothing else."""
    facts = "".join(f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>" for k, v in about.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>batchgender report</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:48rem;padding:0 1rem}"
        "th{text-align:left;padding-right:1rem;vertical-align:top}td{overflow-wrap:anywhere}"
        "pre{background:#f4f4f4;padding:1rem;overflow-x:auto}</style>"
        f"<h1>batchgender report</h1><table>{facts}</table>"
        f"<pre>{html.escape(as_text(metrics))}</pre><p>{html.escape(NOTE)}</p></html>\n"
    )


def check_report(file: str) -> None:
    """Raise UserError where a report of this name can't be made, before any work is done."""
    if not file.endswith((".json", ".html")):
        raise UserError(f"{file}: unknown report format; end the name in .json or .html")
    if not Path(file).parent.is_dir():
        raise UserError(f"{Path(file).parent}: no such folder; make it first or choose another --report")


def write_report(file: str, metrics: dict[str, Any], about: dict[str, Any]) -> None:
    """Write the report, whole or not at all, as HTML where the name ends in .html, else as JSON."""
    text = as_html(metrics, about) if file.endswith(".html") else as_json(metrics, about)
    part = Path(file + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{file}: can't write the report ({os_reason(error)}); all else is written") from error
