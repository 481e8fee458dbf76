"""The statistics behind the figures: shares, their intervals, the calibration error."""

import math
from collections.abc import Sequence

from batchgender.report.details import ReliabilityBin
from batchgender.report.figures import CoveragePoint

_BINS = 15
_Z_95 = 1.959963984540054
_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def share(part: int, whole: int) -> float | None:
    """A part of a whole, None where there is none."""
    return part / whole if whole else None


def wilson(correct: int, count: int) -> tuple[float, float] | None:
    """The 95 % score interval of a share (Wilson 1927); None where nothing was counted."""
    if not count:
        return None
    z = _Z_95
    part = correct / count
    middle = (part + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(part * (1 - part) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def largest_gap(shares: Sequence[float | None]) -> float | None:
    """Largest less smallest of the shares that are known; None where fewer than two are."""
    known = [part for part in shares if part is not None]
    return max(known) - min(known) if len(known) > 1 else None


class CalibrationError:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017), counted photo by photo."""

    def __init__(self) -> None:
        self._count = 0.0
        # For each bin: photos, right answers, and the sum of the confidences.
        self._photos, self._right, self._confidence = [0.0] * _BINS, [0.0] * _BINS, [0.0] * _BINS
        # The variance of that, if each answer is right with the probability that its confidence states.
        self._variance = [0.0] * _BINS

    def add(self, confidence: float, correct: bool, weight: float = 1.0) -> None:
        """Count a photo: its largest probability, and whether the class with it is the photo's label.

        With a `weight` it counts as so many photos.
        """
        # Bins are (lower, upper], as in Guo et al.
        at = min(max(math.ceil(confidence * _BINS) - 1, 0), _BINS - 1)
        self._photos[at] += weight
        self._right[at] += weight * correct
        self._confidence[at] += weight * confidence
        self._variance[at] += weight**2 * confidence * (1 - confidence)
        self._count += weight

    def value(self) -> float | None:
        """The error, 0 to 1; None where nothing was counted."""
        apart = (abs(right - stated) for right, stated in zip(self._right, self._confidence, strict=True))
        return sum(apart) / self._count if self._count else None

    def bins(self) -> list[ReliabilityBin]:
        """The bins that hold photos, from the lowest confidence on."""
        return [
            ReliabilityBin(at / _BINS, (at + 1) / _BINS, round(photos), stated / photos, right / photos)
            for at, (photos, right, stated) in enumerate(zip(self._photos, self._right, self._confidence, strict=True))
            if photos
        ]

    def by_chance(self) -> float | None:
        """The error that a perfectly calibrated model with these confidences shows on average; None where none counted.

        The error adds up absolute values, so chance alone makes it larger than zero, the more the fewer the photos
        (Bröcker and Smith 2007). A bin's excess is taken as normal: its mean absolute value is sqrt(2 / pi) times its
        standard deviation.
        """
        if not self._count:
            return None
        return math.sqrt(2 / math.pi) * sum(map(math.sqrt, self._variance)) / self._count


class CoverageCounts:
    """The photos that are answered at each of some thresholds, and those of them that are right."""

    def __init__(self) -> None:
        self._count = 0
        self._answered, self._right = [0] * len(_THRESHOLDS), [0] * len(_THRESHOLDS)

    def add(self, confidence: float, correct: bool) -> None:
        """Count a photo, as `CalibrationError.add` does."""
        self._count += 1
        for index, threshold in enumerate(_THRESHOLDS):
            if confidence >= threshold:
                self._answered[index] += 1
                self._right[index] += correct

    def points(self) -> list[CoveragePoint]:
        """Coverage and accuracy at each threshold."""
        counts = zip(_THRESHOLDS, self._answered, self._right, strict=True)
        return [
            CoveragePoint(at, share(answered, self._count), share(right, answered)) for at, answered, right in counts
        ]
