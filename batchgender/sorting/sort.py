"""One run of `sort`: photos classified, or taken from a results file, and put into a folder for each answer."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from batchgender.classify.pipeline import FEW, Classifier
from batchgender.classify.run import FinishedRun, classify_photos
from batchgender.classify.run_options import RunOptions
from batchgender.errors import CannotResume, UserError, os_reason
from batchgender.io import Notify, written_whole
from batchgender.lock import locked
from batchgender.photos.photo import LocalFile, Photo, printable
from batchgender.photos.source import PhotoSource
from batchgender.progress import Progress
from batchgender.report.statistics import share
from batchgender.report.text import Counted
from batchgender.results.read_results import read_results
from batchgender.sorting.decisions import OF_NO_CLASS, Decisions, class_folder, decided_anew, name_below, sharing_names
from batchgender.sorting.placing import COPY, NotPlaced, Placer
from batchgender.sorting.target_rows import TargetRows

GO_ON = "run the same again to go on"


@dataclass(frozen=True)
class SortOptions:
    """Where photos are sorted `into`, and `how`: `placing.COPY`, LINK or MOVE; `verbose` names photos that can't be."""

    into: Path
    how: str = COPY
    verbose: bool = False


@dataclass
class Sorted:
    """What a run comes to: photos in place by folder, how many of them were put there by this run, and what is left.

    `symbolic` are links that are no hard ones, `newer` photos changed after their rows were written, `gone` rows whose
    photo is nowhere, `without_row` photos that the results have no row of, `frames` rows of videos. `failed` are photos
    that stay where they are, by the reason: how many, and the first. `run` is the classification, if there was one.
    """

    folders: Counter[str] = field(default_factory=Counter)
    placed: int = 0
    symbolic: int = 0
    newer: int = 0
    gone: int = 0
    without_row: int = 0
    frames: int = 0
    failed: dict[str, tuple[int, str]] = field(default_factory=dict)
    seconds: float = 0.0
    run: FinishedRun | None = None

    @property
    def failures(self) -> int:
        """How many photos could not be put into place."""
        return sum(count for count, _ in self.failed.values())

    def fail(self, path: str, reason: str) -> None:
        """Note a photo that stays where it is."""
        count, first = self.failed.get(reason, (0, path))
        self.failed[reason] = count + 1, first


def check_target(into: Path, inputs: Iterable[str], classes: Iterable[str]) -> None:
    """Raise UserError where photos can't be sorted into this folder, before any work is done.

    `inputs` are where they come from: neither the folder itself nor one that is filled by a class.
    """
    if into.exists() and not into.is_dir():
        raise UserError(f"{into}: no folder; give --into another")
    target = Path(os.path.realpath(into))
    filled = {*map(class_folder, classes), *OF_NO_CLASS}
    for given in inputs:
        source = Path(os.path.realpath(given))
        if source == target:
            raise UserError(f"{given}: the photos are to be sorted into the folder they are in; give --into another")
        if target in source.parents and source.relative_to(target).parts[0] in filled:
            raise UserError(f"{given}: lies in a folder that photos are sorted into; give --into another")


def sort_photos(
    classifier: Classifier | None,
    results: str | None,
    source: PhotoSource,
    run: RunOptions,
    options: SortOptions,
    notify: Notify,
) -> Sorted:
    """Put each photo of `source` into the folder of its prediction, by a classifier or by a results file.

    Of `results` the threshold of `run` decides anew, where one is given. Safe to stop at any moment and to run again.
    Raises UserError; photos that are in place by then stay there, and no photo is lost.
    """
    started = time.monotonic()
    # Of the locked file only the name is used, in messages.
    with locked([options.into / "photos"], notify):
        target, finished = TargetRows(options.into), None
        try:
            if classifier:
                finished = _classify(classifier, source, run, options, target, notify)
                written = target.rows.stat().st_mtime
            else:
                assert results
                written = os.stat(results).st_mtime if os.path.exists(results) else 0.0
                target.begin(read_results(results) if run.threshold is None else decided_anew(results, run.threshold))
            found = _place_all(source, target, options, written, notify)
            target.finish()
        except OSError as error:
            raise UserError(f"{options.into}: can't write ({os_reason(error)}); {GO_ON}") from error
    found.run, found.seconds = finished, time.monotonic() - started
    return found


