"""From photo to label: which labelled photos an exported file calls otherwise than PyTorch does."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.training.data.sources import Batches, LabelledPhotos
from batchgender.training.evaluation import Predict, check_classes

_BATCH = 32
_SHOWN = 5


@dataclass(frozen=True)
class Flip:
    """A photo whose class changed; `margin` is by how much PyTorch's first class led its second, in probability."""

    name: str
    before: str
    after: str
    margin: float


class Gate:
    """PyTorch's answers on labelled photos, for exported files to be held against, photo by photo.

    Raises UserError where the photos have a class that the model has not, or none can be read.
    """

    def __init__(
        self,
        original: Predict,
        classes: Sequence[str],
        photos: LabelledPhotos,
        size: int,
        most: int | None,
        notify: Notify,
    ) -> None:
        check_classes(photos, classes)
        self._classes, self._most, self._notify = list(classes), most, notify
        self._names, self._batches, self._order = (
            photos.names,
            Batches(photos, size, _BATCH, notify),
            range(len(photos)),
        )
        self._original, self._read = self._answers(original, "PyTorch")
        if not len(self._read):
            raise UserError("none of the photos to compare labels on can be read; choose another --data")

    def check(self, file: str, predict: Predict) -> list[Flip]:
        """Say which photos the file calls otherwise, those first that PyTorch was surest of, and return them.

        Raises UserError where they are more than may be.
        """
        found, _ = self._answers(predict, file)
        before, after = self._original.argmax(1), found.argmax(1)
        leads = np.sort(self._original, 1)
        flips = [
            Flip(self._names[self._read[i]], self._classes[before[i]], self._classes[after[i]], float(lead))
            for i in np.flatnonzero(before != after)
            for lead in [leads[i, -1] - leads[i, -2]]
        ]
        flips.sort(key=lambda flip: -flip.margin)
        kinds = Counter(f"{flip.before} to {flip.after}" for flip in flips)
        said = "".join(f", {kind} {count:,}" for kind, count in kinds.most_common())
        self._notify(f"{file}: {len(flips):,} of {len(found):,} photos change class{said}")
        for flip in flips[:_SHOWN]:
            self._notify(f"  {flip.name}: {flip.before} to {flip.after}, PyTorch's margin {flip.margin:.3f}")
        if self._most is not None and len(flips) > self._most:
            raise UserError(
                f"{file}: {len(flips):,} photos change class, more than the {self._most:,} of --max-flips; not kept"
            )
        return flips

    def _answers(self, predict: Predict, what: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Probabilities of the photos that can be read, and which those are."""
        answers, read = [np.empty((0, len(self._classes)), np.float32)], []
        with tqdm(total=len(self._order), desc=what, unit=" photos", disable=None, leave=False) as bar:
            for images, _, indices in self._batches(self._order):
                answers.append(predict(images))
                read += indices
                bar.update(len(indices))
        return np.concatenate(answers), np.array(read, np.int64)
