"""One whole audit: answers and photos to doubted labels, duplicates, and the accuracy without them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.audit.doubted_labels import doubted_labels
from batchgender.audit.duplicates import photo_prints, same_pictures
from batchgender.errors import UserError
from batchgender.io import Notify, silent
from batchgender.model.metadata import Interval
from batchgender.photos.path_table import PathTable, join_by_path
from batchgender.photos.photo import Photo, printable
from batchgender.photos.source import PhotoSource
from batchgender.report.statistics import share, wilson
from batchgender.results.answers import Answers
from batchgender.results.formats import report_beside
from batchgender.training.data.splits import split_named

# So many paths are named where there are more.
_NAMED = 3


@dataclass(frozen=True)
class DoubtedLabel:
    """A photo whose label the model doubts: the class that it takes instead, and the probabilities of both."""

    path: str
    label: str
    prediction: str
    confidence: float
    p_label: float


@dataclass(frozen=True)
class Duplicate:
    """Photos that show one picture, `exact` where their files are the same, with the label of each, "" for none."""

    paths: list[str]
    labels: list[str]
    exact: bool
    across_folders: bool
    across_splits: bool

    @property
    def labels_differ(self) -> bool:
        """Whether the picture has two labels."""
        return len(set(filter(None, self.labels))) > 1


@dataclass(frozen=True)
class AccuracyOf:
    """The accuracy of some of the photos; `photos` are those answered with a class, not Unsure."""

    photos: int
    accuracy: float | None
    accuracy_interval_95: Interval | None


@dataclass(frozen=True)
class Audit:
    """What an audit comes to.

    `photos` are labelled and have an answer; `left_out` have none. `doubted` begins with the most doubted one;
    `duplicates` is None where no photo was looked at. `accuracy` has figures by which photos they are of. `trained_on`
    is the dataset of the model, as its file names it, "" where nothing says.
    """

    title: str
    photos: int
    left_out: int
    doubted: list[DoubtedLabel]
    duplicates: list[Duplicate] | None
    accuracy: dict[str, AccuracyOf]
    trained_on: str

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        data = asdict(self)
        for each, of in zip(data["duplicates"] or [], self.duplicates or [], strict=True):
            each["labels_differ"] = of.labels_differ
        return {"schema": 1, **data}


@dataclass(frozen=True)
class RunFacts:
    """What the report beside a results file says of the run: where its photos are, what its model was trained on."""

    photos_from: list[str]
    trained_on: str


def run_facts(results: str) -> RunFacts:
    """Read the report that `classify` wrote beside a results file; nothing is known where it is missing or another."""
    try:
        report = json.loads(report_beside(Path(results)).read_text(encoding="utf-8"))
        places, trained_on = report["photos_from"], report.get("trained_on", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RunFacts([], "")
    known = isinstance(places, list) and all(isinstance(each, str) for each in places)
    return RunFacts(places if known else [], trained_on if isinstance(trained_on, str) else "")


def audit(answers: Answers, source: PhotoSource | None, trained_on: str, notify: Notify) -> Audit:
    """Look the labels over, and the photos where `source` has them.

    Raises UserError where no photo has a label, or all have one, and where `source` has none of the photos.
    """
    answers = answers.first_of_each_photo()
    labelled = answers.labelled()
    doubted = doubted_labels(labelled)
    label_of = {path: answers.classes[at] if at >= 0 else "" for path, at in _pairs(answers)}
    duplicates = None
    if source:
        photos = _photos_of([*answers.paths, *answers.left_out], source, answers.title, notify)
        groups = same_pictures(photo_prints(photos, notify))
        duplicates = [_duplicate(group.paths, group.exact, label_of) for group in groups]
        # The worst first; within each kind by path.
        duplicates.sort(key=lambda each: (not each.labels_differ, not each.across_splits, not each.across_folders))
    return Audit(
        title=answers.title,
        photos=len(labelled),
        left_out=len(answers.left_out),
        doubted=[_doubted(labelled, int(index)) for index in doubted],
        duplicates=duplicates,
        accuracy=_accuracies(labelled, {labelled.paths[index] for index in doubted}, duplicates),
        trained_on=trained_on,
    )


def _pairs(answers: Answers) -> Iterable[tuple[str, int]]:
    return zip(answers.paths, answers.labels.tolist(), strict=True)


def _photos_of(paths: Sequence[str], source: PhotoSource, title: str, notify: Notify) -> list[Photo]:
    """The photos of the rows, called as the rows call them; raises UserError where none is there."""
    places = ", ".join(map(printable, source.inputs))
    if source.sequential:
        raise UserError(f"{places}: can only be read from its beginning on; unpack it, and give the folder as --photos")
    found = {photo.path: photo for photo in source}
    rows = PathTable(title, ["path"], {path: (path,) for path in paths})
    moved = f"the photos of {title} are not in {places}; say with --photos where they are now"
    if not found:
        raise UserError(moved)
    try:
        joined = join_by_path(rows, lambda: found, silent)
    except UserError as error:
        raise UserError(moved) from error
    photos = {joined.rows[path][0]: photo for path, photo in found.items() if path in joined.rows}
    if missing := [path for path in rows.rows if path not in photos]:
        named = ", ".join(missing[:_NAMED]) + (" and others" if len(missing) > _NAMED else "")
        notify(f"{len(missing):,} of {len(rows.rows):,} photos of {title} are not in {places} ({named})")
    return [Photo(path, photo.content) for path, photo in photos.items()]


def _duplicate(paths: list[str], exact: bool, label_of: dict[str, str]) -> Duplicate:
    folders, splits = {path.rpartition("/")[0] for path in paths}, {_split_of(path) for path in paths}
    return Duplicate(paths, [label_of.get(path, "") for path in paths], exact, len(folders) > 1, len(splits) > 1)


def _split_of(path: str) -> str | None:
    """The split that a photo lies in by its folders, the nearest to the file first."""
    return next((split for part in reversed(path.split("/")[:-1]) if (split := split_named(part))), None)


def _doubted(answers: Answers, index: int) -> DoubtedLabel:
    shares, label = answers.probabilities[index], int(answers.labels[index])
    best = int(shares.argmax())
    return DoubtedLabel(
        answers.paths[index], answers.classes[label], answers.classes[best], float(shares[best]), float(shares[label])
    )


def _accuracies(labelled: Answers, doubted: set[str], duplicates: Sequence[Duplicate] | None) -> dict[str, AccuracyOf]:
    paths = np.array(labelled.paths, object)
    sound = np.array([path not in doubted for path in paths], bool)
    found = {
        "all": _accuracy(labelled, np.ones(len(paths), bool)),
        "without doubted labels": _accuracy(labelled, sound),
    }
    if duplicates is None:
        return found
    # Of a picture with two labels, nobody knows which is right.
    repeated = {path for each in duplicates for path in each.paths[0 if each.labels_differ else 1 :]}
    once = np.array([path not in repeated for path in paths], bool)
    found["each picture once"] = _accuracy(labelled, once)
    found["each once, without doubted labels"] = _accuracy(labelled, once & sound)
    splits = np.array([_split_of(path) for path in paths], object)
    if (splits == "test").any() and (splits == "train").any():
        seen = {path for each in duplicates if each.across_splits for path in each.paths}
        unseen = np.array([path not in seen for path in paths], bool)
        found["test split"] = _accuracy(labelled, splits == "test")
        found["test split, without pictures of others"] = _accuracy(labelled, (splits == "test") & unseen)
    return found


def _accuracy(answers: Answers, chosen: NDArray[np.bool_]) -> AccuracyOf:
    answered = chosen & (answers.predictions >= 0)
    count, right = int(answered.sum()), int((answers.predictions == answers.labels)[answered].sum())
    return AccuracyOf(count, share(right, count), wilson(right, count))
