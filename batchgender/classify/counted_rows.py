"""The rows of a run counted as they come: on a progress bar, in a log, and until too many photos can't be read."""

import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from threading import Thread
from typing import TypeVar

from batchgender.classify.run_log import RunLog
from batchgender.classify.run_options import RunOptions
from batchgender.errors import StoppedRun
from batchgender.io import Notify
from batchgender.photos.photo import Photo
from batchgender.photos.source import PhotoSource
from batchgender.progress import Progress
from batchgender.report.counts import RowCounts
from batchgender.report.error_kinds import kinds_text
from batchgender.results.rows import Row

# Photos after which the share of those that can't be read counts.
_ERRORS_FROM = 100
# Labels that are no class may be anything, and many.
_UNKNOWN_LABELS = 100
_OTHERS = "others"

Written = TypeVar("Written")


def checked_labels(photos: Iterable[Photo], classes: Sequence[str], unknown: Counter[str]) -> Iterator[Photo]:
    """Pass photos on, counting the labels that are stated and stand for no class: the first hundred different ones."""
    for photo in photos:
        if photo.label and photo.names and not photo.label_among(classes):
            unknown[photo.label if len(unknown) < _UNKNOWN_LABELS or photo.label in unknown else _OTHERS] += 1
        yield photo


class Folders:
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


def in_groups(rows: Iterable[Written], size: int) -> Iterator[list[Written]]:
    """Rows, or photos' rows, in groups of `size`, fewer where these take longer than a second: a kill costs no more."""
    group, since = list[Written](), time.monotonic()
    for row in rows:
        group.append(row)
        if len(group) >= size or time.monotonic() - since > 1:
            yield group
            group, since = [], time.monotonic()
    if group:
        yield group


def counted(
    rows: Generator[Row],
    counts: RowCounts,
    folders: Folders,
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
