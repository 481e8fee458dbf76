"""Rows to figures: counted one by one, so that a million rows take no more memory than ten."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from batchgender.model.metadata import ClassFigures
from batchgender.model.thresholds import UNSURE
from batchgender.photos.path_table import PathTable
from batchgender.report.details import Confidences, Details, NotableRows, score_curve
from batchgender.report.error_kinds import error_kind
from batchgender.report.figures import SMALL_FACE, AccuracyAtCoverage, Figures
from batchgender.report.group_counts import GroupCounts
from batchgender.report.statistics import CalibrationError, CoverageCounts, largest_gap, share, wilson
from batchgender.results.rows import NO_FACE, Row

# Probabilities have six decimals: a counter for each millionth loses nothing.
_MILLION = 1_000_000
# The share of the photos, the most confident ones, whose accuracy is reported beside that of all.
_COVERAGE = 0.9


class RowCounts:
    """Count rows as they come, and give the figures at the end.

    `temperature` and `bias` are those of the model's calibration, for the calibration error without it; `groups` are
    joined with the photos' paths.
    """

    def __init__(
        self,
        classes: Sequence[str],
        temperature: float = 1.0,
        groups: PathTable | None = None,
        bias: Sequence[float] = (),
    ) -> None:
        self.classes, self.temperature, self.bias = list(classes), temperature, bias or [0.0] * len(classes)
        self.photos = self.unreadable = self.no_face = self.faces = self.small_faces = 0
        self.rows = self.labelled = self.labelled_unreadable = self.labelled_no_face = 0
        self.predictions: Counter[str] = Counter()
        self.error_kinds: Counter[str] = Counter()
        count = len(self.classes)
        # Rows are labels; the last column is Unsure.
        self.confusion = np.zeros((count, count + 1), np.int64)
        self._scores = np.zeros((2, _MILLION + 1), np.int32) if count == 2 else None
        self._ece, self._ece_uncalibrated = CalibrationError(), CalibrationError()
        self._groups = GroupCounts(self.classes, groups) if groups else None
        self._covered = CoverageCounts()
        self._confidences, self._notable = Confidences(), NotableRows(self.classes)

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        # A photo's faces are numbered from 1.
        self.photos += row.face is None or row.face.number == 1
        if row.unreadable:
            self.unreadable += 1
            self.error_kinds[error_kind(row.error)] += 1
        self.no_face += row.error == NO_FACE
        if row.face:
            self.faces += 1
            self.small_faces += row.face.size < SMALL_FACE
        confidence = row.confidence
        best = -1 if confidence is None else row.probabilities.index(confidence)
        answer = "" if confidence is None else self.classes[best]
        self._notable.add(row, answer)
        is_labelled = row.label in self.classes
        if confidence is not None:
            self.predictions[row.prediction] += 1
            self._confidences.add(row.label if is_labelled else "", answer, confidence)
        if not is_labelled:
            return
        self.labelled += 1
        if confidence is None:
            self.labelled_unreadable += row.unreadable
            self.labelled_no_face += not row.unreadable
            return
        label = self.classes.index(row.label)
        predicted = -1 if row.prediction == UNSURE else self.classes.index(row.prediction)
        self.confusion[label, predicted] += 1
        if self._scores is not None:
            self._scores[label, round(row.probabilities[1] * _MILLION)] += 1
        correct = best == label
        self._ece.add(confidence, correct)
        if self.temperature != 1 or any(self.bias):
            before = uncalibrated(row.probabilities, self.temperature, self.bias)
            self._ece_uncalibrated.add(max(before), before.index(max(before)) == label)
        if self._groups:
            self._groups.add(row.path, label, predicted, confidence, best)
        self._covered.add(confidence, correct)

    @property
    def evaluated(self) -> int:
        """Labelled photos, or faces, with an answer."""
        return self.labelled - self.labelled_unreadable - self.labelled_no_face

    def figures(self) -> Figures:
        """The figures of the rows so far."""
        answers = self.confusion[:, :-1]
        answered, correct = int(answers.sum()), int(answers.trace())
        classes = {name: self._class_figures(index) for index, name in enumerate(self.classes)}
        recalls = [each.recall for each in classes.values() if each.recall is not None]
        return Figures(
            photos=self.photos,
            unreadable=self.unreadable,
            error_kinds=dict(self.error_kinds.most_common()),
            no_face=self.no_face,
            faces=self.faces,
            small_faces=self.small_faces,
            predictions={name: self.predictions[name] for name in [*self.classes, UNSURE]},
            unlabelled=self.rows - self.labelled,
            labelled=self.labelled,
            labelled_unreadable=self.labelled_unreadable,
            labelled_no_face=self.labelled_no_face,
            evaluated=self.evaluated,
            unsure=self.evaluated - answered,
            accuracy=share(correct, answered),
            accuracy_interval_95=wilson(correct, answered),
            balanced_accuracy=sum(recalls) / len(recalls) if recalls else None,
            recall_gap=largest_gap(recalls),
            classes=classes,
            confusion={
                name: dict(zip([*self.classes, UNSURE], map(int, self.confusion[index]), strict=True))
                for index, name in enumerate(self.classes)
            },
            auroc=self._auroc(),
            ece=self._ece.value(),
            ece_by_chance=self._ece.by_chance(),
            ece_uncalibrated=self._ece_uncalibrated.value(),
            accuracy_at_90=self._accuracy_at_coverage(),
            coverage=self._covered.points(),
            groups=self._groups.figures() if self._groups else None,
            details=self._details(),
        )

    def _details(self) -> Details:
        curve = None if self._scores is None else score_curve(self.classes[1], *self._seen_scores(self._scores))
        groups = self._groups.confidences() if self._groups else {}
        return self._notable.details(self._confidences, curve, self._ece.bins(), groups)

    def _class_figures(self, index: int) -> ClassFigures:
        answers = self.confusion[:, :-1]
        hits, answered, predicted = (
            int(answers[index, index]),
            int(answers[index].sum()),
            int(answers[:, index].sum()),
        )
        return ClassFigures(
            precision=share(hits, predicted),
            recall=share(hits, answered),
            recall_interval_95=wilson(hits, answered),
            f1=share(2 * hits, answered + predicted),
            support=int(self.confusion[index].sum()),
        )

    def _auroc(self) -> float | None:
        """Area under the ROC curve of the second class, ties counted half (Mann and Whitney 1947)."""
        if self._scores is None:
            return None
        _, negatives, positives = self._seen_scores(self._scores)
        pairs = int(negatives.sum()) * int(positives.sum())
        if not pairs:
            return None
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + negatives / 2)).sum() / pairs)

    def _accuracy_at_coverage(self) -> AccuracyAtCoverage | None:
        """Accuracy at 90 % coverage: of the most confident nine tenths, with all as confident as the last of them."""
        if self._scores is None or not self.evaluated:
            return None
        half = _MILLION // 2
        seen, first, second = self._seen_scores(self._scores)
        # How far a confidence is above a half, the largest first; of two equal probabilities the first class is taken.
        below, at = np.unique(-abs(seen - half), return_inverse=True)
        correct = np.bincount(at, np.where(seen <= half, first, second))
        covered = np.cumsum(np.bincount(at, first + second))
        last = int(np.searchsorted(covered, _COVERAGE * self.evaluated))
        return AccuracyAtCoverage(
            coverage=float(covered[last]) / self.evaluated,
            threshold=(half - int(below[last])) / _MILLION,
            accuracy=float(correct[: last + 1].sum()) / float(covered[last]),
        )

    @staticmethod
    def _seen_scores(scores: NDArray[np.int32]) -> tuple[NDArray[np.int64], ...]:
        """The scores that photos have, in millionths, and how many of the first and of the second class have each."""
        seen = np.flatnonzero(scores.any(0))
        return seen, *scores[:, seen].astype(np.int64)


def uncalibrated(probabilities: Sequence[float], temperature: float, bias: Sequence[float]) -> list[float]:
    """The probabilities before calibration: (p / e ** bias) ** T, normalised, is softmax(logits).

    They are those after it where numbers can't hold what a calibration that means nothing asks for.
    """
    logits = [temperature * (math.log(p) - b if p > 0 else -math.inf) for p, b in zip(probabilities, bias, strict=True)]
    largest = max(logits)
    if not math.isfinite(largest):
        return list(probabilities)
    powers = [math.exp(logit - largest) for logit in logits]
    return [power / sum(powers) for power in powers]
