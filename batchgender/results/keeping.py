"""What a run keeps of rows that are there: those of an earlier run, and its own from before it was stopped."""

import csv
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.io import not_a_link, replace_durably, written_whole
from batchgender.model.thresholds import decide
from batchgender.photos.photo import LocalFile, Photo
from batchgender.results.answered import Answered
from batchgender.results.csv_style import CsvStyle
from batchgender.results.earlier_rows import EarlierRows
from batchgender.results.marks import Marks, MarksWriter, mark
from batchgender.results.read_results import read_results
from batchgender.results.rows import Row, RowLayout
from batchgender.results.settings import changed_settings
from batchgender.results.update import Changes, Update

# Settings that decide rows; others say where photos are, and how they are labelled, which each run looks up anew.
_DECIDING = ("model", "threshold", "provider", "faces", "fps")
# Seconds before the end of the run that wrote results without marks: what changed later is done again.
_BEFORE = 2.0


class Pending(Iterator[Photo]):
    """Photos to come, of which the last one taken may be put back."""

    def __init__(self, photos: Iterable[Photo]) -> None:
        self._photos = iter(photos)
        self._back: list[Photo] = []

    def __next__(self) -> Photo:
        return self._back.pop() if self._back else next(self._photos)

    def put_back(self, photo: Photo) -> None:
        """Have a photo come next."""
        self._back.append(photo)


