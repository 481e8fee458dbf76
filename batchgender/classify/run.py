"""One run of `classify`: photos to a results file and a report, resumable in between."""

import os
import time
from collections import Counter
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchgender.classify.counted_rows import Folders, checked_labels, counted, in_groups
from batchgender.classify.pipeline import FEW, Classifier
from batchgender.classify.prepared import prepared
from batchgender.classify.run_log import RunLog
from batchgender.classify.run_options import RunOptions
from batchgender.classify.run_settings import run_description, run_settings
from batchgender.classify.worker_processes import WorkerProcesses
from batchgender.errors import StoppedRun, UserError
from batchgender.io import Notify
from batchgender.lock import locked
from batchgender.photos.path_table import join_by_path
from batchgender.photos.photo import printable
from batchgender.photos.source import PhotoSource, skipped_text
from batchgender.photos.versions_ahead import versions_ahead
from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.report.files import check_report, is_page, write_report
from batchgender.results.formats import FORMATS, report_beside
from batchgender.results.keeping import Keeping, Pending
from batchgender.results.results_file import SIDECAR
from batchgender.results.rows import RowLayout
from batchgender.results.shard_record import make_record, record_file, write_record
from batchgender.results.sinks import Sink
from batchgender.results.update import Changes

if TYPE_CHECKING:
    from batchgender.report.prevalence import Prevalence


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
    with prepared(classifier, source, source, before, options, notify) as (ready, processes):
        return _run(ready, processes, source, sink, options, reports, started, notify)


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
    folders, unknown_labels = Folders(), Counter[str]()
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
                with closing(counted(done, counts, folders, source, options, notify, log)) as rows:
                    for group in in_groups(rows, sink.rows_a_write):
                        sink.write(group)
            changes = _changes(keeping, source)
            if source.shard and source.shard_walk and sink.files:
                facts = info.temperature, tuple(info.bias)
                about = run_description(classifier, source, thresholds)
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
    about = run_description(classifier, source, thresholds)
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


def check_any(source: PhotoSource) -> None:
    """Raise UserError where there is no photo."""
    if not source.count_up_to(FEW):
        beside = f", only other files: {skipped_text(source.skipped)}" if source.skipped else ""
        places = ", ".join(map(printable, source.inputs))
        raise UserError(f"no photos found in {places}{beside}; photos end in .jpg, .png, .webp and the like")
