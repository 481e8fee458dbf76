"""The pipeline: photos to rows, in order, read, decoded and inferred on threads."""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, repeat
from threading import Lock, Semaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.classify.fetches import Fetches
from batchgender.classify.read_ahead import BYTES_HELD, Batch, read_ahead
from batchgender.errors import NoRoom, OutOfMemory, UnreadablePhoto, UserError
from batchgender.io import Notify, silent
from batchgender.model.execution_providers import choose_provider
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import Model, open_model
from batchgender.model.self_check import run_self_check
from batchgender.model.session import AUTO, CPU, check_provider
from batchgender.model.thresholds import in_force
from batchgender.photos.decode import to_size
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.photo import InMemory, Photo
from batchgender.photos.source import PhotoSource
from batchgender.results.rows import Row, make_row
from batchgender.threads import available_cores, ordered_prefetch

BATCH = 32
# Threads a core that read ahead, for disks and network mounts that are slow to answer.
_READERS = 4
# Below this many photos "auto" tries no provider but the CPU: to set another up takes longer than they do.
FEW = 2000

# What a caller of the library may give: a path or pattern, an array, or several of either.
Photos = str | os.PathLike[str] | NDArray[np.uint8] | Iterable[Any]


class Classifier:
    """A model that turns photos into rows. Made by `load_classifier`.

    `workers` is the number of cores that decode and infer, `batch_size` of photos that are inferred together, and
    `provider` the execution provider that `for_photos` chooses; `notify` gets a line where the batch size must fall,
    for the memory is too small.
    """

    def __init__(
        self,
        model: Model,
        workers: int = 1,
        batch_size: int = BATCH,
        notify: Notify = silent,
        provider: str = CPU,
    ) -> None:
        self.model, self.workers, self.batch_size, self.provider = model, workers, batch_size, provider
        self._notify, self._lock = notify, Lock()

    def on(self, provider: str) -> "Classifier":
        """The same classifier on another execution provider; raises UserError as `choose_provider` does."""
        model = choose_provider(self.model, provider, self.workers, self._notify)
        return Classifier(model, self.workers, self.batch_size, self._notify)

    def for_photos(self, source: PhotoSource) -> "Classifier":
        """The classifier on its execution provider; under "auto" that is the CPU where the photos are few."""
        if self.provider == CPU or (self.provider == AUTO and source.count_up_to(FEW) < FEW):
            return self
        return self.on(self.provider)

    @property
    def info(self) -> ModelInfo:
        """The model's metadata: classes, recipe, accuracy on its test split."""
        return self.model.info

    def classify(
        self,
        *photos: Photos,
        threshold: float | None = None,
        notify: Notify = silent,
        labelled: bool = True,
        label_names: LabelNames = DEFAULT_NAMES,
    ) -> Iterator[Row]:
        """Yield one row for each photo under these folders, files and patterns, in the order of their paths.

        Arrays uint8 [height, width, 3] RGB are photos, too: their rows are in the order given, and their paths are
        their places in it, "0" and on. Lists of either are taken.

        Photos that can't be read are rows with an error. The prediction is `Unsure` where the confidence is
        below `threshold` (0 to 1); with none given, the thresholds stored in the model decide. `notify` gets one
        line for each folder that can't be listed; with `labelled` False the folders carry no label, else `label_names`
        are what they may be called. Raises UserError where an input does not exist or is no photo.
        """
        given = _flat(photos)
        if arrays := [each for each in given if isinstance(each, np.ndarray)]:
            if len(arrays) < len(given):
                raise UserError("paths and arrays in one call; give either")
            return self.rows(map(_photo_of_array, range(len(arrays)), arrays), threshold)
        source = PhotoSource([os.fspath(each) for each in given], notify, label_names if labelled else None)
        return self.for_photos(source).rows(source, threshold)

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

        def groups() -> Iterator[list[Photo]]:
            # Small groups first, so that the first rows are soon there.
            for size in chain((1, 2, 4, 8, 16), repeat(self.batch_size)):
                if not (group := _some(pending, min(size, self.batch_size))):
                    return
                yield group

        def work(group: list[Photo]) -> list[Row]:
            return self._group(group, thresholds, cores, fetches)

        with (
            ThreadPoolExecutor(threads) as pool,
            # Closed before the pool: who waits for a photo from afar waits no longer.
            closing(Fetches()) as fetches,
            # Twice as many as there are threads: none idles while a slow photo holds up the order.
            closing(ordered_prefetch(pool, work, groups(), 2 * threads)) as done,
        ):
            for rows in done:
                yield from rows

    def _group(
        self, photos: Sequence[Photo], thresholds: Mapping[str, float], cores: Semaphore, fetches: Fetches
    ) -> list[Row]:
        """Read without a core, then decode and infer on one."""
        rows: list[Row] = []
        # Closed at once where it fails: it may hold memory that others wait for.
        with closing(read_ahead(photos, fetches)) as batches:
            for batch in batches:
                with cores:
                    rows += self._rows(batch, thresholds)
                # Let go before the next ones are read: they may be large.
                del batch
        return rows

    def _rows(self, batch: Batch, thresholds: Mapping[str, float]) -> list[Row]:
        """Decode and infer; in smaller batches from now on where the memory is too small."""
        rows: list[Row] = []
        while len(rows) < len(batch):
            size = self.batch_size
            try:
                rows += self._answers(batch[len(rows) : len(rows) + size], thresholds)
            except (OutOfMemory, MemoryError):
                self._make_smaller(size)
        return rows

    def _answers(self, batch: Batch, thresholds: Mapping[str, float]) -> list[Row]:
        classes, size = self.info.classes, self.model.size
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
        labels = [_label_of(photo, classes) for photo, _ in batch]
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


