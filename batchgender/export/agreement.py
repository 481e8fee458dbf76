"""Whether a written or smaller model answers as the original does, on labelled photos."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model import tolerances
from batchgender.model.agreement import Predict
from batchgender.model.metadata import Compression
from batchgender.training.data.batches import Batches
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.predictions import BATCH, predict_split

_FLIPS_SHOWN = 5


@dataclass(frozen=True)
class Flip:
    """A photo whose class changed; `margin` is the lead, in probability, of the original's first class."""

    name: str
    before: str
    after: str
    margin: float


@dataclass(frozen=True)
class Agreement:
    """A model beside the original on the same photos: accuracies in 0..1, differences in probability.

    `flips` are the photos whose class changed, those first of which the original was most confident.
    """

    photos: int
    original_accuracy: float
    accuracy: float
    flips: list[Flip]
    largest_difference: float
    mean_difference: float

    @property
    def points_lost(self) -> float:
        """How much accuracy is lost, in points."""
        # Rounded: 0.852 - 0.847 is a little more than half a point.
        return round(100 * (self.original_accuracy - self.accuracy), 9)

    def __str__(self) -> str:
        return (
            f"validation accuracy {100 * self.accuracy:.1f} %, was {100 * self.original_accuracy:.1f} %, over"
            f" {self.photos:,} photos ({len(self.flips):,} changed class; probabilities differ by"
            f" {self.mean_difference:.4f} on average, {self.largest_difference:.3f} at most)"
        )

    def check_points_lost(self) -> None:
        """Raise UserError where accuracy falls by more than half a point."""
        if self.points_lost > tolerances.POINTS_LOST:
            raise UserError(
                f"accuracy on {self.photos:,} validation photos falls from {100 * self.original_accuracy:.1f} % to"
                f" {100 * self.accuracy:.1f} %, more than {tolerances.POINTS_LOST} points; not kept"
            )

    def compression(self) -> Compression:
        """What a model file states of it."""
        return Compression(
            validation_photos=self.photos,
            validation_accuracy_float32=round(self.original_accuracy, 6),
            validation_accuracy_exported=round(self.accuracy, 6),
            flips=len(self.flips),
            largest_difference=round(self.largest_difference, 6),
            mean_difference=round(self.mean_difference, 6),
        )


class Reference:
    """The original's answers on labelled photos, for other models to be compared with.

    Raises UserError where the photos have a class that the model has not, or none can be read.
    """

    def __init__(
        self, original: Predict, classes: Sequence[str], photos: LabelledPhotos, size: int, notify: Notify
    ) -> None:
        labels = photos.labels_as(classes)
        self._classes, self._names, self._notify = list(classes), photos.names, notify
        self._batches = Batches(photos, size, BATCH, notify)
        found = predict_split(original, self._batches, "PyTorch", notify)
        if not len(found):
            raise UserError("none of the photos to compare models on can be read; choose another --data")
        self._answers, self._indices, self._labels = found.outputs, found.indices, labels[found.indices]

    def compare(self, predict: Predict, title: str) -> Agreement:
        """Compare a model's answers on the same photos with the original's; NaN is a wrong answer, and 1 apart."""
        answers = predict_split(predict, self._batches, title, self._notify).outputs
        apart = np.nan_to_num(np.abs(answers - self._answers), nan=1.0)
        # -1, which is the last of the names below, is no label.
        before, after = self._answers.argmax(1), np.where(np.isnan(answers).any(1), -1, answers.argmax(1))
        names_after = [*self._classes, "no answer"]
        ordered = np.sort(self._answers, 1)
        flips = [
            Flip(
                self._names[self._indices[i]],
                self._classes[before[i]],
                names_after[after[i]],
                float(ordered[i, -1] - ordered[i, -2]),
            )
            for i in np.flatnonzero(before != after)
        ]
        return Agreement(
            photos=len(answers),
            original_accuracy=float((before == self._labels).mean()),
            accuracy=float((after == self._labels).mean()),
            flips=sorted(flips, key=lambda flip: -flip.margin),
            largest_difference=float(apart.max()),
            mean_difference=float(apart.mean()),
        )


def check_flips(file: str, agreement: Agreement, limit: int | None, notify: Notify) -> None:
    """Say which photos a file answers with another class; raises UserError where they are more than `limit`."""
    flips = agreement.flips
    kinds = Counter(f"{flip.before} to {flip.after}" for flip in flips)
    listed = "".join(f", {kind} {count:,}" for kind, count in kinds.most_common())
    notify(f"{file}: {len(flips):,} of {agreement.photos:,} photos change class{listed}")
    for flip in flips[:_FLIPS_SHOWN]:
        notify(f"  {flip.name}: {flip.before} to {flip.after}, PyTorch's margin {flip.margin:.3f}")
    if limit is not None and len(flips) > limit:
        raise UserError(f"{file}: {len(flips):,} photos change class, more than the {limit:,} of --max-flips; not kept")