class Keeping:
    """The rows that a run over `out` may keep, in `OUT.part.old`, and the marks of those that it writes.

    `settings` decide its rows, `asked` is how it goes on from those that are there; with `only_errors` it is about the
    photos of these alone. Raises OSError where it can't write.
    """

    def __init__(
        self,
        out: Path,
        layout: RowLayout,
        settings: dict[str, Any],
        asked: Update,
        only_errors: bool,
        style: CsvStyle,
    ) -> None:
        self.out, self._layout, self._settings, self._style = out, layout, settings, style
        self._asked, self._only_errors = asked, only_errors
        self._changes = Changes()
        # Whether rows from before the run was stopped are no longer those of the photos.
        self.out_of_step = False
        # Errors of this run's own rows are tried again where it is told so after it was stopped.
        self.tries_own_again = False
        self._old, self._own, self._finished = kept_files(out)
        self._earlier: EarlierRows | None = None
        self._marks = Marks([])
        self._all_true = False
        # When the results were written that have no marks, in seconds since 1970.
        self._written = 0.0
        # Of the photos that are under way, in order; None for those that get no mark.
        self._versions = deque[str | None]()
        self._version: str | None = None
        self._open: list[Row] = []
        self._writer: MarksWriter | None = None

    def begin(self) -> None:
        """Begin a new run, which keeps rows of `out` where it was asked to; raises UserError where it can't."""
        if self._own.exists() and self._asked.any:
            # Left by a run that was killed while it took its name.
            replace_durably(self._own, self._finished)
        for file in (self._old, self._own):
            file.unlink(missing_ok=True)
        if self._asked.any and self.out.exists():
            self._check_settings()
            self._copy()
        self._open_all()
        assert self._writer
        if self._only_errors and self._finished.exists():
            self._writer.copy(self._finished)

    def go_on(self) -> None:
        """Go on with a run that was stopped."""
        # One of a version that made no marks: its rows are taken for true.
        self._all_true = not self._own.exists()
        self._open_all()

    def _open_all(self) -> None:
        """Open the marks and the rows kept; without marks of `out` the time decides."""
        self._marks = Marks([*([self._finished] if self._asked.any else []), self._own])
        if self._asked.any and self.out.exists() and not self._finished.exists():
            self._written = self.out.stat().st_mtime
        self._index()
        self._writer = MarksWriter(self._own, deciding(self._settings), self._layout)

    def _index(self) -> None:
        if self._old.exists():
            self._earlier = EarlierRows(self._old, self._layout)
            self._changes.update = self._asked.update

    @property
    def goes_by_time(self) -> bool:
        """Whether nothing but the time of the results tells which photos have changed since."""
        return bool(self._written) and not self._only_errors

    def _check_settings(self) -> None:
        before = settings_of(self.out)
        changed, _ = differing(before, self._settings)
        if before and changed:
            raise UserError(
                f"{self.out}: was made with another {', '.join(changed)}; update it with the same or start again with"
                " --overwrite"
            )

    def _copy(self) -> None:
        """Copy the rows of `out`, whatever its format, to be looked up; damaged ones are left out: they are done again.

        Raises UserError where it has other columns, was made with other thresholds, or is damaged as a whole.
        """
        with written_whole(self._old, ending=".tmp", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(self._layout.columns)
            for cells in read_results(str(self.out)):
                if list(cells) != self._layout.columns:
                    raise UserError(
                        f"{self.out}: has other columns than this run writes; start again with --overwrite, or choose"
                        " faces and model as it was made with"
                    )
                plain = [self._style.plain(cell) for cell in cells.values()]
                try:
                    row = self._layout.row(plain)
                except ValueError:
                    continue
                # Nothing else tells what results without marks were made with.
                if not self._finished.exists() and not self._is_decided(row):
                    raise UserError(
                        f"{self.out}: was made with another threshold; update it with the same or start again with"
                        " --overwrite"
                    )
                writer.writerow(self._layout.cells(row))

    def _is_decided(self, row: Row) -> bool:
        """Whether the thresholds of this run give the prediction of a row."""
        classes, thresholds = self._layout.classes, self._settings.get("threshold") or {}
        return (
            len(row.probabilities) != len(classes) or decide(row.probabilities, classes, thresholds) == row.prediction
        )

    def is_true(self, photo: Photo, rows: Sequence[Row]) -> bool:
        """Whether rows that this run wrote before it was stopped are still those of this photo."""
        if photo.path != rows[0].path or photo.time != rows[0].time:
            return False
        if self._only_errors:
            return True
        if self.tries_own_again and rows[0].unreadable:
            return False
        return self._all_true or mark(photo.content.version(), rows, self._layout) in self._marks

    def in_step(self, written: Iterator[tuple[int, list[Row]]], photos: Pending) -> Iterator[tuple[int, list[Row]]]:
        """Yield the rows that this run wrote of each photo, with their place, as long as they are true of `photos`.

        Takes one of `photos` for each; all other rows are set aside, to be looked up.
        """
        for place, rows in written:
            photo = None if self.out_of_step else next(photos, None)
            if photo and self.is_true(photo, rows):
                if self._earlier:
                    self._earlier.take(photo.path, photo.time)
                yield place, rows
                continue
            if photo:
                photos.put_back(photo)
            self._set_aside(chain([rows], (others for _, others in written)))
            return

    def _set_aside(self, groups: Iterable[Sequence[Row]]) -> None:
        """Write rows of this run, which are out of step with the photos, to those that are looked up."""
        if self._earlier:
            self._earlier.close()
            os.truncate(self._old, self._earlier.end)
        with open(self._old, "a" if self._earlier else "w", encoding="utf-8", newline="", opener=not_a_link) as stream:
            writer = csv.writer(stream)
            if not self._earlier:
                writer.writerow(self._layout.columns)
            for rows in groups:
                writer.writerows(map(self._layout.cells, rows))
            stream.flush()
            os.fsync(stream.fileno())
        self._index()

    def chosen(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The photos that the run is about: all, or those of earlier rows, of which those with an error are read."""
        if not (self._only_errors and self._earlier):
            yield from photos
            return
        wanted = {(rows[0].path, rows[0].time) for rows in self._earlier if rows and rows[0].unreadable}
        found = {name: photo for photo in photos if (name := (photo.path, photo.time)) in wanted}
        for rows in self._earlier:
            first = rows[0]
            photo = found.get((first.path, first.time))
            if first.unreadable:
                self._changes.gone += photo is None
            # Its label stays what it was.
            yield photo or Photo(first.path, Answered(tuple(rows)), label=first.label, time=first.time)

    def answered(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """Pass photos on; those whose rows are true have them as their content."""
        for photo in photos:
            if isinstance(photo.content, Answered):
                self._versions.append(None)
                self._changes.kept += 1
                yield photo
                continue
            version = photo.content.version()
            self._versions.append(version)
            rows = self._earlier.take(photo.path, photo.time) if self._earlier else []
            if not rows:
                self._changes.new += 1
            elif self._asked.retry_errors and rows[0].unreadable:
                self._changes.retried += 1
            elif not (mark(version, rows, self._layout) in self._marks or is_older(photo, rows, self._written)):
                self._changes.changed += 1
            else:
                self._changes.kept += 1
                self._changes.by_path += not version
                photo = replace(photo, content=Answered(tuple(rows)))
            yield photo

    def write(self, rows: Iterable[Row]) -> None:
        """Mark rows that are about to be written."""
        assert self._writer
        for row in rows:
            if not self._open or (row.path, row.time) != (self._open[0].path, self._open[0].time):
                self._mark_open()
                self._version = self._versions.popleft() if self._versions else None
            self._open.append(row)
        # The last photo may have more faces.
        if not self._layout.several:
            self._mark_open()
        self._writer.flush()

    def _mark_open(self) -> None:
        assert self._writer
        if self._open and self._version is not None and not self._open[0].out_of_reach:
            self._writer.add(self._version, self._open)
        self._open = []

    def changes(self) -> Changes:
        """What became of the earlier rows, once all photos were looked at."""
        if self._earlier and not self._only_errors:
            self._changes.gone = self._earlier.left()
        return self._changes

    def end(self) -> None:
        """All rows are written: have all marks on the disk."""
        assert self._writer
        self._mark_open()
        self._writer.flush()
        self._writer.sync()

    def sync(self) -> None:
        """Have the marks on the disk; any thread may call it."""
        if self._writer:
            self._writer.sync()

    def close(self) -> None:
        """Close all files."""
        if self._writer:
            self._writer.close()
        if self._earlier:
            self._earlier.close()

    def finish(self) -> None:
        """Let go of what the finished run no longer needs; the marks take their name where updates are asked for."""
        if self._asked.update or self._finished.exists():
            replace_durably(self._own, self._finished)
        for file in (self._own, self._old):
            file.unlink(missing_ok=True)


def old_rows(out: Path) -> Path:
    """Where the rows are that an unfinished run may keep."""
    return out.with_name(out.name + ".part.old")


def own_marks(out: Path) -> Path:
    """Where the marks of an unfinished run are."""
    return out.with_name(out.name + ".part.seen")


def finished_marks(out: Path) -> Path:
    """Where the marks of finished results are."""
    return out.with_name(out.name + ".seen")


def kept_files(out: Path) -> tuple[Path, ...]:
    """All files that stand beside results for what is kept."""
    return old_rows(out), own_marks(out), finished_marks(out)


def is_older(photo: Photo, rows: Sequence[Row], written: float) -> bool:
    """Whether a photo is a file of this machine, and older than its rows, written at `written` without marks."""
    if not isinstance(photo.content, LocalFile) or rows[0].out_of_reach:
        return False
    try:
        status = os.stat(photo.content.file)
    except OSError:
        return False
    return max(status.st_mtime, status.st_ctime) < written - _BEFORE


def deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of the settings that decide rows."""
    return {name: settings[name] for name in _DECIDING if name in settings}


def settings_of(out: Path) -> dict[str, Any]:
    """The settings that finished results were made with, as far as they are known."""
    return Marks([finished_marks(out)]).settings or {}


def differing(before: dict[str, Any], settings: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The names of settings that differ: those that decide rows, and others."""
    names = changed_settings(before, settings)
    return [name for name in names if name in _DECIDING], [name for name in names if name not in _DECIDING]
