"""One run of `classify`: photos to a results file and a report, resumable in between."""

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from batchgender.classify.face_choice import WHOLE, FaceOptions, as_before, choose_faces, face_settings
from batchgender.classify.pipeline import FEW, Classifier
from batchgender.classify.run_log import RunLog
from batchgender.classify.versions_ahead import versions_ahead
from batchgender.classify.worker_processes import SECONDS, WorkerProcesses, can_isolate
from batchgender.errors import StoppedRun, UserError
from batchgender.io import Notify
from batchgender.lock import locked
from batchgender.model.session import provider_named
from batchgender.photos.path_table import PathTable, join_by_path
from batchgender.photos.photo import Photo, printable
from batchgender.photos.source import PhotoSource, skipped_text
from batchgender.progress import Progress
from batchgender.report.counts import RowCounts
from batchgender.report.details import NotableRow
from batchgender.report.error_kinds import kinds_text
from batchgender.report.figures import Figures
from batchgender.report.files import check_report, is_page, write_report
from batchgender.report.thumbnails import HeatMaps
from batchgender.results.formats import FORMATS, report_beside
from batchgender.results.keeping import Keeping, Pending
from batchgender.results.results_file import SIDECAR
from batchgender.results.rows import Row, RowLayout
from batchgender.results.shard_record import make_record, record_file, write_record
from batchgender.results.sinks import Sink
from batchgender.results.update import Changes

if TYPE_CHECKING:
    from batchgender.report.prevalence import Prevalence
    from batchgender.results.answers import Answers

# Photos after which the share of those that can't be read counts.
_ERRORS_FROM = 100
# Labels that are no class may be anything, and many.
_UNKNOWN_LABELS = 100
_OTHERS = "others"

Explain = Callable[[Classifier, Sequence[NotableRow], Iterable[Photo], Notify], HeatMaps]


@dataclass(frozen=True)
class RunOptions:
    """What a run does beside classifying.

    `threshold` is as for `Classifier.classify`; `faces` says which faces are looked for; `groups` are reported on, too;
    `reports` are files to write, by default `NAME.report.json` beside a results file where photos carry labels; those
    that are pages show small pictures, `thumbnails`, of some of the photos. `verbose` has what computes the answers
    described, and each photo that can't be read named. `explain` makes heat maps of the mistakes for reports that are
    pages, of a classifier, the rows and the photos, read again. `measured` are answers to labelled photos, by whose
    mistakes the shares of the classes are corrected. `isolate` has photos answered in processes of their own, None
    where that can be; `seconds` is what the decoding of one photo may take there. A run of which a larger share than
    `max_errors` can't be read stops. `log` is a file that gets a JSON line a minute, see `RunLog`.
    """

    threshold: float | None = None
    faces: FaceOptions = WHOLE
    groups: PathTable | None = None
    reports: tuple[str, ...] = ()
    verbose: bool = False
    isolate: bool | None = None
    seconds: float = SECONDS
    thumbnails: bool = True
    explain: Explain | None = None
    measured: "Answers | None" = None
    max_errors: float | None = None
    log: str | None = None


@dataclass(frozen=True)
class FinishedRun:
    """What a run comes to: its figures, the reports written, the files left out by ending, folders not listed.

    `folders` are the names of the folders that the photos lie in, where these are two; `unknown_labels` counts labels
    that are stated, and are no class of the model; `prevalence` are the corrected shares, where they were asked for.
    `changes` is what became of earlier rows, None where rows go to no file.
    """

    figures: Figures
    reports: tuple[str, ...]
    skipped: Counter[str]
    unlistable: int
    seconds: float
    resumed: int
    folders: tuple[str, ...]
    unknown_labels: Counter[str]
    prevalence: "Prevalence | None" = None
    changes: Changes | None = None


