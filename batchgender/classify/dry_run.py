"""What a run would read, and how long it would take here: photos counted, and some of them really classified."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from batchgender.classify.counted_rows import checked_labels
from batchgender.classify.face_choice import FaceOptions, choose_faces
from batchgender.classify.pipeline import Classifier
from batchgender.classify.run import check_any
from batchgender.io import Notify, text_table
from batchgender.photos.file_type import kind_by_ending
from batchgender.photos.photo import Photo, printable
from batchgender.photos.source import PhotoSource, skipped_text
from batchgender.progress import Progress

# Photos that are classified, fewer where they come with so many bytes.
_SAMPLE, _HELD = 512, 2**27
# The first ones fill the pipeline, and are not counted.
_FILLING = 31
# Seconds that the sample may take.
_SECONDS = 10.0
_SINGLE_FILES = "single files, patterns"


@dataclass(frozen=True)
class DryRun:
    """What a run would read: photos by their kind, by the input they come from, and by the class of their label.

    `skipped` are files left out by ending, `unlistable` folders that can't be listed, `unknown_labels` labels that are
    no class of the model. It would take about `seconds`, by `tried` photos, of which `unreadable` can't be read.
    """

    kinds: Counter[str]
    places: Counter[str]
    labels: Counter[str]
    unknown_labels: Counter[str]
    skipped: Counter[str]
    unlistable: int
    seconds: float
    tried: int
    unreadable: int
    computed_by: str


def dry_run(classifier: Classifier, source: PhotoSource, faces: FaceOptions, notify: Notify) -> DryRun:
    """Look through all photos, and classify some that are spread over them, as a run would; writes nothing.

    Raises UserError where there is no photo, or no detector for the faces that are asked for.
    """
    check_any(source)
    classifier = classifier.for_photos(source)
    classifier = classifier.on_faces(choose_faces(classifier.info, source, faces, classifier.workers, notify))
    classes = classifier.info.classes
    kinds, places, labels, unknown = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    inputs = frozenset(printable(each).rstrip("/") for each in source.inputs)
    sample: list[Photo] = []
    chosen, held = random.Random(0), 0
    started = time.monotonic()
    with Progress("count", "photos", notify) as progress:
        for number, photo in enumerate(checked_labels(source, classes, unknown), 1):
            kinds["video frames" if photo.time is not None else kind_by_ending(photo.path)] += 1
            places[_place_of(photo.path, inputs)] += 1
            labels[photo.label_among(classes)] += 1
            # Reservoir sampling: each photo is as likely to be in the sample (Vitter 1985, algorithm R).
            if len(sample) == number - 1 < _SAMPLE and held < _HELD:
                sample.append(photo)
                held += photo.content.held
            elif (at := chosen.randrange(number)) < len(sample):
                sample[at] = photo
            progress.update(1)
    listing = time.monotonic() - started
    tried, unreadable, a_photo = _try(classifier, sample)
    cores = "1 core" if classifier.workers == 1 else f"{classifier.workers} cores"
    return DryRun(
        kinds,
        places,
        labels,
        unknown,
        source.skipped,
        source.unlistable,
        # Photos are listed while others are classified.
        max(listing, kinds.total() * a_photo),
        tried,
        unreadable,
        f"{classifier.model.session.provider}, {cores}",
    )


def dry_run_text(found: DryRun) -> str:
    """Lay what was found out for a terminal."""
    rows = [["photos", f"{found.kinds.total():,}"]]
    rows += [[f"  {kind}", f"{count:,}"] for kind, count in found.kinds.most_common()]
    for title, counts in (("from", found.places), ("labelled", found.labels)):
        if len(counts) > 1 or (title == "labelled" and "" not in counts):
            rows += [[title], *([f"  {name or 'no label'}", f"{count:,}"] for name, count in sorted(counts.items()))]
    lines = text_table(rows, "<>")
    if found.unknown_labels:
        lines.append(f"labels that are no class of the model: {skipped_text(found.unknown_labels)}")
    if found.skipped:
        lines.append(f"left out, not photos: {skipped_text(found.skipped)}")
    if found.unlistable:
        lines.append(f"folders that can't be listed: {found.unlistable:,}")
    if found.unreadable:
        lines.append(f"{found.unreadable:,} of {found.tried:,} photos that were tried could not be read")
    return "\n".join(
        [
            *lines,
            "",
            f"about {_duration(found.seconds)} here, by {found.tried:,} of them, classified on {found.computed_by}",
            "no results were written",
        ]
    )


def _try(classifier: Classifier, sample: Sequence[Photo]) -> tuple[int, int, float]:
    """Classify the sample: how many photos were done, how many can't be read, seconds a photo once all cores work."""
    if not sample:
        # Few photos, and many shards.
        return 0, 0, 0.0
    done = unreadable = counted_from = 0
    started = now = time.monotonic()
    end = started + _SECONDS
    last: tuple[str, float | None] = ("", None)
    with closing(classifier.rows(sample, processes=classifier.worker_processes())) as rows:
        for row in rows:
            # A photo may have several rows.
            done += (row.path, row.time) != last
            last = row.path, row.time
            unreadable += row.unreadable
            now = time.monotonic()
            if done == _FILLING and len(sample) >= 4 * _FILLING:
                started, counted_from = now, done
            if now > end and done > counted_from:
                break
    return done, unreadable, (now - started) / (done - counted_from)


def _place_of(path: str, inputs: frozenset[str]) -> str:
    """The input that a row's path begins with; of one alone its paths are relative to it."""
    if len(inputs) == 1:
        return next(iter(inputs))
    return next((above for above in _above(path) if above in inputs), _SINGLE_FILES)


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _duration(seconds: float) -> str:
    if seconds < 1.5:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
