"""Samples of any number type to bytes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto


def scaled_to_bytes(samples: NDArray[Any], bits: int, colors: int = 1) -> NDArray[np.uint8]:
    """Scale samples [height, width, channels] to uint8; the first `colors` channels say what range they have.

    Unsigned integers of up to 16 `bits` have the range of their bits. Other integers have 0..255 or 0..65535 where
    none lies outside, else the range of their type, where it has a sign from 0 on if none is negative. Floats have, by
    the median of those above 0, 0..1, 0..255 or 0..65535; what lies outside is cut. Raises UnreadablePhoto where a
    float is no number, or they are negative on average.
    """
    if samples.dtype.kind == "u" and bits <= 16:
        if bits == 16:
            return np.asarray(samples.astype(np.uint16) >> 8, np.uint8)
        return samples.astype(np.uint8) if bits == 8 else _scaled(samples, 0.0, float(2**bits - 1))
    with np.errstate(all="ignore"):
        return _scaled(samples, *_range(samples[..., :colors], bits))


def _range(samples: NDArray[Any], bits: int) -> tuple[float, float]:
    """What is black and what is white, as far as the samples tell."""
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all() or samples.mean(dtype=np.float64) < 0:
            raise UnreadablePhoto("its samples are numbers that no picture has (NaN, infinite or below 0)")
        # Not the mean, nor the largest: what is brighter than white may be so by any factor; nor black, of any range.
        bright = samples[samples > 0]
        usual = float(np.median(bright)) if bright.size else 0.0
        return 0.0, next((most for most in (1.0, 255.0, 65535.0) if usual <= most), 2.0**32 - 1)
    limits = np.iinfo(samples.dtype)
    highest = min(float(limits.max), 2.0**bits - 1)
    if samples.min() < 0:
        return float(limits.min), highest
    most = float(samples.max())
    return 0.0, next((power for power in (255.0, 65535.0) if most <= power and 2 * power < highest), highest)


def _scaled(samples: NDArray[Any], lowest: float, highest: float) -> NDArray[np.uint8]:
    values = samples.astype(np.float32)
    values -= np.float32(lowest)
    values *= np.float32(255 / (highest - lowest))
    return np.asarray(values.clip(0, 255) + 0.5, np.uint8)