def _some(photos: Iterator[Photo], count: int) -> list[Photo]:
    """Take the next `count` photos, or fewer where they hold much memory."""
    group: list[Photo] = []
    held = 0
    while len(group) < count and held < BYTES_HELD and (photo := next(photos, None)):
        group.append(photo)
        held += photo.content.held
    return group


def _label_of(photo: Photo, classes: Sequence[str]) -> str:
    if photo.label is not None:
        return photo.label
    return photo.names.label_of(photo.path, classes, photo.root) if photo.names else ""


def _flat(photos: Iterable[Photos]) -> list[Any]:
    """Paths and arrays, out of the lists that hold them."""
    found: list[Any] = []
    for each in photos:
        if isinstance(each, str | os.PathLike) or (isinstance(each, np.ndarray) and each.ndim <= 3):
            found.append(each)
        else:
            found += _flat(each)
    return found


def _photo_of_array(index: int, pixels: NDArray[Any]) -> Photo:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UserError(
            f"photo {index}: an array of {pixels.dtype} {list(pixels.shape)}; give uint8 [height, width, 3], RGB"
        )
    return Photo(str(index), InMemory(pixels), names=None)


def load_classifier(
    model: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    provider: str = AUTO,
    workers: int | None = None,
    batch_size: int = BATCH,
    notify: Notify = silent,
    output: str | None = None,
    columns: Sequence[int] | None = None,
    channels: str | None = None,
) -> Classifier:
    """Open a model file as a classifier: by default `exports/batchgender.onnx` if there is one, else the packaged one.

    "packaged" names the latter. A foreign ONNX classifier needs its `classes`, `mean` and `std`, and perhaps `output`,
    `columns` and `channels`, as `ForeignOptions` has them; `notify` gets what is assumed of it. `provider` is one of
    `session.PROVIDERS`, or "auto" for the fastest that agrees with the CPU where there are 2,000 photos or more;
    `workers` is by default the number of cores that this process may use. Raises UserError where the file is missing,
    damaged or no image classifier, fails its self-check, or the provider is not there.
    """
    if provider != AUTO:
        check_provider(provider)
    foreign = ForeignOptions(classes, mean, std, output, columns, channels)
    opened = open_model(model, foreign, notify=notify)
    run_self_check(opened)
    classifier = Classifier(opened, workers or available_cores(), batch_size, notify, provider)
    return classifier if provider == AUTO else classifier.on(provider)
