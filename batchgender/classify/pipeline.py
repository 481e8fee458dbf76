"""The pipeline: photos to rows, in order, read, decoded and inferred on threads."""

import math
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain, repeat
from threading import Semaphore
from typing import Protocol

from batchgender.classify.face_choice import OFF, FaceOptions, choose_faces
from batchgender.classify.fetches import Fetches
from batchgender.classify.given import Photos, photos_given
from batchgender.classify.inference import Answer, Inference, NamedData
from batchgender.classify.read_ahead import BYTES_HELD, Batch, read_ahead
from batchgender.classify.worker_processes import SECONDS, WorkerProcesses, can_isolate
from batchgender.errors import UnreadablePhoto
from batchgender.faces.face_finder import FaceFinder
from batchgender.io import Notify, silent
from batchgender.model.execution_providers import choose_provider, photos_worth_a_choice
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import Model, open_model
from batchgender.model.self_check import run_self_check
from batchgender.model.session import AUTO, CPU, check_provider
from batchgender.model.thresholds import in_force
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.photo import Photo
from batchgender.photos.places.remote.address import is_address
from batchgender.photos.source import PhotoSource
from batchgender.results.answered import Answered
from batchgender.results.rows import Row
from batchgender.threads import available_cores, ordered_prefetch

BATCH = 32
# Threads a core that read ahead, for disks and network mounts that are slow to answer.
_READERS = 4
# Bytes of photos that come with them, as those of a compressed tar do, in all groups that are under way.
_MOST_HELD = 2**28
# Below this many photos "auto" tries no provider but the CPU, and so many it counts at most before the first row.
FEW, _COUNTED = 2000, 20_000


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
        self.model, self.workers, self.provider, self.faces = model, workers, provider, faces
        self._notify = notify
        self._inference = Inference(model, batch_size, faces, notify)

    @property
    def batch_size(self) -> int:
        """Photos that are inferred together: fewer than were asked for where the memory was too small."""
        return self._inference.batch_size

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

    def description(self, in_processes: bool) -> Iterator[str]:
        """Lines on what computes the answers, on threads or in processes of their own: the model, these, the faces."""
        yield f"model: {self.model.description}"
        kind = "processes" if in_processes else "threads"
        yield f"threads: {self._threads()} that read photos; {kind} that decode and infer: {self.workers}"
        yield f"batches: up to {self.batch_size} photos"
        if self.faces:
            each = "every face of a photo" if self.faces.every else "the largest face of each photo"
            aligned = ", eyes level" if self.faces.align else ""
            yield (
                f"detector: {self.faces.detector.file}: {each}, from {self.faces.min_face} pixels on, with a margin of"
                f" {self.faces.margin:g} around it{aligned}"
            )

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

    def worker_processes(self, threshold: float | None = None, seconds: float = SECONDS) -> WorkerProcesses | None:
        """Processes that answer for one call of `rows`, see `WorkerProcesses`; None where threads have to."""
        if not can_isolate(self.model.session.provider):
            return None
        return WorkerProcesses(self._inference, self.thresholds(threshold), self.workers, self._notify, seconds)

    def rows(
        self,
        photos: Iterable[Photo],
        threshold: float | None = None,
        processes: WorkerProcesses | None = None,
        reused: bool = False,
    ) -> Generator[Row]:
        """Yield the row of each photo, in order; holds a few batches at a time, whatever the number of photos.

        `processes`, made by `worker_processes` with the same threshold, answer them, and are closed at the end;
        with `reused`, to answer others, only where this ends early.
        """
        threads_answer = _Threads(self._inference, self.thresholds(threshold), self.workers)
        threads = self._threads()
        pending = iter(photos)

        def groups() -> Iterator[list[Photo]]:
            # Small groups first, so that the first rows are soon there.
            for size in chain((1, 2, 4, 8, 16), repeat(self.batch_size)):
                if not (group := _some(pending, min(size, self.batch_size))):
                    return
                yield group

        def work(group: list[Photo]) -> list[Row]:
            return self._group(group, answering, fetches)

        with (
            ThreadPoolExecutor(threads) as pool,
            # Closed before the pool: who waits for a photo from afar, or for a decoder, waits no longer.
            closing(Fetches()) as fetches,
            (_closed_early if reused else closing)(processes or threads_answer) as answering,
            # Twice as many as there are threads: none idles while a slow photo holds up the order.
            closing(ordered_prefetch(pool, work, groups(), 2 * threads, held=_held, most=_MOST_HELD)) as done,
        ):
            for rows in done:
                yield from rows

    def _threads(self) -> int:
        """More threads than cores: while some compute, the others have read their photos and wait for a core."""
        return min(_READERS * self.workers, self.workers + 16)

    def _group(self, photos: Sequence[Photo], answering: "_Answering", fetches: Fetches) -> list[Row]:
        """Read without a core, then decode and infer on one."""
        rows: list[Row] = []
        # Closed at once where it fails: it may hold memory that others wait for.
        with closing(read_ahead(photos, fetches)) as batches:
            for batch in batches:
                rows += self._rows(batch, answering)
                # Let go before the next ones are read: they may be large.
                del batch
        return rows

    def _rows(self, batch: Batch, answering: "_Answering") -> list[Row]:
        read = [
            (photo.path, data)
            for photo, data in batch
            if not isinstance(data, UnreadablePhoto) and not isinstance(photo.content, Answered)
        ]
        answers = iter(answering.answers(read) if read else [])
        rows: list[Row] = []
        for photo, data in batch:
            label = photo.label_among(self.info.classes)
            if isinstance(photo.content, Answered):
                rows += [replace(row, label=label, earlier=True) for row in photo.content.rows]
                continue
            if isinstance(data, UnreadablePhoto):
                rows.append(Row(photo.path, label=label, error=str(data), time=photo.time))
                continue
            rows += [
                Row(photo.path, prediction, probabilities, label, error, face, photo.time)
                for prediction, probabilities, error, face in next(answers)
            ]
        return rows


class _Answering(Protocol):
    """What answers photos on a core; several threads call it."""

    def answers(self, photos: Sequence[NamedData]) -> list[list[Answer]]:
        """The answers of each photo."""

    def close(self) -> None:
        """End at once."""


class _Threads:
    """Answers photos on the threads that call it, on so many cores."""

    def __init__(self, inference: Inference, thresholds: Mapping[str, float], cores: int) -> None:
        self._inference, self._thresholds, self._cores = inference, thresholds, Semaphore(cores)

    def answers(self, photos: Sequence[NamedData]) -> list[list[Answer]]:
        with self._cores:
            return self._inference.answers(photos, self._thresholds)

    def close(self) -> None:
        """Nothing to end: the threads come to an end with their photos."""


@contextmanager
def _closed_early(answering: _Answering) -> Iterator[_Answering]:
    """End what answers where the block does not come to its end: it may be at a photo for long."""
    try:
        yield answering
    except BaseException:
        answering.close()
        raise


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
