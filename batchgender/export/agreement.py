"""Whether a smaller model still answers as the original does, on labelled validation photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.training.data.sources import Batches, LabelledPhotos
from batchgender.training.evaluation import Predict, check_classes

# Points of accuracy that an export may lose.
FALL = 0.5
_BATCH = 32


@dataclass(frozen=True)
class Kept:
    """A model beside the original: accuracies in 0..1, photos whose class changed, differences in probability."""

    photos: int
    original: float
    exported: float
    flips: int
    largest_difference: float
    mean_difference: float

    @property
    def fall(self) -> float:
        """How much accuracy is lost, in points."""
        # Rounded: 0.852 - 0.847 is a little more than half a point.
        return round(100 * (self.original - self.exported), 9)

    def __str__(self) -> str:
        return (
            f"validation accuracy {100 * self.exported:.1f} %, was {100 * self.original:.1f} %, over"
            f" {self.photos:,} photos ({self.flips:,} changed class, probabilities {self.mean_difference:.4f} apart"
            f" on average, {self.largest_difference:.3f} at most)"
        )

    def check(self) -> None:
        """Raise UserError where accuracy falls by more than half a point."""
        if self.fall > FALL:
            raise UserError(
                f"accuracy on {self.photos:,} validation photos falls from {100 * self.original:.1f} % to"
                f" {100 * self.exported:.1f} %, more than {FALL} points; not kept"
            )

    def as_dict(self) -> dict[str, Any]:
        """What a model file says of it."""
        return {
            "validation_photos": self.photos,
            "validation_accuracy_float32": round(self.original, 6),
            "validation_accuracy_exported": round(self.exported, 6),
            "flips": self.flips,
            "largest_difference": round(self.largest_difference, 6),
            "mean_difference": round(self.mean_difference, 6),
        }


class Judge:
    """The original's answers on labelled photos, for others to be held against.

    Raises UserError where the photos have a class that the model has not, or none can be read.
    """

    def __init__(
        self, original: Predict, classes: Sequence[str], photos: LabelledPhotos, size: int, notify: Notify
    ) -> None:
        check_classes(photos, classes)
        self._batches, self._order = Batches(photos, size, _BATCH, notify), range(len(photos))
        index = np.array([classes.index(name) for name in photos.classes])
        self._original, labels = self._answers(original)
        self._truth = index[labels]

    def compare(self, predict: Predict) -> Kept:
        """Hold a model's answers on the same photos against the original's."""
        answers, _ = self._answers(predict)
        apart = np.abs(answers - self._original)
        before, after = self._original.argmax(1), answers.argmax(1)
        return Kept(
            photos=len(answers),
            original=float((before == self._truth).mean()),
            exported=float((after == self._truth).mean()),
            flips=int((before != after).sum()),
            largest_difference=float(apart.max()),
            mean_difference=float(apart.mean()),
        )

    def _answers(self, predict: Predict) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        answers, labels = [], []
        for images, truth, _ in self._batches(self._order):
            answers.append(predict(images))
            labels.append(truth)
        if not answers:
            raise UserError("none of the validation photos can be read; choose another --data")
        return np.concatenate(answers), np.concatenate(labels)
