"""The pipeline: photos to rows, in order, read, decoded and inferred on threads."""

import math
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, repeat
from threading import Lock, Semaphore

import numpy as np
from numpy.typing import NDArray

from batchgender.classify.face_choice import OFF, FaceOptions, choose_faces
from batchgender.classify.fetches import Fetches
from batchgender.classify.given import Photos, photos_given
from batchgender.classify.read_ahead import BYTES_HELD, Batch, read_ahead
from batchgender.errors import NoRoom, OutOfMemory, UnreadablePhoto
from batchgender.faces.face import Face
from batchgender.faces.face_finder import FaceFinder
from batchgender.io import Notify, silent
from batchgender.model.execution_providers import choose_provider, photos_worth_a_choice
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import Model, open_model
from batchgender.model.self_check import run_self_check
from batchgender.model.session import AUTO, CPU, check_provider
from batchgender.model.thresholds import in_force
from batchgender.photos.decode import to_size
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.photo import Photo
from batchgender.photos.places.remote.address import is_address
from batchgender.photos.source import PhotoSource
from batchgender.results.rows import NO_FACE, Row, decided
from batchgender.threads import available_cores, ordered_prefetch

BATCH = 32
# Threads a core that read ahead, for disks and network mounts that are slow to answer.
_READERS = 4
# Bytes of photos that come with them, as those of a compressed tar do, in all groups that are under way.
_MOST_HELD = 2**28
# Below this many photos "auto" tries no provider but the CPU, and so many it counts at most before the first row.
FEW, _COUNTED = 2000, 20_000
# After so many a graph for pictures of the model's size is made: for the others it gains more than that takes.
_MANY = 5_000


