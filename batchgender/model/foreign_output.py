"""The output of a foreign ONNX model that holds the classes: chosen, and turned into probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import one_line
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.score_kind import ScoreKind

_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")


@dataclass(frozen=True)
class ForeignOutput:
    """An output's name, its `columns` that are the classes (None: all of its values), and what its values are."""

    name: str
    columns: list[int] | None
    kind: ScoreKind

    def probabilities(self, values: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
        """Values float32 [B, n] to probabilities float32 [B, classes]; of one value alone it is the second class's.

        Each row stands for itself: a photo's answer does not depend on those beside it. Raises UserError where the
        values are not as many as the classes.
        """
        if problem := _misfit(self.name, values.shape[1], self.columns, classes):
            raise UserError(problem)
        wanted = values if self.columns is None else values[:, self.columns]
        if wanted.shape[1] == 1:
            if self.kind is ScoreKind.PROBABILITIES:
                return np.concatenate([1 - wanted, wanted], 1)
            return _softmax(np.concatenate([np.zeros_like(wanted), wanted], 1))
        if self.kind is ScoreKind.PROBABILITIES:
            return _shares(wanted)
        if self.kind is ScoreKind.LOGITS:
            return _softmax(wanted)
        probable = _are_probabilities(values) | _are_probabilities(wanted)
        return np.where(probable[:, None], _shares(wanted), _softmax(wanted))


def choose_output(
    outputs: Sequence[Any], file: str, batch: int | None, options: ForeignOptions, columns: list[int] | None
) -> Any:
    """The output that holds the classes; raises UserError where it is none of them, or could be several.

    `outputs` are the session's, `batch` the number of photos that the file is made for, None where it takes any.
    """
    named = [output for output in outputs if options.output in (None, output.name)]
    if not named:
        there = f"has no output {one_line(str(options.output))}, only {described(outputs)}"
        raise UserError(f"{file}: {there}; choose another --output")
    classes = len(options.class_names())
    fitting = fitting_outputs(named, batch, columns, classes)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"{file}: several of its outputs could hold the classes, {described(fitting)}; give --output")
    if len(named) == 1 and is_scores(named[0]):
        count = values_a_photo(named[0], batch)
        assert count is not None
        raise UserError(f"{file}: {_misfit(named[0].name, count, columns, classes)}")
    raise UserError(
        f"{file}: none of its outputs, {described(named)}, holds values for {classes} classes;"
        " check --classes, --output and --columns"
    )


def is_scores(output: Any) -> bool:
    """Whether an output holds floats, as probabilities and logits are."""
    return output.type in _FLOATS


def fitting_outputs(
    outputs: Sequence[Any], batch: int | None, columns: Sequence[int] | None, classes: int
) -> list[Any]:
    """The outputs that could hold the classes; those that have exactly as many values before those that may have."""
    counts = [(output, values_a_photo(output, batch)) for output in outputs if is_scores(output)]
    if columns is not None:
        return [output for output, count in counts if count is None or count > max(columns)]
    exact = [output for output, count in counts if count == classes]
    return exact or [output for output, count in counts if count is None or (count, classes) == (1, 2)]


def values_a_photo(output: Any, batch: int | None) -> int | None:
    """How many values an output has for each photo; None where the file does not say."""
    # Of one photo the batch may have been left out.
    sides = output.shape if batch == 1 and len(output.shape) == 1 else output.shape[1:]
    return prod(sides) if output.shape and all(isinstance(side, int) for side in sides) else None


def described(outputs: Sequence[Any]) -> str:
    """The outputs by name, with their shapes."""
    return one_line(", ".join(f"{output.name} [{', '.join(map(str, output.shape or ['?']))}]" for output in outputs))


def _misfit(name: str, count: int, columns: Sequence[int] | None, classes: int) -> str:
    """What is wrong with an output of `count` values a photo; empty where nothing is."""
    if columns is None:
        if count == classes or (count, classes) == (1, 2):
            return ""
        return (
            f"output {one_line(name)} has {count} values a photo for {classes} classes; check --classes, or name the"
            f" values that are the classes, 0 to {count - 1}, with --columns"
        )
    if max(columns) < count:
        return ""
    return f"--columns {','.join(map(str, columns))}: output {one_line(name)} has {count} values a photo, from 0"


def _are_probabilities(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (values >= 0).all(1) & (np.abs(values.sum(1) - 1) <= 1e-3)


def _shares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row over its sum; where that is 0, which very small probabilities are rounded to, equal shares."""
    total = values.sum(1, keepdims=True)
    return np.where(total == 0, np.float32(1 / values.shape[1]), values / np.where(total == 0, 1, total))


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # Infinite logits give NaN, which is said where the row is made.
    with np.errstate(invalid="ignore"):
        powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