def check_reports(sink: Sink, options: RunOptions) -> tuple[str, ...]:
    """The reports that a run would write; raises UserError where one can't be, before any work is done."""
    files = sink.files
    reports = options.reports or ((str(report_beside(files.out)),) if files else ())
    for report in reports:
        if files and os.path.abspath(report) in map(os.path.abspath, files.all):
            raise UserError(f"{report}: is where the rows go, or what a resumed run needs; choose another --report")
        if report.endswith(tuple(ending + SIDECAR for ending in FORMATS)):
            raise UserError(f"{report}: is a name that runs keep for what they are resumed by; choose another --report")
        check_report(report, overwrite=files is None or files.may_replace)
    return reports


def classify_photos(
    classifier: Classifier, source: PhotoSource, sink: Sink, options: RunOptions, notify: Notify
) -> FinishedRun:
    """Classify every photo of `source` into `sink`, and write the reports, while no other run writes the same files.

    Raises UserError; the rows that were written until then are kept where the sink is a file.
    """
    reports = check_reports(sink, options)
    # Before the locks, which make folders that are missing.
    check_any(source)
    with locked([*([sink.files.out] if sink.files else []), *reports], notify):
        return _classify_alone(classifier, source, sink, options, notify)


def _classify_alone(
    classifier: Classifier, source: PhotoSource, sink: Sink, options: RunOptions, notify: Notify
) -> FinishedRun:
    started = time.monotonic()
    # Again: another run may have written them until it gave its locks back.
    reports = check_reports(sink, options)
    before = sink.settings_before()
    classifier = classifier.for_photos(source, provider_named(str(before.get("provider"))))
    faces = as_before(options.faces, before)
    classifier = classifier.on_faces(choose_faces(classifier.info, source, faces, classifier.workers, notify))
    if options.isolate and not can_isolate(classifier.model.session.provider):
        raise UserError(
            f"--isolate is for Linux and --provider cpu, not for {classifier.model.session.provider}; leave it out"
        )
    cores = "1 core" if classifier.workers == 1 else f"{classifier.workers} cores"
    notify(f"computed by {classifier.model.session.provider}, {cores}")
    # Before this process has more threads than one.
    processes = (
        classifier.worker_processes(options.threshold, options.seconds) if options.isolate is not False else None
    )
    with closing(processes) if processes else nullcontext():
        return _run(classifier, processes, source, sink, options, reports, started, notify)


