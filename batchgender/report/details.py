"""What the page draws beside the figures: confidences by label and answer, curves, and the photos worth a look."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchgender.faces.face import Face
from batchgender.results.rows import NO_FACE, Row

# Confidences are counted in so many steps of equal width: a threshold at a step is counted exactly.
STEPS = 200
_MILLION = 1_000_000
_CURVE_POINTS = 500
# Photos of each kind that a person looks at.
_SHOWN = 60


@dataclass(frozen=True)
class ConfidenceCounts:
    """Photos of one `label` ("" for none) whose most probable class is `answer`, by their confidence.

    `counts[i]` of them have a confidence from `steps[i] / STEPS` up to the next step.
    """

    label: str
    answer: str
    steps: list[int]
    counts: list[int]


@dataclass(frozen=True)
class ScoreCurve:
    """The photos whose probability of the class `positive` is at least each threshold, right and wrong ones.

    Of them ROC and precision-recall curves are drawn. `positives` and `negatives` are all photos, by their label; the
    thresholds fall, and are at most 500, evenly spread along the ROC curve.
    """

    positive: str
    positives: int
    negatives: int
    thresholds: list[float]
    true_positives: list[int]
    false_positives: list[int]


@dataclass(frozen=True)
class ReliabilityBin:
    """The photos with a confidence in (lower, upper]: how many, their mean confidence, and their accuracy."""

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class NotableRow:
    """A row worth a look; `answer` is its most probable class, whatever the threshold, "" where it has none."""

    path: str
    time: float | None
    face: Face | None
    label: str
    prediction: str
    answer: str
    confidence: float | None
    error: str


@dataclass(frozen=True)
class Details:
    """What is drawn of a run.

    `groups` has, for each column of a groups file and each of its groups, the counts of the labelled photos in it.
    `mistakes` begin with the most confident one, `least_sure` with the least confident; `unreadable` and `no_face` are
    the first ones.
    """

    steps: int
    confidences: list[ConfidenceCounts]
    curve: ScoreCurve | None
    reliability: list[ReliabilityBin]
    mistakes: list[NotableRow]
    least_sure: list[NotableRow]
    unreadable: list[NotableRow]
    no_face: list[NotableRow]
    groups: dict[str, dict[str, list[ConfidenceCounts]]]

    def notable(self) -> Iterable[NotableRow]:
        """All rows worth a look; one may stand twice."""
        return [*self.mistakes, *self.least_sure, *self.unreadable, *self.no_face]


class Confidences:
    """Counts of photos by label, most probable class and step of the confidence."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def add(self, label: str, answer: str, confidence: float) -> None:
        """Count a photo; `confidence` has six decimals, and falls to the step at or below it."""
        self._counts[label, answer, round(confidence * _MILLION) // (_MILLION // STEPS)] += 1

    def counts(self) -> list[ConfidenceCounts]:
        """The counts, a record for each label and answer."""
        cells: dict[tuple[str, str], ConfidenceCounts] = {}
        for (label, answer, step), count in sorted(self._counts.items()):
            cell = cells.setdefault((label, answer), ConfidenceCounts(label, answer, [], []))
            cell.steps.append(step)
            cell.counts.append(count)
        return list(cells.values())


class NotableRows:
    """The rows that a person looks at: a few of each kind are held, however many come."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        # Heaps whose first one is the next to go: of equal confidences the row that came last.
        self._mistakes: list[tuple[float, int, NotableRow]] = []
        self._least_sure: list[tuple[float, int, NotableRow]] = []
        self._unreadable: list[NotableRow] = []
        self._no_face: list[NotableRow] = []
        self._seen = 0

    def add(self, row: Row, answer: str) -> None:
        """Look at a row; `answer` is its most probable class, "" where it has none."""
        self._seen += 1
        if row.confidence is None:
            rows = self._no_face if row.error == NO_FACE else self._unreadable
            if len(rows) < _SHOWN:
                rows.append(_notable(row, answer))
            return
        self._keep(self._least_sure, -row.confidence, row, answer)
        called = row.prediction if row.prediction in self._classes else answer
        if row.label in self._classes and called != row.label:
            self._keep(self._mistakes, row.confidence, row, answer)

    def _keep(self, heap: list[tuple[float, int, NotableRow]], rank: float, row: Row, answer: str) -> None:
        if len(heap) < _SHOWN:
            heapq.heappush(heap, (rank, -self._seen, _notable(row, answer)))
        elif rank > heap[0][0]:
            heapq.heapreplace(heap, (rank, -self._seen, _notable(row, answer)))

    def details(
        self,
        confidences: Confidences,
        curve: ScoreCurve | None,
        reliability: list[ReliabilityBin],
        groups: dict[str, dict[str, list[ConfidenceCounts]]],
    ) -> Details:
        """The rows so far, with what else is drawn."""
        mistakes, least_sure = (
            [row for _, _, row in sorted(heap, key=lambda kept: kept[:2], reverse=True)]
            for heap in (self._mistakes, self._least_sure)
        )
        others = list(self._unreadable), list(self._no_face)
        return Details(STEPS, confidences.counts(), curve, reliability, mistakes, least_sure, *others, groups)


def score_curve(
    positive: str, scores: NDArray[np.int64], negatives: NDArray[np.int64], positives: NDArray[np.int64]
) -> ScoreCurve | None:
    """The curve of photos counted int64 [scores] by their score in millionths, ascending; None without both sides."""
    total = int(positives.sum()), int(negatives.sum())
    if not all(total):
        return None
    true, false = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
    along = true / total[0] + false / total[1]
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _CURVE_POINTS)))
    thresholds = (scores[::-1][kept] / _MILLION).tolist()
    return ScoreCurve(positive, *total, thresholds, true[kept].tolist(), false[kept].tolist())


def _notable(row: Row, answer: str) -> NotableRow:
    return NotableRow(row.path, row.time, row.face, row.label, row.prediction, answer, row.confidence, row.error)
