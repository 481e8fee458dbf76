"""The rows of an unfinished run: whether they are such as a run writes, and still those of its photos."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from batchgender.model.thresholds import decide
from batchgender.results.rows import Row, RowLayout

# How far from 1 the sum of a model's probabilities may be: those of others are taken for such up to 0.001, and each is
# rounded to six decimals.
_SUM, _ROUNDED = 2e-3, 1e-6


def checked_row(cells: Sequence[str], layout: RowLayout, thresholds: Mapping[str, float]) -> Row:
    """The row that a run of these thresholds made `cells` of; raises ValueError, with the reason, where none did."""
    if len(cells) != len(layout.columns):
        raise ValueError(f"{len(cells)} cells in the place of {len(layout.columns)}")
    try:
        row = layout.row(cells)
    except ValueError as error:
        raise ValueError("a number is none") from error
    if reason := unsound(row, layout.classes) or _undecided(row, layout.classes, thresholds):
        raise ValueError(reason)
    # Numbers have one spelling, and the confidence and a face's size follow from others.
    if wrong := [name for name, a, b in zip(layout.columns, layout.cells(row), cells, strict=True) if a != b]:
        raise ValueError(f"not what belongs in {', '.join(wrong)}")
    return row


def unsound(row: Row, classes: Sequence[str]) -> str:
    """Why a row can't be one of a run over these classes, "" where it can."""
    numbers = row.probabilities
    if row.face and not (row.face.number > 0 and 0 <= row.face.score <= 1):
        return "a face without a number, or with a score that is not in 0 to 1"
    if row.time is not None and not 0 <= row.time < math.inf:
        return "a time that is none"
    if bool(numbers) == bool(row.error):
        return "probabilities and an error" if numbers else "neither probabilities nor an error"
    if not numbers:
        return "a prediction without probabilities" if row.prediction else ""
    if len(numbers) != len(classes):
        return "probabilities are missing"
    return "" if all(0 <= p <= 1 for p in numbers) else "a probability that is not in 0 to 1"


def _undecided(row: Row, classes: Sequence[str], thresholds: Mapping[str, float]) -> str:
    """Why a run of these thresholds did not make a row that is sound, "" where it may have."""
    if row.label not in ("", *classes):
        return f"no class {row.label!r}"
    if not row.probabilities:
        return ""
    if abs(sum(row.probabilities) - 1) > _SUM + _ROUNDED * len(classes):
        return "probabilities whose sum is not 1"
    if row.prediction != decide(row.probabilities, classes, thresholds):
        return "a prediction that its probabilities do not give"
    return ""


def whole_photos(rows: Iterable[tuple[int, Row]], several: bool) -> Iterator[tuple[int, list[Row]]]:
    """Yield the rows of each photo of which all are there, with where they end: the place of the last one.

    With `several` the last photo is left out, for it may have had more faces.
    """
    end, found = 0, list[Row]()
    for place, row in rows:
        if found and (row.path, row.time) != (found[0].path, found[0].time):
            yield end, found
            found = []
        end = place
        found.append(row)
    if found and not several:
        yield end, found


def damage_notice(unfinished: Path, kept: int, reason: str) -> str:
    """The line that says that rows were cut off, and which are kept."""
    return f"{unfinished}: damaged after {kept:,} rows ({reason}); these are kept, what follows is done again"