def _run(
    classifier: Classifier,
    processes: WorkerProcesses | None,
    source: PhotoSource,
    sink: Sink,
    options: RunOptions,
    reports: tuple[str, ...],
    started: float,
    notify: Notify,
) -> FinishedRun:
    """Classify, and write the reports; `started` is when the run began, by the monotonic clock."""
    info, thresholds = classifier.info, classifier.thresholds(options.threshold)
    if options.verbose:
        for line in classifier.description(processes is not None):
            notify(line)
    groups = options.groups and join_by_path(options.groups, lambda: (photo.path for photo in source), notify)
    folders, unknown_labels = _Folders(), Counter[str]()
    counts = RowCounts(info.classes, info.temperature, groups, info.bias)
    settings = run_settings(classifier, source, thresholds)
    log = RunLog(options.log, counts, notify) if options.log else None
    with log or nullcontext():
        try:
            faces = classifier.faces
            several = bool(faces and faces.every)
            layout = RowLayout(tuple(info.classes), bool(faces), several, times=source.fps is not None)
            sink.begin(layout, settings)
            if sink.files:
                # Of results that are replaced: these may be of another shard, or of none.
                record_file(sink.files.out).unlink(missing_ok=True)
            keeping = sink.keeping
            if keeping and keeping.goes_by_time:
                notify(_by_time(keeping.out))
            # Closed here: the garbage collector might do it on a worker's thread, which can't wait for itself.
            with closing(versions_ahead(source)) as found:
                photos = checked_labels(found, info.classes, unknown_labels)
                pending = Pending(keeping.chosen(photos) if keeping else photos)
                for row in sink.done(pending):
                    counts.add(row)
                    folders.add(row.path)
                resumed = counts.photos
                done = classifier.rows(keeping.answered(pending) if keeping else pending, options.threshold, processes)
                with closing(_counted(done, counts, folders, source, options, notify, log)) as rows:
                    for group in _groups(rows, sink.rows_a_write):
                        sink.write(group)
            changes = _changes(keeping, source)
            if source.shard and source.shard_walk and sink.files:
                facts = info.temperature, tuple(info.bias)
                about = _about(classifier, source, thresholds)
                record = make_record(source.shard, source.shard_walk, layout, settings, about, *facts)
                write_record(sink.files.out, record)
            sink.finish()
        except StoppedRun as error:
            if sink.files:
                raise UserError(f"{error}; the rows so far are kept, {sink.files.go_on}") from error
            raise
        except KeyboardInterrupt:
            if sink.files:
                notify(f"{sink.files.unfinished}: the {counts.photos:,} rows so far are kept, {sink.files.go_on}")
            raise
        finally:
            sink.close()
    figures = counts.figures()
    about = _about(classifier, source, thresholds)
    prevalence = None
    if options.measured and sink.files and any(figures.predictions.values()):
        from batchgender.report.prevalence import estimate_prevalence
        from batchgender.results.answers import read_answers

        prevalence = estimate_prevalence(read_answers(str(sink.files.out)), options.measured)
        about["prevalence"] = prevalence.as_dict()
    # Without labels there is nothing to report but counts: written where a report was asked for.
    written = reports if figures.labelled or options.reports or prevalence else ()
    maps = None
    if options.explain and figures.details.mistakes and any(map(is_page, written)):
        with closing(source.again()) as again:
            maps = options.explain(classifier, figures.details.mistakes, again, notify)
    try:
        for report in written:
            with closing(source.again()) as again:
                shown = again if options.thumbnails else ()
                write_report(report, figures, about, shown, maps)
    except UserError as error:
        raise UserError(f"{error}; {sink.files.out} is whole" if sink.files else str(error)) from error
    seconds = time.monotonic() - started
    return FinishedRun(
        figures,
        written,
        source.skipped,
        source.unlistable,
        seconds,
        resumed,
        folders.two(),
        unknown_labels,
        prevalence,
        changes,
    )


def _by_time(out: Path) -> str:
    written = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(out.stat().st_mtime))
    return (
        f"{out}: from a run without --update, so its rows are taken for those of the same photos and options;"
        f" files changed since {written}, and what is no file of this machine, are done again; --overwrite does all"
    )


def _changes(keeping: Keeping | None, source: PhotoSource) -> Changes | None:
    """What became of earlier rows; raises StoppedRun where photos may only seem to be gone."""
    changes = keeping.changes() if keeping else None
    if changes and changes.gone and source.unlistable:
        raise StoppedRun(
            f"{changes.gone:,} photos that had rows are not found, and {source.unlistable:,} folders can't be listed"
        )
    return changes


