"""Running a model over the photos of a split: the loop that validation, evaluation, calibration and export share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchgender.io import Notify
from batchgender.model.agreement import Predict
from batchgender.progress import Progress
from batchgender.training.data.batches import Batches

# Photos in one call of a model.
BATCH = 32


@dataclass(frozen=True)
class Predictions:
    """Outputs float32 [n, classes] of the photos that could be read, their labels int64 [n] and their indices."""

    outputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def iterate_predictions(model: Predict, batches: Batches, title: str, notify: Notify) -> Iterator[Predictions]:
    """Run a model over all photos of `batches`, a batch at a time; `model` may give probabilities or logits."""
    with Progress(title, "photos", notify, total=len(batches.photos)) as progress:
        for images, labels, indices in batches():
            yield Predictions(model(images), labels, np.array(indices, np.int64))
            progress.update(len(indices))


def predict_split(model: Predict, batches: Batches, title: str, notify: Notify) -> Predictions:
    """Run a model over all photos of `batches`; none may be readable, and the result is then empty."""
    parts = list(iterate_predictions(model, batches, title, notify))
    if not parts:
        width = len(batches.photos.classes)
        return Predictions(np.empty((0, width), np.float32), np.empty(0, np.int64), np.empty(0, np.int64))
    return Predictions(
        np.concatenate([part.outputs for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.indices for part in parts]),
    )
