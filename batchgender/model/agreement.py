"""How far the answers of two models lie apart on the same pictures."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

# uint8 [B, H, W, 3] RGB to probabilities float32 [B, classes].
Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The largest difference of two arrays of probabilities of one shape; an answer that is no number is 1 apart."""
    # Of arrays where one holds NaN, the largest would be NaN, and no limit is smaller than that.
    return float(np.nan_to_num(np.abs(first - second), nan=1.0).max(initial=0.0))


def largest_difference(first: Predict, second: Predict, images: Iterable[NDArray[np.uint8]]) -> float:
    """The largest difference of two models over photos uint8 [H, W, 3], each given alone at its own size."""
    return max((difference(first(image[None]), second(image[None])) for image in images), default=0.0)
