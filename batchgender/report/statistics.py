"""What every report counts and prints with: shares, their intervals, calibration error."""

import math
from collections.abc import Sequence

_BINS = 15


def share(part: int, whole: int) -> float | None:
    """A part of a whole, None where there is none."""
    return part / whole if whole else None


def wilson(correct: int, count: int) -> tuple[float, float] | None:
    """The 95 % score interval of a share (Wilson 1927); None where nothing was counted."""
    if not count:
        return None
    z = 1.959963984540054
    part = correct / count
    middle = (part + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(part * (1 - part) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def gap(shares: Sequence[float | None]) -> float | None:
    """Largest less smallest of the shares that are known; None where fewer than two are."""
    known = [part for part in shares if part is not None]
    return max(known) - min(known) if len(known) > 1 else None


class CalibrationError:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017), counted photo by photo."""

    def __init__(self) -> None:
        self._count = 0
        # For each bin, how many were right less the sum of their confidences.
        self._excess = [0.0] * _BINS
        # The variance of that, were each photo right with the probability that its confidence says.
        self._variance = [0.0] * _BINS

    def add(self, confidence: float, correct: bool) -> None:
        """Count a photo by its largest probability, and whether the class of it is the photo's."""
        # Bins are (lower, upper], as Guo et al. draw them.
        at = min(max(math.ceil(confidence * _BINS) - 1, 0), _BINS - 1)
        self._excess[at] += correct - confidence
        self._variance[at] += confidence * (1 - confidence)
        self._count += 1

    def value(self) -> float | None:
        """The error, 0 to 1; None where nothing was counted."""
        return sum(map(abs, self._excess)) / self._count if self._count else None

    def by_chance(self) -> float | None:
        """What a perfectly calibrated model with these confidences would show on average; None where none was counted.

        The error adds up distances, so that chance alone makes it more than zero, the more so the fewer the photos
        (Bröcker and Smith 2007). A bin's excess is taken as normal, whose mean distance from zero is
        sqrt(2 / pi) of its standard deviation.
        """
        if not self._count:
            return None
        return math.sqrt(2 / math.pi) * sum(map(math.sqrt, self._variance)) / self._count
