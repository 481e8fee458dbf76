"""The rows of a run as arrays: what is computed over whole results, not row by row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.thresholds import UNSURE
from batchgender.results.read_results import read_results
from batchgender.results.rows import Row, RowLayout
from batchgender.results.stored_rows import class_names


@dataclass(frozen=True)
class Answers:
    """The rows with an answer: probabilities float64 [n, classes], labels and predictions int64 [n] as class indices.

    A label is -1 where there is none, a prediction where it is Unsure. `left_out` are the paths of the rows without an
    answer, for the photo can't be read or shows no face; `title` is what messages call the results.
    """

    title: str
    classes: list[str]
    paths: list[str]
    probabilities: NDArray[np.float64]
    predictions: NDArray[np.int64]
    labels: NDArray[np.int64]
    left_out: list[str]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def unsure(self) -> int:
        """How many answers are Unsure."""
        return int((self.predictions < 0).sum())

    def labelled(self) -> "Answers":
        """Those with a label; raises UserError where there are none, or all have the same."""
        found = self.subset(np.flatnonzero(self.labels >= 0))
        present = [self.classes[index] for index in np.unique(found.labels)]
        if not present:
            raise UserError(
                f"{self.title}: no photo in it that could be read has a label; classify photos in folders named after"
                f" their labels ({', '.join(self.classes)}), or with --labels"
            )
        if len(present) == 1:
            raise UserError(f"{self.title}: all labels in it are {present[0]}; photos of two classes are needed")
        return found

    def first_of_each_photo(self) -> "Answers":
        """One row a photo: of several faces, or frames, the first, which is the largest face."""
        first: dict[str, int] = {}
        for index, path in enumerate(self.paths):
            first.setdefault(path, index)
        return self.subset(np.array(list(first.values()), np.int64))

    def subset(self, indices: NDArray[np.int64]) -> "Answers":
        """The answers at these indices."""
        paths = [self.paths[index] for index in indices]
        chosen = self.probabilities[indices], self.predictions[indices], self.labels[indices]
        return Answers(self.title, self.classes, paths, *chosen, self.left_out)


def read_answers(file: str) -> Answers:
    """The answers of a results file; raises UserError where it is none, or is damaged."""
    return _answers(read_results(file), file)


def answers_of(rows: Iterable[Row], classes: Sequence[str], title: str) -> Answers:
    """The answers of rows that are in memory, with the same numbers as a file of them has."""
    layout = RowLayout(tuple(classes))
    columns = layout.columns
    return _answers((dict(zip(columns, layout.cells(row), strict=True)) for row in rows), title)


def _answers(rows: Iterable[Mapping[str, str]], title: str) -> Answers:
    columns: list[str] = []
    paths: list[str] = []
    left_out: list[str] = []
    probabilities: list[list[str]] = []
    stated: list[tuple[str, str]] = []
    for row in rows:
        columns = columns or [name for name in row if name.startswith("p_")]
        if not columns or (not paths and not left_out and "label" not in row):
            raise UserError(f"{title}: no results file, for it has no columns of probabilities and labels")
        if "label" not in row or any(name not in row for name in columns):
            raise UserError(f"{title}: damaged: its rows have not all the same columns")
        if not row["prediction"].strip():
            left_out.append(row["path"])
            continue
        paths.append(row["path"])
        probabilities.append([row[name] for name in columns])
        stated.append((row["prediction"].strip(), row["label"].strip()))
    classes = class_names(columns, (name for pair in stated for name in pair))
    try:
        numbers = np.array(probabilities, np.float64).reshape(len(paths), len(columns))
    except ValueError as error:
        raise UserError(f"{title}: damaged: a probability in it is no number") from error
    if not np.isfinite(numbers).all():
        raise UserError(f"{title}: damaged: a probability in it is no number")
    index_of = {name.lower(): index for index, name in enumerate(classes)}
    index_of[""] = index_of[UNSURE.lower()] = -1
    # A class of others stands for no label.
    found = np.array([[index_of.get(name.lower(), -1) for name in pair] for pair in stated], np.int64).reshape(-1, 2)
    return Answers(title, classes, paths, numbers, found[:, 0], found[:, 1], left_out)
