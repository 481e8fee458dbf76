"""Figures for each group of photos, and how far the groups lie apart."""

import re
from collections.abc import Sequence
from typing import Any

from batchgender.io import bounds, percent
from batchgender.report.groups_csv import GroupFile
from batchgender.report.statistics import gap, share, wilson

SMALLEST = 30
_SHOWN = 200


class GroupCounts:
    """Count labelled, readable photos in the groups of a groups file; grows with the groups alone.

    As in the report, accuracy and recall are over the photos that were answered (not Unsure).
    """

    def __init__(self, classes: Sequence[str], groups: GroupFile) -> None:
        self.classes, self.groups = list(classes), groups
        self._none = ("",) * len(groups.columns)
        # For each column and group, photos by label and answer; the last answer is Unsure. "" is no group.
        self._counts: list[dict[str, list[list[int]]]] = [{} for _ in groups.columns]

    def add(self, path: str, label: int, predicted: int) -> None:
        """Count a photo by its path, the index of its label, and that of its prediction, -1 for Unsure."""
        for column, group in zip(self._counts, self.groups.rows.get(path, self._none), strict=True):
            if group not in column:
                column[group] = [[0] * (len(self.classes) + 1) for _ in self.classes]
            column[group][label][predicted] += 1

    def metrics(self) -> dict[str, Any]:
        """The figures as plain data: for each column its groups, its gaps, and how many photos are in no group."""
        columns = zip(self.groups.columns, self._counts, strict=True)
        return {
            "file": self.groups.file,
            "smallest_group": SMALLEST,
            "columns": {name: self._column(counts) for name, counts in columns},
        }

    def _column(self, counts: dict[str, list[list[int]]]) -> dict[str, Any]:
        groups = {name: self._group(counts[name]) for name in sorted(filter(None, counts), key=_natural)}
        large = [group for group in groups.values() if not group["small"]]
        # Of a class too, few photos say little: a group of a hundred may hold ten of it.
        recalls = [
            gap([of["recall"] for group in large if (of := group["classes"][name])["count"] >= SMALLEST])
            for name in self.classes
        ]
        return {
            "groups": groups,
            "in_no_group": sum(map(sum, counts.get("", []))),
            "accuracy_gap": gap([group["accuracy"] for group in large]),
            # Hardt et al. 2016: over two classes, the larger of the gaps in true and in false positive rate.
            "equalized_odds_difference": max((g for g in recalls if g is not None), default=None),
        }

    def _group(self, confusion: list[list[int]]) -> dict[str, Any]:
        count = sum(map(sum, confusion))
        hits = [row[index] for index, row in enumerate(confusion)]
        answered = [sum(row[:-1]) for row in confusion]
        return {
            "count": count,
            "unsure": count - sum(answered),
            "small": count < SMALLEST,
            "accuracy": share(sum(hits), sum(answered)),
            "accuracy_interval_95": wilson(sum(hits), sum(answered)),
            "classes": {
                name: {
                    "count": sum(confusion[index]),
                    "unsure": confusion[index][-1],
                    "recall": share(hits[index], answered[index]),
                    "recall_interval_95": wilson(hits[index], answered[index]),
                }
                for index, name in enumerate(self.classes)
            },
        }


def groups_text(metrics: dict[str, Any]) -> str:
    """Lay the figures of the groups out for a terminal, a table a column."""
    tables = [_table(name, column) for name, column in metrics["columns"].items()]
    if any(group["small"] for column in metrics["columns"].values() for group in column["groups"].values()):
        tables.append(f"* fewer than {metrics['smallest_group']} labelled photos: left out of the gaps")
    tables.append(
        f"the equalised-odds difference is over recalls of {metrics['smallest_group']} labelled photos or more"
    )
    return "\n\n".join(tables)


def _table(name: str, column: dict[str, Any]) -> str:
    groups = column["groups"]
    shown = dict(list(groups.items())[:_SHOWN])
    width = max([len(name), *(len(group) + 2 for group in shown)])
    classes = list(next(iter(groups.values()))["classes"]) if groups else []
    heads = ["accuracy", *(f"recall {each}" for each in classes)]
    lines = [f"{name:<{width}}  {'count':>7}" + "".join(f"   {head:<30}" for head in heads).rstrip()]
    for group, figures in shown.items():
        cells = [_cell(figures, "accuracy"), *(_cell(each, "recall") for each in figures["classes"].values())]
        marked = group + (" *" if figures["small"] else "")
        lines.append(
            f"{marked:<{width}}  {figures['count']:>7,}" + "".join(f"   {cell:<30}" for cell in cells).rstrip()
        )
    if len(groups) > len(shown):
        lines.append(f"and {len(groups) - len(shown):,} more groups, in the JSON report")
    apart = column["accuracy_gap"], column["equalized_odds_difference"]
    if apart[0] is None:
        lines.append("fewer than two groups to compare")
    else:
        odds = "-" if apart[1] is None else f"{apart[1]:.3f}"
        lines.append(f"largest gap in accuracy {100 * apart[0]:.1f} points, equalised-odds difference {odds}")
    if column["in_no_group"]:
        lines.append(f"{column['in_no_group']:,} labelled photos in no group")
    return "\n".join(lines)


def _cell(figures: dict[str, Any], key: str) -> str:
    if figures[key] is None:
        return f"{'-':>7}"
    answered = figures["count"] - figures["unsure"]
    return f"{percent(figures[key]):>7} of {answered:<6,} {bounds(figures[f'{key}_interval_95'])}"


def _natural(name: str) -> list[str | int]:
    """Order "5-9" before "10-19"."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