def _classify(
    classifier: Classifier,
    source: PhotoSource,
    run: RunOptions,
    options: SortOptions,
    target: TargetRows,
    notify: Notify,
) -> FinishedRun | None:
    """Have the rows of all photos in `target.rows`; None where none was classified."""
    asked = {
        "photos_from": source.origins,
        "model": classifier.model.fingerprint,
        "threshold": run.threshold,
        "faces": asdict(run.faces),
    }
    goes_on = target.was_asked() == asked
    if goes_on and target.rows.exists():
        notify(f"{target.rows}: of a run that was stopped; goes on with its rows")
        return None
    target.keep()
    if not source.count_up_to(FEW) and not source.unlistable and next(target.in_place(), None):
        notify(f"no photos found in {', '.join(map(printable, source.inputs))}; those of earlier runs are in place")
        target.begin(target.in_place())
        return None
    resume = goes_on and target.unfinished.exists()
    if not goes_on:
        with written_whole(target.asked) as stream:
            json.dump(asked, stream)
    try:
        return classify_photos(classifier, source, target.sink(resume, GO_ON, notify), run, notify)
    except CannotResume as error:
        notify(f"{str(error).partition(';')[0]}: starts again")
        return classify_photos(classifier, source, target.sink(False, GO_ON, notify), run, notify)


def _place_all(source: PhotoSource, target: TargetRows, options: SortOptions, written: float, notify: Notify) -> Sorted:
    """Put all photos into place by the rows, which were written at this time, in seconds since 1970."""
    decisions = target.decisions()
    sharing = sharing_names(decisions.folders)
    folders = {*decisions.folders.values(), *target.decisions_before().values(), *OF_NO_CLASS}
    found, seen = Sorted(frames=decisions.frames), set[str]()
    placer = Placer(options.into, options.how, folders)
    try:
        with closing(placer), Progress("sort", "photos", notify, len(decisions.folders)) as progress:
            for photo in source:
                folder = decisions.folders.get(photo.path)
                if folder is None:
                    found.without_row += 1
                    continue
                seen.add(photo.path)
                changed = _changed_since(photo, written)
                try:
                    found.placed += placer.place(photo, folder, name_below(photo.path), photo.path in sharing)
                except NotPlaced as error:
                    found.fail(photo.path, str(error))
                    if options.verbose:
                        notify(f"{photo.path}: {error}")
                else:
                    found.folders[folder] += 1
                    found.newer += changed
                progress.update(1)
    except UserError as error:
        raise UserError(f"{error}; {_so_far(found, decisions)}, none is lost: {GO_ON}") from error
    except KeyboardInterrupt:
        notify(f"{_so_far(found, decisions)}: {GO_ON}")
        raise
    for path in decisions.folders.keys() - seen:
        # What an earlier run has moved is in the target alone.
        if target.has(path, decisions.folders[path], path in sharing):
            found.folders[decisions.folders[path]] += 1
        else:
            found.gone += 1
    found.symbolic = placer.symbolic
    return found


def _so_far(found: Sorted, decisions: Decisions) -> str:
    return f"{found.folders.total():,} of {len(decisions.folders):,} photos are in place"


def _changed_since(photo: Photo, written: float) -> bool:
    """Whether a photo's file was changed after the rows were written."""
    try:
        return isinstance(photo.content, LocalFile) and os.stat(photo.content.file).st_mtime > written
    except OSError:
        return False


def sorted_counts(found: Sorted, into: str) -> list[Counted]:
    """How many photos lie in which folder."""
    total = found.folders.total()
    folders = sorted(found.folders.items(), key=lambda each: (OF_NO_CLASS.get(each[0], -1), each[0]))
    return [
        Counted(f"photos in {into}", total),
        *(Counted(f"  {name}/", count, share(count, total)) for name, count in folders),
    ]
