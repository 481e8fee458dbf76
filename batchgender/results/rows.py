"""Rows: what is known of one photo, and the columns of a results file."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgender.errors import UserError
from batchgender.model.thresholds import decide


@dataclass(frozen=True)
class Row:
    """What is known of one photo. `probabilities` are in class order, six decimals, empty where unreadable."""

    path: str
    prediction: str = ""
    probabilities: tuple[float, ...] = ()
    label: str = ""
    error: str = ""

    @property
    def confidence(self) -> float | None:
        """The largest probability, None where the photo could not be read."""
        return max(self.probabilities, default=None)


def make_row(
    path: str, probabilities: Iterable[float], classes: Sequence[str], label: str, thresholds: Mapping[str, float]
) -> Row:
    """Make the row of a readable photo; `thresholds` by class decide its prediction (see `thresholds.decide`).

    Raises UserError where a probability is no number.
    """
    # Rounded here, so that whoever reads the file computes the same figures as the report.
    rounded = tuple(round(float(p), 6) for p in probabilities)
    if not all(map(math.isfinite, rounded)):
        raise UserError(f"{path}: the model's answer to it is no number; the model is damaged, or unsound")
    return Row(path, decide(rounded, classes, thresholds), rounded, label)


def columns(classes: Sequence[str]) -> list[str]:
    """Name the columns of a results file for these classes, in order."""
    probabilities = [f"p_{name.lower()}" for name in classes]
    return ["path", "prediction", "confidence", *probabilities, "label", "error"]


def row_to_cells(row: Row, classes: Sequence[str]) -> list[str]:
    """The cells of a row in the order of `columns`, as text."""
    numbers = [] if row.confidence is None else [f"{p:.6f}" for p in (row.confidence, *row.probabilities)]
    return [row.path, row.prediction, *(numbers or [""] * (1 + len(classes))), row.label, row.error]


def cells_to_row(cells: Sequence[str]) -> Row:
    """The row that `row_to_cells` made the cells of."""
    path, prediction, _, *probabilities, label, error = cells
    return Row(path, prediction, tuple(float(p) for p in probabilities if p), label, error)


def row_to_values(row: Row, classes: Sequence[str]) -> dict[str, Any]:
    """The values of a row by column: text, and numbers or None."""
    numbers = row.probabilities or [None] * len(classes)
    values = [row.path, row.prediction, row.confidence, *numbers, row.label, row.error]
    return dict(zip(columns(classes), values, strict=True))
