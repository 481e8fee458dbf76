"""`classify --watch`: the photos of folders followed in a database, round after round, until it is interrupted."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import NoReturn

from batchgender.classify.counted_rows import in_groups
from batchgender.classify.pipeline import Classifier
from batchgender.classify.prepared import prepared
from batchgender.classify.run_log import RunLog
from batchgender.classify.run_options import RunOptions
from batchgender.classify.run_settings import run_settings
from batchgender.classify.worker_processes import WorkerProcesses
from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.lock import locked
from batchgender.photos.folder_events import FolderEvents
from batchgender.photos.photo import LocalFile, Photo, printable
from batchgender.photos.source import PhotoSource
from batchgender.photos.watched_folders import WatchedFolders
from batchgender.progress import Progress
from batchgender.report.error_kinds import error_kind
from batchgender.results.rows import Row, RowLayout
from batchgender.results.shard_record import record_file
from batchgender.results.watched_database import WatchedDatabase

# Seconds from one look to the next: where the system tells of nothing, where it tells, and while photos are written.
_EVERY, _EVERY_TOLD, _SOON = 3.0, 60.0, 1.0
# As many times as long as a look takes is at least waited for the next; while photos come, as many.
_SHARE, _SHARE_SOON = 20.0, 2.0
# Seconds that the system may take to tell of what a look has found.
_TOLD_WITHIN = 4.0
# Seconds after which a file that could not be opened is tried again.
_AGAIN = 60.0
# Photos that are written in one transaction.
_AT_ONCE = 32


def check_watched(source: PhotoSource) -> None:
    """Raise UserError where photos are given that can't be watched."""
    if not source.of_folders:
        raise UserError("--watch is for folders of this machine: no files, patterns, archives, lists or addresses")


def watch_folders(
    classifier: Classifier, source: PhotoSource, database: WatchedDatabase, options: RunOptions, notify: Notify
) -> NoReturn:
    """Classify the photos of the folders `source` into a database, then those that are added or changed.

    It ends by an exception: KeyboardInterrupt, and UserError. The rows until then are kept.
    """
    check_watched(source)
    folders = WatchedFolders(source, notify)
    with locked([database.out], notify), closing(database):
        # What decides whether faces are cut: of a run that is gone on with, its settings.
        sample = _Sample([] if database.is_there else _first_photos(folders, notify))
        before = database.settings_before()
        with prepared(classifier, source, sample, before, options, notify) as (ready, processes):
            if options.verbose:
                for line in ready.description(processes is not None):
                    notify(line)
            several = bool(ready.faces and ready.faces.every)
            layout = RowLayout(tuple(ready.info.classes), bool(ready.faces), several)
            database.begin(layout, run_settings(ready, source, ready.thresholds(options.threshold)))
            # Of results that were those of a shard: no more.
            record_file(database.out).unlink(missing_ok=True)
            _Watch(ready, processes, folders, database, options, notify).run()


class _Sample:
    """Photos that are looked at before the first round."""

    def __init__(self, photos: list[Photo]) -> None:
        self._photos = photos

    def first(self, count: int) -> list[Photo]:
        return self._photos[:count]


def _first_photos(folders: WatchedFolders, notify: Notify, count: int = 100) -> list[Photo]:
    """Wait until there are photos to be read: up to `count` of them."""
    said = False
    while True:
        look = folders.look(lambda photo: False)
        with closing(look.ready()) as ready:
            found = list(islice(ready, count))
        if found:
            return found
        look.gone(())
        if not said and not look.waiting:
            said = True
            notify(f"no photos yet in {_named(folders)}: waiting for the first")
        time.sleep(_SOON if look.waiting else _EVERY)


def _named(folders: WatchedFolders) -> str:
    return ", ".join(map(printable, folders.source.inputs))


