"""Rows: what is known of one photo, or of one face in it, and the columns of a results file."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchgender.errors import UserError
from batchgender.faces.face import Face
from batchgender.model.thresholds import decide
from batchgender.photos.reading import OUT_OF_REACH

# The error of a photo that can be read, and shows no face.
NO_FACE = "no face found"
_FACE_COLUMNS = ("face", "x", "y", "width", "height", "face_score", "face_size")
# Columns of whole numbers, and of others.
_INTEGERS = ("face", "x", "y", "width", "height", "face_size")
_NUMBERS = ("time", "face_score", "confidence")
# With three decimals; the others have six.
_THREE_DECIMALS = ("time", "face_score")


@dataclass(frozen=True)
class Row:
    """What is known of one photo, or of one face in it; `time` is where a frame stands in its video, in seconds.

    `probabilities` are in class order, six decimals, empty where there is an error. `earlier` says that an earlier run
    made it, and the photo was not read for it.
    """

    path: str
    prediction: str = ""
    probabilities: tuple[float, ...] = ()
    label: str = ""
    error: str = ""
    face: Face | None = None
    time: float | None = None
    earlier: bool = field(default=False, compare=False)

    @property
    def confidence(self) -> float | None:
        """The largest probability, None where the photo could not be read, or shows no face."""
        return max(self.probabilities, default=None)

    @property
    def unreadable(self) -> bool:
        """Whether the photo could not be read."""
        return bool(self.error) and self.error != NO_FACE

    @property
    def out_of_reach(self) -> bool:
        """Whether its file could not be opened: its bytes may be as good as they were."""
        return self.error.startswith(OUT_OF_REACH)


def decided(
    probabilities: Iterable[float], classes: Sequence[str], thresholds: Mapping[str, float], path: str
) -> tuple[str, tuple[float, ...]]:
    """The prediction and the rounded probabilities of a row; `thresholds` by class decide (see `thresholds.decide`).

    Raises UserError where a probability is no number.
    """
    # Rounded here, so that whoever reads the file computes the same figures as the report.
    rounded = tuple([round(float(p), 6) for p in probabilities])
    if not all(map(math.isfinite, rounded)):
        raise UserError(f"{path}: the model's answer to it is no number; the model is damaged, or unsound")
    return decide(rounded, classes, thresholds), rounded


def make_row(
    path: str, probabilities: Iterable[float], classes: Sequence[str], label: str, thresholds: Mapping[str, float]
) -> Row:
    """Make the row of a readable photo, as `decided` does."""
    return Row(path, *decided(probabilities, classes, thresholds, path), label)


@dataclass(frozen=True)
class RowLayout:
    """The columns of a results file: `faces` and `times` say whether those of faces and of frames are there.

    With `several` a photo has a row for each of its faces.
    """

    classes: tuple[str, ...]
    faces: bool = False
    several: bool = False
    times: bool = False

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        times, faces = ["time"] if self.times else [], _FACE_COLUMNS if self.faces else ()
        probabilities = [f"p_{name.lower()}" for name in self.classes]
        return ["path", *times, *faces, "prediction", "confidence", *probabilities, "label", "error"]

    def is_number(self, column: str) -> bool:
        """Whether a column holds numbers with decimals."""
        return is_number(column)

    def is_integer(self, column: str) -> bool:
        """Whether a column holds whole numbers."""
        return column in _INTEGERS

    def values(self, row: Row) -> dict[str, Any]:
        """The values of a row by column: text, and numbers or None."""
        numbers = row.probabilities or [None] * len(self.classes)
        values = [row.path, *([row.time] if self.times else []), *(self._face_values(row.face) if self.faces else [])]
        values += [row.prediction, row.confidence, *numbers, row.label, row.error]
        return dict(zip(self.columns, values, strict=True))

    def cells(self, row: Row) -> list[str]:
        """The cells of a row in the order of `columns`, as text."""
        cells = [row.path]
        if self.times:
            cells.append("" if row.time is None else f"{row.time:.3f}")
        if self.faces:
            *places, score, size = map(_text, self._face_values(row.face))
            cells += [*places, score and f"{float(score):.3f}", size]
        numbers = [] if row.confidence is None else [f"{p:.6f}" for p in (row.confidence, *row.probabilities)]
        return [*cells, row.prediction, *(numbers or [""] * (1 + len(self.classes))), row.label, row.error]

    def row(self, cells: Sequence[str]) -> Row:
        """The row that `cells` made the cells of; raises ValueError where they are those of no row."""
        path, *rest = cells
        time = rest.pop(0) if self.times else ""
        face = None
        if self.faces:
            (*places, score, _), rest = rest[: len(_FACE_COLUMNS)], rest[len(_FACE_COLUMNS) :]
            number, x, y, width, height = (int(cell or 0) for cell in places)
            face = Face(number, x, y, width, height, float(score)) if score else None
        prediction, _, *probabilities, label, error = rest
        numbers = tuple(float(p) for p in probabilities if p)
        return Row(path, prediction, numbers, label, error, face, float(time) if time else None)

    def _face_values(self, face: Face | None) -> list[Any]:
        if face is None:
            return [None] * len(_FACE_COLUMNS)
        return [face.number, face.x, face.y, face.width, face.height, face.score, face.size]


def is_number(column: str) -> bool:
    """Whether a column of this name holds numbers with decimals."""
    return column in _NUMBERS or column.startswith("p_")


def cell_text(column: str, value: Any) -> str:
    """The cell of a value that a format other than CSV holds."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{3 if column in _THREE_DECIMALS else 6}f}"
    return str(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
