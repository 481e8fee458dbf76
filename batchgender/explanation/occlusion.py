"""Occlusion: what the answer loses where a part of the picture is covered. It needs nothing but the model's answers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from batchgender.classify.pipeline import Classifier

OCCLUSION = "occlusion"
# The side of the square that covers, as a share of the picture's, and how many steps it takes to pass its own side.
_SQUARE, _STEPS = 0.2, 3
# Nearer to 0 and to 1 a probability is rounding alone.
_LEAST = 1e-6


class Occlusion:
    """Covers each part of a picture in turn by a gray square, and asks the model again.

    Zeiler and Fergus: "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2. The squares
    overlap; a pixel's value is the mean over the squares that cover it.
    """

    name = OCCLUSION
    title = "occlusion (Zeiler and Fergus 2014)"

    def __init__(self, classifier: Classifier) -> None:
        self._model, self._workers, self._batch = classifier.model, classifier.workers, classifier.batch_size

    def map(self, image: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
        """How much each pixel of uint8 [height, width, 3] RGB speaks for the class `target`: float32 [height, width].

        In log odds of the class: what covering it takes away; below 0 it speaks against the class.
        """
        height, width = image.shape[:2]
        squares = [(rows, columns) for rows in _stretches(height) for columns in _stretches(width)]
        batches = [squares[at : at + self._batch] for at in range(0, len(squares), self._batch)]
        whole = _log_odds(self._model.predict(image[None]), target)[0]
        with ThreadPoolExecutor(self._workers) as pool:
            found = list(pool.map(lambda some: self._covered(image, some, target), batches))
        lost, covering = np.zeros((2, height, width), np.float32)
        for (rows, columns), left in zip(squares, np.concatenate(found), strict=True):
            lost[rows, columns] += whole - left
            covering[rows, columns] += 1
        return lost / covering

    def _covered(
        self, image: NDArray[np.uint8], squares: list[tuple[slice, slice]], target: int
    ) -> NDArray[np.float32]:
        """The log odds of the class with each of these squares covered, [squares]."""
        images = np.repeat(image[None], len(squares), 0)
        for picture, (rows, columns) in zip(images, squares, strict=True):
            picture[rows, columns] = neutral_colour(self._model.info.mean)
        return _log_odds(self._model.predict(images), target)


def neutral_colour(mean: list[float]) -> NDArray[np.uint8]:
    """The colour that says nothing to a model: uint8 [3], the mean of its training, 0 once it is normalised."""
    return np.asarray(np.clip(np.array(mean) * 255, 0, 255).round(), np.uint8)


def _stretches(side: int) -> Iterator[slice]:
    """The places of the square along a side, from one end to the other."""
    length = max(round(_SQUARE * side), 1)
    count = max(round((side - length) / length * _STEPS), 1) + 1
    for start in np.linspace(0, side - length, count).round().astype(int):
        yield slice(start, start + length)


def _log_odds(probabilities: NDArray[np.float32], target: int) -> NDArray[np.float32]:
    """The log odds of a class by probabilities [B, classes]: [B]."""
    p = probabilities[:, target].astype(np.float64).clip(_LEAST, 1 - _LEAST)
    return np.asarray(np.log(p / (1 - p)), np.float32)
