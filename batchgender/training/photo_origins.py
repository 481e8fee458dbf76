"""Where each photo comes from, a dataset or a camera: figures by source, and weights by which each counts the same.

The accuracy over all photos is that of the largest source; who uses the model has photos of another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.path_table import join_by_path, read_path_table
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.predictions import Predictions

_COLUMN = "source"
# Photos without a source are one of their own.
_NONE = "none"


@dataclass(frozen=True)
class PhotoOrigins:
    """The names of the sources, and for each photo int64 [n] which it comes from."""

    names: list[str]
    of: NDArray[np.int64]

    def weights(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Weights float64 [n] of the photos at `indices`: their mean is 1, and each source's sum is the same."""
        of = self.of[indices]
        counts = np.bincount(of, minlength=len(self.names))
        return len(of) / (np.count_nonzero(counts) * counts[of])


@dataclass(frozen=True)
class OriginFigures:
    """Accuracy of each source, and the lowest recall of a class on a source, with the names of both."""

    accuracies: dict[str, float]
    worst_recall: float
    worst: str


def read_origins(file: str, photos: LabelledPhotos, notify: Notify) -> PhotoOrigins:
    """The sources of the photos, by the column `source` of a CSV; raises UserError where it has none, or no photo's."""
    table = read_path_table(file, "--sources")
    if _COLUMN not in table.columns:
        raise UserError(f"{file}: no column `{_COLUMN}` in its first line; --sources wants the columns path and source")
    table, at = join_by_path(table, lambda: photos.names, notify), table.columns.index(_COLUMN)
    each = [table.of(name)[at] or _NONE for name in photos.names]
    names = sorted(set(each))
    where = {name: index for index, name in enumerate(names)}
    return PhotoOrigins(names, np.array([where[name] for name in each], np.int64))


def origin_figures(found: Predictions, origins: PhotoOrigins, classes: list[str]) -> OriginFigures:
    """The figures of each source over logits or probabilities; at least one photo is in `found`."""
    right, of = found.outputs.argmax(1) == found.labels, origins.of[found.indices]
    present = [(index, name) for index, name in enumerate(origins.names) if (of == index).any()]
    recalls = {
        f"{label}, {name}": float(right[chosen].mean())
        for index, name in present
        for at, label in enumerate(classes)
        if (chosen := (of == index) & (found.labels == at)).any()
    }
    worst = min(recalls, key=recalls.__getitem__)
    return OriginFigures({name: float(right[of == index].mean()) for index, name in present}, recalls[worst], worst)
