"""How fast this machine classifies: decoding alone, the model alone, both together, and the bound of both.

A core that decodes a photo, then infers it, does 1 / (1 / decode + 1 / model) photos a second at best: the bound.
Where faces are cut, finding and cutting them takes its part, too.
All figures are of all cores at work at once, as they slow each other down.
"""

import io
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from batchgender.classify.pipeline import BATCH, Classifier, load_classifier
from batchgender.errors import UnreadablePhoto, UserError
from batchgender.faces.detector import open_detector
from batchgender.faces.detector_file import detector_at_hand, find_detector
from batchgender.faces.face_finder import FaceFinder
from batchgender.faces.framing import Framing
from batchgender.io import Notify, text_table
from batchgender.model.session import installed
from batchgender.photos.decode import to_size
from batchgender.photos.generated import generated_pictures
from batchgender.photos.photo import Photo
from batchgender.photos.resize import Size
from batchgender.photos.source import PhotoSource
from batchgender.results.rows import RowLayout
from batchgender.results.sinks import CsvStream
from batchgender.version import __version__

_PHOTOS = 256
_BATCHES = (1, 8, BATCH)
_SECONDS = 1.5
_ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """One model on one provider at one batch size; photos a second of all cores together, medians of three rounds.

    `end_to_end` and `bound` are None at batch sizes that `classify` was not run at; `faces_end_to_end` and
    `faces_bound`, where each photo is cut to its largest face, also where there is no detector.
    """

    model: str
    precision: str
    provider: str
    batch_size: int
    images_per_second: float
    end_to_end: float | None = None
    bound: float | None = None
    faces_end_to_end: float | None = None
    faces_bound: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """What a run found: the machine, photos a second of all cores together, and the models.

    `cut_per_second` are photos decoded and cut to their largest face, None where there is no detector, or no photos.
    """

    machine: dict[str, Any]
    photos: int
    photos_from: str
    decoded_per_second: float
    cut_per_second: float | None
    models: list[Measured]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"schema": 1, **asdict(self)}


def run_benchmark(
    photos: Sequence[str], models: Sequence[str | None], workers: int | None, notify: Notify
) -> Benchmark:
    """Measure models (None is the default one) on photos, generated ones where none are given.

    Raises UserError where the photos or a model can't be used; a provider that can't is left out with a notice.
    """
    with _found(photos) as (chosen, source):
        classifiers = [load_classifier(model, workers=workers, notify=notify) for model in models]
        cores, size = classifiers[0].workers, classifiers[0].model.size
        notify(f"decoding {len(chosen):,} {source} on {cores} cores")
        decoded = _rate(lambda: _decode_all(chosen, size), len(chosen), cores)
        finder = _finder(classifiers[0], notify) if photos else None
        cut = None
        if finder:
            notify(f"finding and cutting the largest face of each on {cores} cores")
            cut = _rate(lambda: _cut_all(chosen, finder, size), len(chosen), cores)
        measured: list[Measured] = []
        for classifier in classifiers:
            for provider in installed():
                try:
                    measured += _measure(classifier.on(provider), chosen, decoded, (finder, cut), notify)
                except UserError as error:
                    notify(f"left out: {error}")
        return Benchmark(_machine(cores), len(chosen), source, decoded, cut, measured)


def benchmark_text(found: Benchmark) -> str:
    """Lay the figures out for a terminal."""
    cores = found.machine["cores"]
    milliseconds = 1000 * cores / found.decoded_per_second
    lines = [
        f"{found.machine['processor']}, {cores} cores; {found.photos:,} {found.photos_from}; photos/s of all cores",
        "",
        f"decode and resize  {found.decoded_per_second:,.0f}   ({milliseconds:.2f} ms a photo and core)",
    ]
    if found.cut_per_second:
        milliseconds = 1000 * cores / found.cut_per_second
        lines.append(f"decode, find, cut  {found.cut_per_second:,.0f}   ({milliseconds:.2f} ms a photo and core)")
    lines.append("")
    rows = [["model", "precision", "batch", "model", "end to end", "bound", "share of the bound"]]
    providers = []
    for provider, group in itertools.groupby(found.models, key=lambda one: one.provider):
        providers.append((len(rows), provider))
        for one in group:
            row = [f"  {one.model:.30}", one.precision, f"{one.batch_size}", f"{one.images_per_second:,.0f}"]
            if one.end_to_end and one.bound:
                row += [f"{one.end_to_end:,.0f}", f"{one.bound:,.0f}", f"{100 * one.end_to_end / one.bound:.0f} %"]
            rows.append(row)
            if one.faces_end_to_end and one.faces_bound:
                share = f"{100 * one.faces_end_to_end / one.faces_bound:.0f} %"
                together = (f"{one.faces_end_to_end:,.0f}", f"{one.faces_bound:,.0f}", share)
                rows.append(["  its largest faces", one.precision, f"{one.batch_size}", "", *together])
    table = text_table(rows, "<<>>>>>")
    for at, provider in reversed(providers):
        table.insert(at, provider)
    return "\n".join([*lines, *table])


