"""What a user says of an ONNX file that does not describe itself, checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchgender.errors import UserError
from batchgender.photos.labels import DEFAULT_NAMES

# The smallest and the largest --std over pixels in 0..1: 1/255 leaves pixels as they are in files.
_STD = (1e-3, 1.0)


@dataclass(frozen=True)
class ForeignOptions:
    """What a file does not state itself; None: not said.

    `mean` and `std` are a number a channel, in the order of the model's channels, over pixels in 0..1, or in 0..255
    where any of them is above 1. `output` names the output that holds the classes, `columns` are its values that do,
    in the order of `classes`. `channels` is "rgb" or "bgr".
    """

    classes: Sequence[str] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    output: str | None = None
    columns: Sequence[int] | None = None
    channels: str | None = None

    def given(self) -> list[str]:
        """The options that say something."""
        return [f"--{name}" for name, value in vars(self).items() if value is not None]

    @property
    def bgr(self) -> bool:
        """Whether the model's channels are blue, green, red; raises UserError on another order than these two."""
        if self.channels not in (None, "rgb", "bgr"):
            raise UserError(f"--channels {self.channels}: give rgb or bgr")
        return self.channels == "bgr"

    def class_names(self) -> list[str]:
        """The classes by our names; raises UserError where they are fewer than two, empty, or twice the same."""
        given = () if self.classes is None else self.classes
        names = [DEFAULT_NAMES.canonical_name(name.strip()) for name in given]
        if len(names) < 2 or not all(names):
            raise UserError("--classes: give two or more names")
        # The columns of the results are in small letters.
        if len({name.lower() for name in names}) < len(names):
            raise UserError(f"--classes {_listed(given)}: two of them are the same class ({', '.join(names)})")
        return names

    def checked_columns(self, classes: int) -> list[int] | None:
        """The columns; raises UserError where they are not one a class, or one alone for two classes."""
        if self.columns is None:
            return None
        listed = f"--columns {_listed(self.columns)}"
        if not all(isinstance(column, int | np.integer) and column >= 0 for column in self.columns):
            raise UserError(f"{listed}: give whole numbers; the first value is 0")
        if len(set(self.columns)) < len(self.columns):
            raise UserError(f"{listed}: names a value twice")
        if len(self.columns) != classes and (len(self.columns), classes) != (1, 2):
            raise UserError(f"{listed}: {len(self.columns)} for {classes} classes; give one a class, as --classes")
        return [int(column) for column in self.columns]

    def pixels(self) -> tuple[list[float], list[float], bool]:
        """Mean and std in RGB order over pixels in 0..1, and whether they were given over 0..255.

        Raises UserError where they are neither over 0..1 nor over 0..255.
        """
        try:
            mean, std = ([] if given is None else [float(value) for value in given] for given in (self.mean, self.std))
            numbers = len(mean) == len(std) == 3 and bool(np.isfinite([*mean, *std]).all())
        except (TypeError, ValueError):
            numbers = False
        if not numbers or min(mean) < 0 or min(std) <= 0 or max(*mean, *std) > 255:
            raise UserError(
                "--mean and --std are three numbers each, over pixels in 0..1 or in 0..255, --std above 0: 0.5,0.5,0.5"
            )
        over_bytes = max(*mean, *std) > 1
        # Over bytes a std of 1 divides by nothing (Caffe), and a mean of 0 subtracts nothing.
        if over_bytes and (any(0 < value <= 1 for value in mean) or min(std) < _STD[1]):
            raise UserError(
                f"--mean {_listed(mean)} --std {_listed(std)}: some are over pixels in 0..1, some over 0..255;"
                " give both over the same"
            )
        scale = 255 if over_bytes else 1
        if not over_bytes and min(std) < _STD[0]:
            raise UserError(
                f"--std {_listed(std)}: below {_STD[0]:g}; pixels in 0..255 as they are is --std 0.00392157"
            )
        if self.bgr:
            mean, std = mean[::-1], std[::-1]
        return [value / scale for value in mean], [value / scale for value in std], over_bytes


# Of a file that describes itself.
NOTHING_SAID = ForeignOptions()


def _listed(values: Sequence[object]) -> str:
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
