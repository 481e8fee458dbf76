"""Pixels to the size that the model wants, as the model file's own resize does it."""

import math
import threading
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Rounds a value halfway between two bytes up, whatever the last bits of a runtime's float are: between photos of
# 200 pixels and networks of 224 that is one pixel in 3,136. The model file rounds so too.
ROUND_UP = 1.5e-4
# Lines that one product computes: of more, more of the weights are zeros.
_BAND = 8
# Multiplications in one product: above it OpenBLAS takes threads of its own, and each worker is one already. And
# floats in one call, which computes many: they fit the cache, and few calls leave Python to the other workers.
_AT_ONCE = 2**18
# Pixels of a side. The weights grow with it, and of a longer one so many make one byte that rounding hardly tells.
_LONGEST = 2**14
# Floats that a thread keeps from photo to photo: memory that the system has to clear anew costs as much as the filter.
_KEPT = 2**20
_kept = threading.local()

# Pixels of each side, or height and width.
Size = int | tuple[int, int]


def resize(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Resize uint8 [height, width, channels] to `size`, antialiased bilinear, without regard to the aspect ratio.

    It is Pillow's filter, over floats and rounded once: of bytes Pillow and torch round after each axis, and every
    eighth is off by one.
    """
    height, width, channels = image.shape
    rows, columns = (size, size) if isinstance(size, int) else size
    if (height, width) == (rows, columns):
        return image
    if height <= rows and width <= columns:
        # Enlarging needs no antialiasing, and OpenCV's bilinear filter is then the same and faster.
        return _rounded(cv2.resize(image.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR))
    if max(height, width) > _LONGEST:
        height, width = min(height, _LONGEST), min(width, _LONGEST)
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    lines = image.reshape(height, -1)
    padded_rows, padded_columns = -(-rows // _BAND) * _BAND, -(-columns // _BAND) * _BAND
    resized = _space("resized", padded_rows, padded_columns * channels)
    # Rows first is faster; of a very wide picture what is between would be as wide, and large.
    if width <= 4 * height:
        between = _space("between", width * channels, padded_rows)
        _filter(lines, between.T, rows, 1)
        _filter(between, resized.T, columns, channels)
    else:
        between = _space("between", height, padded_columns * channels)
        _filter(lines.T, between.T, columns, channels)
        _filter(between, resized, rows, 1)
    return _rounded(resized[:rows, : columns * channels]).reshape(rows, columns, channels)


def _rounded(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(pixels, beta=ROUND_UP), np.uint8)


def _space(name: str, *shape: int) -> NDArray[np.float32]:
    """Uninitialised floats, the same memory each time a thread asks for them by that name."""
    count = math.prod(shape)
    if count > _KEPT:
        return np.empty(shape, np.float32)
    space: NDArray[np.float32] | None = getattr(_kept, name, None)
    if space is None or space.size < count:
        space = np.empty(count, np.float32)
        setattr(_kept, name, space)
    return space[:count].reshape(shape)


def _filter(lines: NDArray[np.uint8] | NDArray[np.float32], out: NDArray[np.float32], size: int, channels: int) -> None:
    """Filter [source * channels, n] along its first axis into `out`, [padded * channels, n]."""
    places, bands = _bands(len(lines) // channels, size, channels)
    number, height, width = bands.shape
    products = out.reshape(number, height, -1)
    step = max(_AT_ONCE // (height * width), 1)
    many = max(_AT_ONCE // (width * min(step, lines.shape[1])), 1)
    if step >= lines.shape[1] and many >= number:
        np.matmul(bands, lines[places].astype(np.float32, copy=False), out=products)
        return
    for at in range(0, lines.shape[1], step):
        columns = slice(at, at + step)
        for first in range(0, number, many):
            some = slice(first, first + many)
            windows = lines[places[some], columns].astype(np.float32, copy=False)
            np.matmul(bands[some], windows, out=products[some, :, columns])


@lru_cache(32)
def _bands(source: int, size: int, channels: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The places that each band of the result is made of [bands, places], and their weights [bands, lines, places]."""
    scale = source / size
    support = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(int), 0)
    last = np.minimum((centres + support + 0.5).astype(int), source)
    places = first[:, None] + np.arange((last - first).max())
    weights = np.maximum(1 - np.abs(places + 0.5 - centres[:, None]) / support, 0) * (places < last[:, None])
    weights /= weights.sum(1, keepdims=True)

    begin = np.arange(0, size, _BAND)
    longest = (np.maximum.reduceat(last, begin) - first[begin]).max()
    starts = np.minimum(first[begin], source - longest)
    bands = np.zeros((len(begin), _BAND, channels, longest, channels), np.float32)
    line, tap = np.nonzero(weights)
    band, place = line // _BAND, places[line, tap]
    for channel in range(channels):
        bands[band, line % _BAND, channel, place - starts[band], channel] = weights[line, tap]
    all_places = starts[:, None] * channels + np.arange(longest * channels)
    return all_places, bands.reshape(len(begin), _BAND * channels, -1)
