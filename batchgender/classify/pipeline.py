"""The pipeline: photos in, rows out, in order. The one place that knows of threads."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice, repeat
from threading import Lock, Semaphore

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import NoRoom, OutOfMemory, UnreadablePhoto
from batchgender.io import Notify, silent
from batchgender.model.execution_providers import place
from batchgender.model.model_file import Model, ModelInfo, open_model
from batchgender.model.self_check import replay
from batchgender.model.session import CPU
from batchgender.model.thresholds import in_force
from batchgender.photos.decode import read_bytes, to_size
from batchgender.photos.finder import Photo, PhotoFinder
from batchgender.photos.labels import label_of
from batchgender.results.results_file import Row, make_row
from batchgender.threads import available_cores

BATCH = 32
# Threads a core that read ahead, for disks and network mounts that are slow to answer.
_READERS = 4
# A thread infers what it has read once it holds this much, so that memory does not grow with the photos' sizes.
_BYTES_HELD = 8_000_000


# Photos with their bytes, or why there are none.
_Batch = list[tuple[Photo, bytes | UnreadablePhoto]]


class Classifier:
    """A model that turns photos into rows. Made by `load_classifier`.

    `workers` is the number of cores that decode and infer, `batch_size` of photos that are inferred together; `notify`
    gets one line where the batch size must fall, for the memory is too small.
    """

    def __init__(self, model: Model, workers: int = 1, batch_size: int = BATCH, notify: Notify = silent) -> None:
        self.model, self.workers, self.batch_size = model, workers, batch_size
        self._notify, self._lock = notify, Lock()

    def on(self, provider: str) -> "Classifier":
        """The same classifier, computed by another provider; raises UserError as `providers.place` does."""
        return Classifier(
            place(self.model, provider, self.workers, self._notify), self.workers, self.batch_size, self._notify
        )

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself: classes, recipe, accuracy on its test split."""
        return self.model.info

    def classify(
        self,
        *photos: str | os.PathLike[str],
        threshold: float | None = None,
        notify: Notify = silent,
    ) -> Iterator[Row]:
        """Yield one row for each photo under these folders, files and patterns, in the order of their paths.

        Photos that can't be read are rows with an error. The prediction is `Unsure` where the confidence is
        below `threshold` (0 to 1); with none given, the thresholds stored in the model decide. `notify` gets one
        line for each folder that can't be listed. Raises UserError where an input does not exist.
        """
        return self.rows(PhotoFinder([os.fspath(p) for p in photos], notify), threshold)

    def thresholds(self, threshold: float | None = None) -> dict[str, float]:
        """The thresholds by class that `threshold` puts in force: those stored in the model where it is None."""
        return in_force(self.info.thresholds, threshold, self.info.classes)

    def rows(self, photos: Iterable[Photo], threshold: float | None = None) -> Generator[Row]:
        """Yield the row of each photo, in order; holds a few batches at a time, whatever the number of photos."""
        thresholds = self.thresholds(threshold)
        # More threads than cores: while some compute, the others have read their photos and wait for a core.
        threads = min(_READERS * self.workers, self.workers + 16)
        cores = Semaphore(self.workers)
        pending = iter(photos)
        ahead: deque[Future[list[Row]]] = deque()
        # Small groups first, so that the first rows are soon there.
        sizes = chain((1, 2, 4, 8, 16), repeat(self.batch_size))
        with ThreadPoolExecutor(threads) as pool:
            try:
                # Twice as many as there are threads: none idles while a slow photo holds up the order.
                while (group := list(islice(pending, min(next(sizes), self.batch_size)))) or ahead:
                    if group:
                        ahead.append(pool.submit(self._group, group, thresholds, cores))
                    if not group or len(ahead) > 2 * threads:
                        yield from ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _group(self, photos: Sequence[Photo], thresholds: Mapping[str, float], cores: Semaphore) -> list[Row]:
        """Read without a core, then decode and infer on one."""
        rows: list[Row] = []
        for batch in _read(photos):
            with cores:
                rows += self._rows(batch, thresholds)
        return rows

    def _rows(self, batch: _Batch, thresholds: Mapping[str, float]) -> list[Row]:
        """Decode and infer; in smaller batches from now on where the memory is too small."""
        rows: list[Row] = []
        while len(rows) < len(batch):
            size = self.batch_size
            try:
                rows += self._answers(batch[len(rows) : len(rows) + size], thresholds)
            except (OutOfMemory, MemoryError):
                self._make_smaller(size)
        return rows

    def _answers(self, batch: _Batch, thresholds: Mapping[str, float]) -> list[Row]:
        classes, size = self.info.classes, self.info.input_size
        images: dict[int, NDArray[np.uint8]] = {}
        errors: dict[int, str] = {}
        for index, (_, data) in enumerate(batch):
            try:
                if isinstance(data, UnreadablePhoto):
                    raise data
                images[index] = to_size(data, size)
            except UnreadablePhoto as error:
                # Beside fewer photos there may be room.
                if isinstance(error, NoRoom) and len(batch) > 1:
                    raise OutOfMemory(str(error)) from error
                errors[index] = str(error)
        answers = iter(self.model.predict(np.stack(list(images.values())))) if images else iter(())
        labels = [label_of(photo.path, classes, photo.root) for photo, _ in batch]
        return [
            Row(photo.path, label=label, error=errors[index])
            if index in errors
            else make_row(photo.path, next(answers), classes, label, thresholds)
            for index, ((photo, _), label) in enumerate(zip(batch, labels, strict=True))
        ]

    def _make_smaller(self, size: int) -> None:
        with self._lock:
            if self.batch_size == 1:
                raise OutOfMemory(f"{self.model.file}: the memory has no room for one photo at a time; try --workers 1")
            # Another worker may have been here first.
            if self.batch_size == size:
                self.batch_size = size // 2
                self._notify(f"the memory has no room for batches of {size} photos: {self.batch_size} from here on")


def _read(photos: Sequence[Photo]) -> Iterator[_Batch]:
    """Yield the photos with their bytes, in several batches where they are large."""
    batch: _Batch = []
    held = 0
    for photo in photos:
        try:
            data = read_bytes(photo.file)
            held += len(data)
            batch.append((photo, data))
        except UnreadablePhoto as error:
            batch.append((photo, error))
        if held >= _BYTES_HELD:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def load_classifier(
    model: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    provider: str = CPU,
    workers: int | None = None,
    batch_size: int = BATCH,
    notify: Notify = silent,
) -> Classifier:
    """Open a model file (where none is named `exports/batchgender.onnx`, else the packaged one) as a classifier.

    A foreign ONNX classifier needs its `classes`, and `mean` and `std` over RGB in 0..1. `provider` is one of
    `session.PROVIDERS`, or "auto" for the fastest that agrees with the CPU; `workers` is by default the number of
    cores that this process may use. Raises UserError where the file is missing, damaged, no image classifier, or
    answers the pictures in it wrongly, or the provider is not there.
    """
    opened = open_model(model, classes, mean, std)
    replay(opened)
    return Classifier(opened, workers or available_cores(), batch_size, notify).on(provider)
