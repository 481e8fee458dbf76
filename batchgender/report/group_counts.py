"""Counts and figures for each group of photos, and how far the groups lie apart."""

import re
from collections.abc import Iterable, Sequence

from batchgender.photos.path_table import PathTable
from batchgender.report.details import ConfidenceCounts, Confidences
from batchgender.report.figures import GroupClassFigures, GroupFigures, GroupingFigures, GroupsFigures
from batchgender.report.statistics import CalibrationError, CoverageCounts, largest_gap, share, wilson

# Groups of fewer labelled photos are left out of comparisons: their figures are mostly chance.
SMALLEST = 30


class _Group:
    """The counts of one group: photos by label and answer, the last answer being Unsure, and how sure they were."""

    def __init__(self, classes: int) -> None:
        self.confusion = [[0] * (classes + 1) for _ in range(classes)]
        self.ece, self.covered, self.confidences = CalibrationError(), CoverageCounts(), Confidences()

    @property
    def count(self) -> int:
        return sum(map(sum, self.confusion))


class GroupCounts:
    """Count labelled, readable photos in the groups of a groups file; memory grows with the groups alone.

    As in the report, accuracy and recall are over the photos that were answered (not Unsure).
    """

    def __init__(self, classes: Sequence[str], groups: PathTable) -> None:
        self.classes, self.groups = list(classes), groups
        # The groups of each column by name; "" is no group.
        self._counts: list[dict[str, _Group]] = [{} for _ in groups.columns]

    def add(self, path: str, label: int, predicted: int, confidence: float, best: int) -> None:
        """Count a photo by its path, the index of its label, and that of its prediction, -1 for Unsure.

        `confidence` is its largest probability, and `best` the index of the class with it.
        """
        correct = best == label
        for column, group in zip(self._counts, self.groups.of(path), strict=True):
            if group not in column:
                column[group] = _Group(len(self.classes))
            column[group].confusion[label][predicted] += 1
            column[group].ece.add(confidence, correct)
            column[group].covered.add(confidence, correct)
            column[group].confidences.add(self.classes[label], self.classes[best], confidence)

    def confidences(self) -> dict[str, dict[str, list[ConfidenceCounts]]]:
        """The photos of each group by label, most probable class and confidence, for each column."""
        columns = zip(self.groups.columns, self._counts, strict=True)
        return {
            name: {group: counts[group].confidences.counts() for group in _in_order(counts)} for name, counts in columns
        }

    def figures(self) -> GroupsFigures:
        """The figures of the photos so far."""
        columns = zip(self.groups.columns, self._counts, strict=True)
        return GroupsFigures(self.groups.file, SMALLEST, {name: self._grouping(counts) for name, counts in columns})

    def _grouping(self, counts: dict[str, _Group]) -> GroupingFigures:
        groups = {name: self._group(counts[name]) for name in _in_order(counts)}
        large = [group for group in groups.values() if not group.small]
        # A group of a hundred may hold ten photos of a class: its recall is left out, too.
        recall_gaps = [
            largest_gap([of.recall for group in large if (of := group.classes[name]).count >= SMALLEST])
            for name in self.classes
        ]
        return GroupingFigures(
            groups=groups,
            in_no_group=counts[""].count if "" in counts else 0,
            accuracy_gap=largest_gap([group.accuracy for group in large]),
            # Hardt et al. 2016: over two classes, the larger of the gaps in true and in false positive rate.
            equalized_odds_difference=max((gap for gap in recall_gaps if gap is not None), default=None),
        )

    def _group(self, counted: _Group) -> GroupFigures:
        confusion, count = counted.confusion, counted.count
        hits = [row[index] for index, row in enumerate(confusion)]
        answered = [sum(row[:-1]) for row in confusion]
        return GroupFigures(
            count=count,
            unsure=count - sum(answered),
            small=count < SMALLEST,
            accuracy=share(sum(hits), sum(answered)),
            accuracy_interval_95=wilson(sum(hits), sum(answered)),
            ece=counted.ece.value(),
            coverage=counted.covered.points(),
            classes={
                name: GroupClassFigures(
                    count=sum(confusion[index]),
                    unsure=confusion[index][-1],
                    recall=share(hits[index], answered[index]),
                    recall_interval_95=wilson(hits[index], answered[index]),
                )
                for index, name in enumerate(self.classes)
            },
        )


def _in_order(groups: Iterable[str]) -> list[str]:
    return sorted(filter(None, groups), key=_natural_order)


def _natural_order(name: str) -> list[tuple[int, str]]:
    """Order "5-9" before "10-19"."""
    # A number is compared by how many digits it has, then digit by digit: it may be longer than Python turns into one.
    parts = re.split(r"(\d+)", name)
    return [(len(digits := part.lstrip("0")), digits) if at % 2 else (0, part) for at, part in enumerate(parts)]
