"""The pipeline: photos in, rows out, in order. The one place that knows of threads."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from batchgender.cores import available_cores
from batchgender.decode import read_photo
from batchgender.errors import UnreadablePhoto
from batchgender.labels import label_of
from batchgender.model_file import Model, ModelInfo, open_model
from batchgender.photos import Photo, PhotoFinder
from batchgender.results import Row, make_row
from batchgender.thresholds import in_force

_BATCH = 32


class Classifier:
    """A model that turns photos into rows. Made by `load_classifier`."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself: classes, recipe, accuracy on its test split."""
        return self.model.info

    def classify(
        self,
        *photos: str | os.PathLike[str],
        threshold: float | None = None,
        warn: Callable[[str], None] = lambda line: None,
    ) -> Iterator[Row]:
        """Yield one row for each photo under these folders, files and patterns, in the order of their paths.

        Photos that can't be read are rows with an error. The prediction is `Unsure` where the confidence is
        below `threshold` (0 to 1); with none given, the thresholds stored in the model decide. `warn` gets one
        line for each folder that can't be listed. Raises UserError where an input does not exist.
        """
        return self.rows(PhotoFinder([os.fspath(p) for p in photos], warn), threshold)

    def thresholds(self, threshold: float | None = None) -> dict[str, float]:
        """The thresholds by class that `threshold` puts in force: those stored in the model where it is None."""
        return in_force(self.info.thresholds, threshold, self.info.classes)

    def rows(self, photos: Iterable[Photo], threshold: float | None = None) -> Generator[Row]:
        """Yield the row of each photo, in order; holds a few batches at a time, whatever the number of photos."""
        thresholds = self.thresholds(threshold)
        workers = available_cores()
        pending = iter(photos)
        ahead: deque[Future[list[Row]]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                # Two batches waiting for each worker: none idles while a slow photo holds up the order.
                while (batch := list(islice(pending, _BATCH))) or ahead:
                    if batch:
                        ahead.append(pool.submit(self._rows, batch, thresholds))
                    if not batch or len(ahead) > 2 * workers:
                        yield from ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _rows(self, photos: Sequence[Photo], thresholds: Mapping[str, float]) -> list[Row]:
        """Decode and infer one batch on one core."""
        classes, size = self.info.classes, self.info.input_size
        labels = [label_of(photo.path, classes, photo.root) for photo in photos]
        images, errors = {}, {}
        for index, photo in enumerate(photos):
            try:
                images[index] = read_photo(photo.file, size)
            except UnreadablePhoto as error:
                errors[index] = str(error)
        answers = iter(self.model.predict(np.stack(list(images.values())))) if images else iter(())
        return [
            Row(photo.path, label=label, error=errors[index])
            if index in errors
            else make_row(photo.path, next(answers), classes, label, thresholds)
            for index, (photo, label) in enumerate(zip(photos, labels, strict=True))
        ]


def load_classifier(
    model: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Classifier:
    """Open a model file (where none is named `exports/batchgender.onnx`, else the packaged one) as a classifier.

    A foreign ONNX classifier needs its `classes`, and `mean` and `std` over RGB in 0..1. Raises UserError where
    the file is missing, damaged or no image classifier.
    """
    return Classifier(open_model(model, classes, mean, std))
