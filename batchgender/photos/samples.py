"""Samples of any number type to bytes."""

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto


def scaled_to_bytes(samples: NDArray[np.generic], bits: int, colors: int = 1) -> NDArray[np.uint8]:
    """Scale samples [height, width, channels] to uint8; the first `colors` channels say what range they have.

    Unsigned integers of up to 16 `bits` have the range of their bits. Other integers have 0..255 or 0..65535 where
    none lies outside, else the range of their type, where it has a sign from 0 on if none is negative. Floats have, by
    their mean, 0..1, 0..255 or 0..65535; what lies outside is cut. Raises UnreadablePhoto where a float is no number,
    or they are negative on average.
    """
    if samples.dtype.kind == "u" and bits <= 16:
        if bits == 16:
            return np.asarray(samples.astype(np.uint16) >> 8, np.uint8)
        return samples.astype(np.uint8) if bits == 8 else _scaled(samples, 0.0, float(2**bits - 1))
    with np.errstate(all="ignore"):
        return _scaled_by_content(samples, bits, samples[..., :colors])


def _scaled_by_content(samples: NDArray[np.generic], bits: int, seen: NDArray[np.generic]) -> NDArray[np.uint8]:
    if samples.dtype.kind == "f":
        mean = float(seen.mean(dtype=np.float64))
        if not np.isfinite(mean) or mean < 0:
            raise UnreadablePhoto("its samples are numbers that no picture has (NaN, infinite or below 0)")
        return _scaled(samples, 0.0, next((most for most in (1.0, 255.0, 65535.0) if mean <= most), 2.0**32 - 1))
    least, most = float(seen.min()), float(seen.max())
    lowest, highest = (float(getattr(np.iinfo(samples.dtype.name), name)) for name in ("min", "max"))
    if bits < 8 * samples.dtype.itemsize:
        highest = float(2**bits - 1)
    if least < 0:
        return _scaled(samples, lowest, highest)
    usual = (power for power in (255.0, 65535.0) if most <= power and 2 * power < highest)
    return _scaled(samples, 0.0, next(usual, highest))


def _scaled(samples: NDArray[np.generic], lowest: float, highest: float) -> NDArray[np.uint8]:
    values = samples.astype(np.float32)
    values -= np.float32(lowest)
    values *= np.float32(255 / (highest - lowest))
    return np.asarray(values.clip(0, 255) + 0.5, np.uint8)
