"""The rows of a results file that is there, one by one, whatever its format."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from batchgender.errors import UserError
from batchgender.model.thresholds import UNSURE
from batchgender.photos.labels import DEFAULT_NAMES
from batchgender.results.kept_rows import unsound
from batchgender.results.read_results import read_results
from batchgender.results.rows import Row, RowLayout

_PROBABILITY = "p_"
# Probabilities have six decimals.
_DECIMALS = 1.5e-6


@dataclass(frozen=True)
class StoredRows:
    """The rows of a results file, read anew each time; the file is not held in memory."""

    file: str
    layout: RowLayout

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in the file's order; raises UserError where one can't be what classify wrote."""
        columns = self.layout.columns
        whole = [name for name in columns if self.layout.is_integer(name)]
        named = {name.lower(): name for name in (*self.layout.classes, UNSURE)}
        for number, cells in enumerate(read_results(self.file), 1):
            try:
                # pandas writes whole numbers so where some cells of the column are empty.
                for name in whole:
                    cells[name] = cells[name].removesuffix(".0")
                # Spreadsheets write other capitals.
                prediction = cells["prediction"].strip()
                cells["prediction"] = named.get(prediction.lower(), prediction)
                row = self.layout.row([cells[name] for name in columns])
                if reason := _unsound(row, self.layout.classes, cells["confidence"]):
                    raise ValueError(reason)
            except (KeyError, ValueError) as error:
                reason = f"no column {error}" if isinstance(error, KeyError) else str(error)
                raise UserError(f"{self.file}: row {number:,} is damaged, or of no classify: {reason}") from error
            yield row

    def paths(self) -> Iterator[str]:
        """Yield the path of each photo once, though it may have several rows."""
        return (path for path, _ in groupby(self, key=lambda row: row.path))


def _unsound(row: Row, classes: Sequence[str], confidence: str) -> str:
    """Why a row can't be one of a run, "" where it can."""
    if reason := unsound(row, classes):
        return reason
    # A digit that has changed shows so.
    if row.probabilities and not abs(float(confidence) - max(row.probabilities)) <= _DECIMALS:
        return "its confidence is not its largest probability"
    if row.probabilities and row.prediction not in (*classes, UNSURE):
        return f"its prediction {row.prediction!r} is none of the classes"
    return ""


def stored_rows(file: str, classes: Sequence[str] = ()) -> StoredRows:
    """The rows of a results file, of a model with these `classes` where they are given.

    Raises UserError where it is none, has no row, or is of other classes.
    """
    layout = stored_layout(file)
    if layout is None:
        raise UserError(f"{file}: no rows in it")
    if classes:
        asked = replace(layout, classes=tuple(classes))
        if asked.columns != layout.columns:
            raise UserError(
                f"{file}: has the classes {', '.join(layout.classes)}, and the model {', '.join(classes)}; give the"
                " model that the rows are of"
            )
        layout = asked
    return StoredRows(file, layout)


def stored_layout(file: str) -> RowLayout | None:
    """The columns of a results file, the classes spelled as its rows do; None where it has no row.

    Raises UserError where it is no results file.
    """
    columns: list[str] = []
    unspelled = set[str]()
    names: list[str] = []
    for row in read_results(file):
        if not columns:
            columns = list(row)
            probabilities = [name for name in columns if name.startswith(_PROBABILITY)]
            if not probabilities or "label" not in columns:
                raise UserError(f"{file}: no results file, for it has no columns of probabilities and labels")
            unspelled = {name.removeprefix(_PROBABILITY) for name in probabilities}
        for name in (row["prediction"].strip(), row.get("label", "").strip()):
            if name.lower() in unspelled:
                names.append(name)
                unspelled.discard(name.lower())
        if not unspelled:
            break
    if not columns:
        return None
    return RowLayout(
        tuple(class_names(probabilities, names)),
        faces="face" in columns,
        several="face" in columns,
        times="time" in columns,
    )


def class_names(columns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The classes by the columns of their probabilities, which are in small letters, as `names` spell them."""
    # A spreadsheet writes the class `true` as TRUE: any spelling will do.
    spelled: Mapping[str, str] = {name.lower(): name for name in names}
    keys = [column.removeprefix(_PROBABILITY) for column in columns]
    return [spelled.get(key, DEFAULT_NAMES.canonical_name(key)) for key in keys]