def _groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Rows in groups of `size`, fewer where these take longer than a second: those of a slow run are kept, too."""
    group, since = list[Row](), time.monotonic()
    for row in rows:
        group.append(row)
        if len(group) >= size or time.monotonic() - since > 1:
            yield group
            group, since = [], time.monotonic()
    if group:
        yield group


def run_settings(classifier: Classifier, source: PhotoSource, thresholds: dict[str, float]) -> dict[str, Any]:
    """What decides the rows of a run beside its photos, as plain data: a resumed run has to have the same."""
    return {
        "model": classifier.model.fingerprint,
        "photos_from": source.origins,
        "threshold": thresholds,
        "provider": classifier.model.session.provider,
        **face_settings(classifier.faces),
        **({"fps": source.fps} if source.fps else {}),
        **({} if source.names else {"labels": "none"}),
        **({"label_names": source.names.as_dict()} if source.names and source.names.given else {}),
        **({"labels_file": digest} if (digest := source.stated_digest) else {}),
        **({"shard": str(source.shard)} if source.shard else {}),
    }


def checked_labels(photos: Iterable[Photo], classes: Sequence[str], unknown: Counter[str]) -> Iterator[Photo]:
    """Pass photos on, counting the labels that are stated and stand for no class: the first hundred different ones."""
    for photo in photos:
        if photo.label and photo.names and not photo.label_among(classes):
            unknown[photo.label if len(unknown) < _UNKNOWN_LABELS or photo.label in unknown else _OTHERS] += 1
        yield photo


class _Folders:
    """The names of the folders that photos lie in, as long as they are few: the nearest ones, and those at the top."""

    def __init__(self) -> None:
        self._nearest: set[str] = set()
        self._top: set[str] = set()

    def add(self, path: str) -> None:
        """Note the folders of a photo by its path."""
        folders = path.split("/")[:-1] or [""]
        for names, name in ((self._nearest, folders[-1]), (self._top, folders[0])):
            if len(names) <= 2:
                names.add(name)

    def two(self) -> tuple[str, ...]:
        """The nearest where they are two, else those at the top where they are, else none."""
        two = (names for names in (self._nearest, self._top) if len(names) == 2 and "" not in names)
        return tuple(sorted(next(two, ())))


def _about(classifier: Classifier, source: PhotoSource, thresholds: dict[str, float]) -> dict[str, Any]:
    return {
        "model": printable(classifier.model.title),
        "photos_from": [printable(each) for each in source.inputs],
        "thresholds": thresholds,
        **({"trained_on": classifier.info.dataset} if classifier.info.dataset else {}),
    }


def check_any(source: PhotoSource) -> None:
    """Raise UserError where there is no photo."""
    if not source.count_up_to(FEW):
        beside = f", only other files: {skipped_text(source.skipped)}" if source.skipped else ""
        places = ", ".join(map(printable, source.inputs))
        raise UserError(f"no photos found in {places}{beside}; photos end in .jpg, .png, .webp and the like")


def _counted(
    rows: Generator[Row],
    counts: RowCounts,
    folders: _Folders,
    source: PhotoSource,
    options: RunOptions,
    notify: Notify,
    log: RunLog | None,
) -> Generator[Row]:
    """Pass rows on, counting them for the report, on a progress bar and in the log.

    Raises StoppedRun where the photos' folder is gone, or too many photos can't be read.
    """
    out_of_reach = done = unreadable = 0
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("classify", "photos", notify, initial=counts.photos))
        stack.enter_context(closing(rows))
        if progress.on_terminal or log:
            # Beside the work: to list a large tree on a slow disk takes minutes.
            Thread(target=_count_all, args=(source, progress, log), daemon=True).start()
        for row in rows:
            before = counts.photos
            counts.add(row)
            folders.add(row.path)
            if row.error and options.verbose:
                notify(f"{row.path}: {row.error}")
            # The rows of one photo come together.
            progress.update(counts.photos - before, f"{counts.unreadable:,} unreadable" if counts.unreadable else "")
            if not row.earlier:
                done += counts.photos - before
                unreadable += row.unreadable
                if row.out_of_reach:
                    out_of_reach += 1
                    source.check_there()
                if options.max_errors is not None and done >= _ERRORS_FROM and unreadable > options.max_errors * done:
                    raise StoppedRun(
                        f"{unreadable:,} of {done:,} photos could not be read, more than --max-errors"
                        f" {options.max_errors:g}: {kinds_text(counts.error_kinds)}"
                    )
            yield row
        if out_of_reach or source.unlistable:
            # Removed folder by folder, the first may have gone last.
            source.check_there()


def _count_all(source: PhotoSource, progress: Progress, log: RunLog | None) -> None:
    total = source.total()
    progress.set_total(total)
    if log:
        log.total = total