@dataclass
class _Round:
    """What became of the photos in one round; `waiting` may still be written, `news` was found, of any kind."""

    new: int = 0
    changed: int = 0
    gone: int = 0
    unreadable: int = 0
    waiting: int = 0
    news: int = 0
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The round in a line, "" where nothing has changed."""
        if not (self.new or self.changed or self.gone):
            return ""
        done = self.new + self.changed
        photos = "photo" if done == 1 else "photos"
        unreadable = f"; {self.unreadable:,} could not be read" if self.unreadable else ""
        return (
            f"{self.new:,} new, {self.changed:,} changed, {self.gone:,} gone: {done:,} {photos} in"
            f" {self.seconds:,.1f} s{unreadable}"
        )


class _Counts:
    """What the log counts: photos that were done since the watch began."""

    def __init__(self) -> None:
        self.photos = 0
        self.error_kinds: Counter[str] = Counter()


class _Watch:
    """A watch that has begun: what stays open from round to round."""

    def __init__(
        self,
        classifier: Classifier,
        processes: WorkerProcesses | None,
        folders: WatchedFolders,
        database: WatchedDatabase,
        options: RunOptions,
        notify: Notify,
    ) -> None:
        self._classifier, self._processes, self._options = classifier, processes, options
        self._folders, self._database, self._notify = folders, database, notify
        self._counts = _Counts()
        # Photos that are read, with the version that they were found in.
        self._under_way: dict[str, Photo] = {}
        # Files that could not be opened, and when that was, by the monotonic clock.
        self._unreachable: dict[str, float] = {}
        self._tried_again = 0
        # Seconds that a look takes that finds nothing.
        self._look_takes = 0.0

    def run(self) -> NoReturn:
        """Do round after round."""
        log = RunLog(self._options.log, self._counts, self._notify) if self._options.log else None
        events = FolderEvents([each.folder for each in self._folders.source.folders])
        with closing(events), log or nullcontext():
            try:
                self._rounds(events, log)
            except KeyboardInterrupt:
                self._database.finish()
                state = "are whole" if self._database.is_whole else "so far are kept"
                self._notify(
                    f"the watch has ended; photos done: {self._counts.photos:,}; the rows in {self._database.out}"
                    f" {state}, the same command goes on"
                )
                raise

    def _rounds(self, events: FolderEvents, log: RunLog | None) -> NoReturn:
        kept = len(self._database.known)
        self._notify(f"watching {_named(self._folders)}: {kept:,} photos have rows; Ctrl-C ends it")
        said, expected, in_trouble = "", True, False
        while True:
            done = self._round(log)
            if done.news and not (expected or in_trouble) and events.tells and not events.wait(_TOLD_WITHIN):
                events.give_up("the system has not told of what has changed")
            if events.reason != said:
                said = events.reason
                self._notify(f"the folders are looked at every {_EVERY:g} s: {said}")
            # A disk that comes or goes is another folder, of which the system tells nothing.
            events.follow(anew=in_trouble != self._folders.in_trouble)
            in_trouble = self._folders.in_trouble
            told = events.wait(self._pause(done, events.tells and not self._folders.in_trouble))
            # What was seen to be written is no news.
            expected = told or bool(done.waiting or done.news)
            if told:
                # One look for what comes together.
                time.sleep(min(_SHARE_SOON * self._look_takes, _SOON))

    def _pause(self, done: _Round, tells: bool) -> float:
        """Seconds until the next look."""
        if done.waiting or done.news:
            return max(_SOON, _SHARE_SOON * self._look_takes)
        return max(_EVERY_TOLD if tells else _EVERY, _SHARE * self._look_takes)

    def _round(self, log: RunLog | None) -> _Round:
        """Look once, do the photos that are ready, and drop the rows of those that are gone."""
        database, done, began = self._database, _Round(), time.monotonic()
        self._tried_again = 0
        look = self._folders.look(self._is_done)
        with closing(look.ready()) as photos:
            if (first := next(photos, None)) is not None:
                began = time.monotonic()
                self._classify(chain([first], photos), done)
        gone = look.gone(database.known)
        if gone:
            database.drop(gone)
            for path in gone:
                self._unreachable.pop(path, None)
        done.gone, done.waiting = len(gone), look.waiting
        done.seconds = time.monotonic() - began
        done.news = max(done.new + done.changed + done.waiting - self._tried_again, 0) + done.gone
        database.end_round(bool(done.new or done.changed or done.gone))
        if first is None:
            self._look_takes = done.seconds
        if log:
            log.total = self._counts.photos + look.waiting
        if done.text:
            self._notify(done.text)
        return done

    def _is_done(self, photo: Photo) -> bool:
        if not self._database.is_done(photo):
            return False
        if time.monotonic() - self._unreachable.get(photo.path, time.monotonic()) < _AGAIN:
            return True
        self._tried_again += 1
        return False

    def _classify(self, photos: Iterator[Photo], done: _Round) -> None:
        """Read photos, and write their rows."""
        found = self._classifier.rows(self._noted(photos), self._options.threshold, self._processes, reused=True)
        with closing(found) as rows, Progress("classify", "photos", self._notify) as progress:
            by_photo = (list(group) for _, group in groupby(rows, key=lambda row: row.path))
            for group in in_groups(by_photo, _AT_ONCE):
                self._write(group, done)
                progress.update(len(group))

    def _noted(self, photos: Iterator[Photo]) -> Iterator[Photo]:
        for photo in photos:
            self._under_way[photo.path] = photo
            yield photo

    def _write(self, photos: Sequence[list[Row]], done: _Round) -> None:
        """Write the rows of some photos, but for those that went while they were read."""
        written: list[tuple[str, list[Row]]] = []
        for rows in photos:
            first, photo = rows[0], self._under_way.pop(rows[0].path)
            self._unreachable.pop(first.path, None)
            if first.out_of_reach:
                # The next look finds out whether the photo is gone, or its disk.
                if isinstance(photo.content, LocalFile) and not os.path.lexists(photo.content.file):
                    continue
                self._unreachable[first.path] = time.monotonic()
                if first.path in self._database.known and self._database.holds(rows):
                    self._database.known[first.path] = photo.content.version()
                    continue
            written.append((photo.content.version(), rows))
            done.changed += first.path in self._database.known
            done.new += first.path not in self._database.known
            if first.unreadable:
                done.unreadable += 1
                self._counts.error_kinds[error_kind(first.error)] += 1
                if self._options.verbose:
                    self._notify(f"{first.path}: {first.error}")
        self._database.write(written)
        self._counts.photos += len(written)
