"""Pictures made by code, the same each time: for checks and timings where no photo is at hand. They show nothing."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.random import Generator

_SIDE = 224
# Squares a side that colours are drawn for, from coarse to fine, and how far they go from gray.
_SCALES = ((4, 40.0), (9, 40.0), (20, 40.0), (60, 25.0))


def generated_pictures(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Make `count` pictures uint8 [224, 224, 3] RGB: noise of several scales, every other with ellipses."""
    return [_picture(np.random.default_rng([seed, index]), index % 2 == 1) for index in range(count)]


def _picture(rng: "Generator", with_ellipses: bool) -> NDArray[np.uint8]:
    picture = np.full((_SIDE, _SIDE, 3), 128, np.float32)
    for squares, strength in _SCALES:
        noise = rng.normal(0, strength, (squares, squares, 3)).astype(np.float32)
        picture += cv2.resize(noise, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    image = np.ascontiguousarray(picture.clip(0, 255), np.uint8)
    for _ in range(int(rng.integers(3, 9)) if with_ellipses else 0):
        centre, axes = (tuple(int(v) for v in rng.integers(low, high, 2)) for low, high in ((0, _SIDE), (8, 90)))
        color = tuple(float(v) for v in rng.integers(0, 256, 3))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, color, -1)
    return image
