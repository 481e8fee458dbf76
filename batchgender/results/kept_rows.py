"""The rows of an unfinished run: whether they are such as a run writes, and still those of its photos."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchgender.errors import CannotResume
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
    if reason := _unsound(row, layout.classes, thresholds):
        raise ValueError(reason)
    # Numbers have one spelling, and the confidence and a face's size follow from others.
    if wrong := [name for name, a, b in zip(layout.columns, layout.cells(row), cells, strict=True) if a != b]:
        raise ValueError(f"not what belongs in {', '.join(wrong)}")
    return row


def _unsound(row: Row, classes: Sequence[str], thresholds: Mapping[str, float]) -> str:
    numbers = row.probabilities
    if row.label not in ("", *classes):
        return f"no class {row.label!r}"
    if row.face and not 0 <= row.face.score <= 1:
        return "a score of a face that is not in 0 to 1"
    if row.time is not None and not 0 <= row.time < math.inf:
        return "a time that is none"
    if bool(numbers) == bool(row.error):
        return "probabilities and an error" if numbers else "neither probabilities nor an error"
    if not numbers:
        return "a prediction without probabilities" if row.prediction else ""
    if len(numbers) != len(classes):
        return "probabilities are missing"
    if not all(0 <= p <= 1 for p in numbers):
        return "a probability that is not in 0 to 1"
    if abs(sum(numbers) - 1) > _SUM + _ROUNDED * len(numbers):
        return "probabilities whose sum is not 1"
    if row.prediction != decide(numbers, classes, thresholds):
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


def check_settings(before: Mapping[str, Any], settings: Mapping[str, Any], unfinished: Path) -> None:
    """Raise CannotResume where an unfinished run had other settings."""
    changed = sorted(key for key in {*settings, *before} if before.get(key) != settings.get(key))
    if changed:
        raise CannotResume(
            f"{unfinished}: was begun with another {', '.join(changed)};"
            " resume with the same or start again with --overwrite"
        )


def damage_notice(unfinished: Path, kept: int, reason: str) -> str:
    """The line that says that rows were cut off, and which are kept."""
    return f"{unfinished}: damaged after {kept:,} rows ({reason}); these are kept, what follows is done again"