class Classifier:
    """A model that turns photos into rows. Made by `load_classifier`.

    `workers` is the number of cores that decode and infer, `batch_size` of photos that are inferred together, and
    `provider` the execution provider that `for_photos` chooses; `notify` gets a line where the batch size must fall,
    for the memory is too small. `faces` finds and cuts the faces that are classified in the place of whole photos.
    """

    def __init__(
        self,
        model: Model,
        workers: int = 1,
        batch_size: int = BATCH,
        notify: Notify = silent,
        provider: str = CPU,
        faces: FaceFinder | None = None,
    ) -> None:
        self.model, self.workers, self.batch_size, self.provider = model, workers, batch_size, provider
        self.faces = faces
        self._notify, self._lock = notify, Lock()
        # What infers: `model`, which takes pictures of any size, and after many photos its graph for one size.
        self._inferring, self._left = model, _MANY

    def on(self, provider: str) -> "Classifier":
        """The same classifier on another execution provider; raises UserError as `choose_provider` does."""
        model = choose_provider(self.model, provider, self.workers, self._notify)
        return Classifier(model, self.workers, self.batch_size, self._notify, faces=self.faces)

    def on_faces(self, faces: FaceFinder | None) -> "Classifier":
        """The same classifier for these faces, or, with None, for whole photos."""
        return Classifier(self.model, self.workers, self.batch_size, self._notify, self.provider, faces)

    def for_photos(self, source: PhotoSource, before: str = AUTO) -> "Classifier":
        """The classifier on its execution provider; under "auto" that is the CPU where the photos are few for another.

        `before` is the one of the run that is resumed: "auto", which measures, might choose another.
        """
        provider = before if self.provider == AUTO else self.provider
        if provider == CPU or (provider == AUTO and not self._are_worth_a_choice(source)):
            return self
        return self.on(provider)

    def _are_worth_a_choice(self, source: PhotoSource) -> bool:
        if source.count_up_to(FEW) < FEW:
            return False
        needed = photos_worth_a_choice(self.model, self.workers)
        # To count more of what is read from its beginning, of videos, and of what is far, takes long.
        far = source.sequential or source.fps or any(map(is_address, source.inputs))
        most = FEW if far else _COUNTED
        return math.isfinite(needed) and source.count_up_to(most) >= min(needed, most)

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
        faces: str | FaceOptions = OFF,
    ) -> Iterator[Row]:
        """Yield one row for each photo under these folders, files and patterns, in the order of their paths.

        Arrays uint8 [height, width, 3] RGB are photos, too: their rows are in the order given, and their paths are
        their places in it, "0" and on. Lists of either are taken.

        A source that others wrote is taken, too: an iterable of tuples (name, data) or (name, data, label), see
        `named.Named`. Its rows are in its order; it is iterated once, a few batches ahead, and functions that it gives
        are called on several threads.

        Photos that can't be read are rows with an error. The prediction is `Unsure` where the confidence is
        below `threshold` (0 to 1); with none given, the thresholds stored in the model decide. `notify` gets one
        line for each folder that can't be listed; with `labelled` False the folders carry no label, else `label_names`
        are what they may be called. `faces` are those to find and classify in the place of whole photos: "largest",
        "all" (a row each), "auto" (for paths), or FaceOptions. Raises UserError where an input does not exist or is no
        photo, and where the face detector can't be had.
        """
        given = photos_given(photos, notify, label_names if labelled else None)
        source = given if isinstance(given, PhotoSource) else None
        wanted = FaceOptions(faces) if isinstance(faces, str) else faces
        found = self.on_faces(choose_faces(self.info, source, wanted, self.workers, notify))
        return (found.for_photos(source) if source else found).rows(given, threshold)

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
            closing(ordered_prefetch(pool, work, groups(), 2 * threads, held=_held, most=_MOST_HELD)) as done,
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
        done = 0
        while done < len(batch):
            size = self.batch_size
            try:
                rows += self._answers(batch[done : done + size], thresholds)
                done += size
            except (OutOfMemory, MemoryError):
                self._make_smaller(size)
        return rows

    def _answers(self, batch: Batch, thresholds: Mapping[str, float]) -> list[Row]:
        rows: list[Row] = []
        # Pictures that wait for the model, and the places of their rows. A photo may have hundreds of faces.
        images: list[NDArray[np.uint8]] = []
        places: list[int] = []
        for photo, data in batch:
            label = photo.label_among(self.info.classes)
            try:
                if isinstance(data, UnreadablePhoto):
                    raise data
                views = self._views(data)
            except UnreadablePhoto as error:
                # Beside fewer photos there may be room.
                if isinstance(error, NoRoom) and len(batch) > 1:
                    raise OutOfMemory(str(error)) from error
                rows.append(Row(photo.path, label=label, error=str(error), time=photo.time))
                continue
            if not views:
                rows.append(Row(photo.path, label=label, error=NO_FACE, time=photo.time))
            for face, image in views:
                places.append(len(rows))
                rows.append(Row(photo.path, label=label, face=face, time=photo.time))
                images.append(image)
                if len(images) == self.batch_size:
                    self._predict(rows, images, places, thresholds)
        self._predict(rows, images, places, thresholds)
        return rows

    def _views(self, data: bytes | NDArray[np.uint8]) -> list[tuple[Face | None, NDArray[np.uint8]]]:
        """What is classified of a photo: each of its faces, or the whole of it."""
        if self.faces:
            return [*self.faces.cut(data, self.model.size)]
        return [(None, to_size(data, self.model.size))]

    def _predict(
        self,
        rows: list[Row],
        images: list[NDArray[np.uint8]],
        places: list[int],
        thresholds: Mapping[str, float],
    ) -> None:
        """Put the answers for `images` into the rows at `places`, and empty both."""
        if not images:
            return
        self._count(len(images))
        for at, probabilities in zip(places, self._inferring.predict(np.stack(images)).tolist(), strict=True):
            row = rows[at]
            prediction, rounded = decided(probabilities, self.info.classes, thresholds, row.path)
            rows[at] = Row(row.path, prediction, rounded, row.label, face=row.face, time=row.time)
        images.clear()
        places.clear()

    def _count(self, images: int) -> None:
        """Have the pictures after the first many go through a graph of their size; the answers stay the same."""
        with self._lock:
            due = 0 < self._left <= images
            self._left -= images
        if due:
            self._inferring = self.model.at_its_size()

    def _make_smaller(self, size: int) -> None:
        with self._lock:
            if self.batch_size == 1:
                raise OutOfMemory(f"{self.model.file}: the memory has no room for one photo at a time; try --workers 1")
            # Another worker may have been here first.
            if self.batch_size == size:
                self.batch_size = size // 2
                self._notify(f"the memory has no room for batches of {size} photos: {self.batch_size} from here on")


def _held(photos: Sequence[Photo]) -> int:
    """How many bytes photos hold before they are read."""
    return sum(photo.content.held for photo in photos)


def _some(photos: Iterator[Photo], count: int) -> list[Photo]:
    """Take the next `count` photos, or fewer where they hold much memory."""
    group: list[Photo] = []
    held = 0
    while len(group) < count and held < BYTES_HELD and (photo := next(photos, None)):
        group.append(photo)
        held += photo.content.held
    return group


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
    `session.PROVIDERS`, or "auto" for the fastest that agrees with the CPU where the photos give it seconds of work;
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
