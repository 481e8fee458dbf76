"""One run of `classify`: photos in, results file and report out, resumable in between."""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import IO

from tqdm import tqdm

from batchgender.classify.pipeline import Classifier
from batchgender.errors import UserError, os_reason
from batchgender.io import Notify
from batchgender.model.session import CPU
from batchgender.photos.finder import PhotoFinder, printable
from batchgender.report.counts import Report, check_report, write_report
from batchgender.report.groups_csv import GroupFile, joined
from batchgender.results.results_file import ResultsFile, Row, write_csv

# Below this many photos no provider is tried but the CPU: to set another up takes longer than they do.
_FEW = 2000
# Rows are on disk this often, so that a kill costs little.
_ROWS_A_WRITE = 32


@dataclass(frozen=True)
class Finished:
    """What a run leaves to say: the counts, and where the report is, None where no photo had a label."""

    report: Report
    report_file: str | None
    skipped: dict[str, int]
    unlistable: int


def run(
    classifier: Classifier,
    inputs: Sequence[str],
    out: str | IO[str],
    notify: Notify,
    threshold: float | None = None,
    groups: GroupFile | None = None,
    report_file: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    provider: str = CPU,
) -> Finished:
    """Classify every photo under `inputs` into `out`, a file's name or an open text stream for CSV.

    Where photos carry labels the report goes to `report_file`, by default `NAME.report.json` beside `out`, with the
    figures of each group where `groups` are given. `threshold` is as for `Classifier.classify`, `provider` as for
    `load_classifier`, but that "auto" does not look beyond the CPU for few photos. Raises
    UserError; what was written until then is kept in `OUT.part`.
    """
    finder = PhotoFinder(inputs, notify)
    info, thresholds = classifier.info, classifier.thresholds(threshold)
    if isinstance(out, str):
        report_file = report_file or str(Path(out).with_suffix(".report.json"))
        if os.path.abspath(report_file) in {os.path.abspath(out + end) for end in ("", ".part", ".part.json")}:
            raise UserError(
                f"{report_file}: is where the rows go, or what a resumed run needs; choose another --report"
            )
    if report_file:
        check_report(report_file)
    few = _count(finder, inputs) < _FEW
    classifier = classifier.on(CPU if provider == "auto" and few else provider)
    notify(f"computed by {classifier.model.session.provider}, {_cores(classifier.workers)}")
    if groups:
        groups = joined(groups, lambda: (photo.path for photo in finder), notify)
    report = Report(info.classes, info.temperature, groups, info.bias)
    about = {
        "model": printable(classifier.model.file),
        "photos_from": [printable(each) for each in inputs],
        "thresholds": thresholds,
    }
    if isinstance(out, str):
        settings = {
            "model": classifier.model.digest,
            "photos_from": [os.path.abspath(i) for i in inputs],
            "threshold": thresholds,
            "provider": classifier.model.session.provider,
        }
        results = ResultsFile(out, info.classes, settings, resume, overwrite)
        try:
            photos = iter(finder)
            for row in results.done(photo.path for photo in photos):
                report.add(row)
            with closing(_watched(classifier.rows(photos, threshold), report, inputs)) as rows:
                while group := list(islice(rows, _ROWS_A_WRITE)):
                    results.write(group)
            results.finish()
        finally:
            results.close()
    else:
        with closing(_watched(classifier.rows(finder, threshold), report, inputs)) as rows:
            _stream(rows, info.classes, out)
    if not report.labelled:
        report_file = None
    if report_file:
        write_report(report_file, report.metrics(), about)
    return Finished(report, report_file, dict(finder.skipped), finder.unlistable)


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def _stream(rows: Iterator[Row], classes: Sequence[str], stream: IO[str]) -> None:
    try:
        write_csv(rows, classes, stream)
    except BrokenPipeError:
        raise  # The reader has enough (`| head`); Click ends the program quietly.
    except OSError as error:
        raise UserError(f"can't write the rows ({os_reason(error)})") from error


def _count(finder: PhotoFinder, inputs: Sequence[str]) -> int:
    """How many photos there are, as far as it matters: not the whole of a large tree is listed beforehand."""
    count = sum(1 for _ in islice(finder, _FEW))
    if not count:
        others = sum(finder.skipped.values())
        beside = f", only {others:,} other files" if others else ""
        raise UserError(f"no photos found in {', '.join(inputs)}{beside}; photos end in .jpg, .png, .webp and the like")
    return count


def _watched(rows: Generator[Row], report: Report, inputs: Sequence[str]) -> Generator[Row]:
    """Pass rows on, counting them in the report and on a progress bar."""
    bar = tqdm(initial=report.photos, desc="classify", unit=" images", disable=None)

    def find_total() -> None:
        bar.total = sum(1 for _ in PhotoFinder(inputs, lambda line: None))

    if not bar.disable:
        # Beside the work: to list a large tree on a slow disk takes minutes.
        Thread(target=find_total, daemon=True).start()
    # Closed here and by the caller: left to the garbage collector, the workers may be told to join themselves.
    with bar, closing(rows):
        for row in rows:
            report.add(row)
            bar.update()
            yield row