@contextmanager
def _found(inputs: Sequence[str]) -> Iterator[tuple[list[Photo], str]]:
    """Up to 256 photos that can be read, spread over what is there, and in words what they are."""
    with tempfile.TemporaryDirectory() as folder:
        if not inputs:
            for index, picture in enumerate(generated_pictures(_PHOTOS)):
                cv2.imwrite(str(Path(folder, f"{index:03}.jpg")), picture)
        every = list(PhotoSource(inputs or [folder]))
        spread = every[:: max(1, len(every) // _PHOTOS)][:_PHOTOS]
        readable = [photo for photo in spread if _readable(photo)]
        if not readable:
            raise UserError(f"no photo that can be read in {', '.join(inputs)}")
        yield readable, "photos" if inputs else "generated pictures"


def _readable(photo: Photo) -> bool:
    try:
        to_size(photo.read(), 32)
    except UnreadablePhoto:
        return False
    return True


def _decode_all(photos: Sequence[Photo], size: Size) -> None:
    for photo in photos:
        to_size(photo.read(), size)


def _finder(classifier: Classifier, notify: Notify) -> FaceFinder | None:
    """What finds the largest face of a photo, with a detector that is at hand: none is fetched."""
    if not detector_at_hand():
        notify("faces are left out, for no face detector is here: `batchgender fetch-detector` gets it")
        return None
    detector = open_detector(find_detector(None, notify))
    return FaceFinder(detector, Framing.from_dict(classifier.info.framing).margin)


def _cut_all(photos: Sequence[Photo], finder: FaceFinder, size: Size) -> None:
    for photo in photos:
        finder.cut(photo.read(), size)


def _measure(
    classifier: Classifier,
    photos: Sequence[Photo],
    decoded: float,
    faces: tuple[FaceFinder | None, float | None],
    notify: Notify,
) -> Iterator[Measured]:
    info, model = classifier.info, classifier.model
    images = np.stack([to_size(p.read(), model.size) for p in itertools.islice(itertools.cycle(photos), BATCH)])
    name, provider = Path(model.file).name, model.session.provider
    for size in _BATCHES:
        notify(f"{name} on {provider}, batches of {size}")
        batch = images[:size]

        def infer(batch: NDArray[np.uint8] = batch) -> None:
            model.predict(batch)

        rate = _rate(infer, size, classifier.workers)
        together = bound = on_faces = faces_bound = None
        if size == BATCH:
            bound = 1 / (1 / decoded + 1 / rate)
            together = _end_to_end(classifier, photos, bound)
            finder, cut = faces
            if finder and cut:
                faces_bound = 1 / (1 / cut + 1 / rate)
                on_faces = _end_to_end(classifier.on_faces(finder), photos, faces_bound)
        yield Measured(name, info.precision, provider, size, rate, together, bound, on_faces, faces_bound)


def _rate(work: Callable[[], None], photos: int, cores: int) -> float:
    """Photos a second of `cores` threads that do this work again and again; the median of some rounds."""
    work()

    def repeat(_: int) -> float:
        done, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < _SECONDS:
            work()
            done += photos
        return done / passed

    with ThreadPoolExecutor(cores) as pool:
        return statistics.median(sum(pool.map(repeat, range(cores))) for _ in range(_ROUNDS))


def _end_to_end(classifier: Classifier, photos: Sequence[Photo], bound: float) -> float:
    """Photos a second from listed photos to CSV rows."""
    count = max(len(photos), int(2 * _SECONDS * bound))
    rates = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        # As `classify` does.
        processes = classifier.worker_processes()
        rows = classifier.rows(itertools.islice(itertools.cycle(photos), count), processes=processes)
        sink = CsvStream(io.StringIO())
        sink.begin(RowLayout(tuple(classifier.info.classes), faces=classifier.faces is not None), {})
        for row in rows:
            sink.write([row])
        rates.append(count / (time.perf_counter() - started))
    return statistics.median(rates)


def _machine(cores: int) -> dict[str, Any]:
    return {
        "processor": processor(),
        "cores": cores,
        "system": platform.platform(),
        "python": platform.python_version(),
        "batchgender": __version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
    }


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine() or os.name
