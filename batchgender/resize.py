"""Pixels to the size that the model wants, as the model file's own resize does it."""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# As `training.models.ROUND_UP`, which is not imported here: it comes with torch.
_ROUND_UP = 1.5e-4
# Lines that one product computes. Of more, more of the weights are zeros; of fewer, there are more calls.
_BAND = 8
# Multiplications in one product. Above it OpenBLAS takes threads of its own, and each worker is one already.
_PRODUCT = 2**18
# Pixels of a side. The weights grow with it, and of a longer one so many make one byte that rounding hardly tells.
_LONGEST = 2**14


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize uint8 [height, width, channels] to [size, size, channels], antialiased bilinear.

    It is Pillow's filter, over floats and rounded once: of bytes Pillow and torch round after each axis, and every
    eighth is off by one.
    """
    height, width, channels = image.shape
    if height == width == size:
        return image
    if height <= size and width <= size:
        # Enlarging needs no antialiasing, and OpenCV's bilinear filter is then the same and faster.
        return _rounded(cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR))
    if max(height, width) > _LONGEST:
        height, width = min(height, _LONGEST), min(width, _LONGEST)
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    lines, resized = image.reshape(height, -1), np.empty((size, size * channels), np.float32)
    # Rows first is faster; of a very wide picture what is between would be as wide, and large.
    if width <= 4 * height:
        between = np.empty((size, width * channels), np.float32)
        _filter(lines, between, 1)
        _filter(between.T, resized.T, channels)
    else:
        between = np.empty((height, size * channels), np.float32)
        _filter(lines.T, between.T, channels)
        _filter(between, resized, 1)
    return _rounded(resized).reshape(size, size, channels)


def _rounded(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(pixels, beta=_ROUND_UP), np.uint8)


def _filter(lines: NDArray[np.uint8] | NDArray[np.float32], out: NDArray[np.float32], channels: int) -> None:
    """Filter [source * channels, n] along its first axis into `out`, [size * channels, n]."""
    starts, bands = _bands(len(lines) // channels, len(out) // channels, channels)
    _, height, width = bands.shape
    step = max(_PRODUCT // (height * width), 1)
    for i, start in enumerate(starts):
        part = lines[start : start + width].astype(np.float32, copy=False)
        into = out[i * height : (i + 1) * height]
        for at in range(0, lines.shape[1], step):
            np.matmul(bands[i, : len(into)], part[:, at : at + step], out=into[:, at : at + step])


@lru_cache(32)
def _bands(source: int, size: int, channels: int) -> tuple[list[int], NDArray[np.float32]]:
    """The weights of each _BAND lines of the result, [bands, lines, places], and the first place of each band."""
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
    return (starts * channels).tolist(), bands.reshape(len(begin), _BAND * channels, -1)
