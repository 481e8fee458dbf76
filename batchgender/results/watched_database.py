"""A database of results that follows its photos: their rows are added, replaced and dropped in place."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.io import Notify, check_writable, replace_durably
from batchgender.photos.photo import Photo
from batchgender.results.database_file import encoded, look_at, note_settings, settings_noted, settings_of
from batchgender.results.keeping import deciding, differing, finished_marks, is_older, kept_files, own_marks
from batchgender.results.kept_rows import checked_row
from batchgender.results.marks import Marks, MarksWriter, mark
from batchgender.results.open_database import OpenDatabase, create_database, failure, files_beside, now
from batchgender.results.periodic_sync import PeriodicSync
from batchgender.results.results_file import SIDECAR
from batchgender.results.rows import Row, RowLayout, cell_text
from batchgender.results.sinks import check_not_locked

# Of photos whose rows were made by a run that this one goes on from, and are not yet compared with them.
NOT_COMPARED = ""


class WatchedDatabase:
    """The database OUT, changed in place: results that are there, finished or not, are gone on with.

    `known` are the photos that have rows, by path, each with the version that these are of, or NOT_COMPARED. Which
    rows are true is told by the marks beside OUT, as for `--update`; with `retry_errors` those with an error are not,
    once. Raises UserError where OUT can't be written, is no database of classify, or another run writes it.
    """

    def __init__(self, out: str, retry_errors: bool, notify: Notify) -> None:
        self.out, self._retry_errors, self._notify = Path(out), retry_errors, notify
        check_writable(self.out, "--out")
        check_not_locked(self.out)
        self._check_state()
        self.known: dict[str, str] = {}
        self._layout, self._thresholds = RowLayout(()), dict[str, float]()
        self._database: OpenDatabase | None = None
        self._syncing: PeriodicSync | None = None
        self._marks = Marks([])
        self._writer: MarksWriter | None = None
        # When results were written that have no marks, in seconds since 1970.
        self._written = 0.0
        # Labels of rows that are true but for them: the label and the path of each.
        self._labels: list[tuple[str | None, str]] = []

    def _check_state(self) -> None:
        """Look what is there; raises UserError where it can't be gone on with."""
        self.is_there, self.is_whole = self.out.exists(), False
        if (update := self.out.with_name(self.out.name + SIDECAR)).exists():
            raise UserError(f"{update}: an update of {self.out} was stopped; end it with --update before you watch")
        if self.is_there:
            found = look_at(self.out)
            if not found.ours:
                raise UserError(f"{self.out}: is {found.what}, not of classify; choose another --out")
            self.is_whole = found.finished

    def settings_before(self) -> dict[str, Any]:
        """The settings that the rows were made with, as far as they are known; empty where there are none."""
        return settings_noted(self.out) if self.is_there else {}

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Open it for rows of this layout, while the caller holds the lock of OUT.

        `settings` is as for `ResultsFile.begin`. Raises UserError where the rows that are there were made with others,
        or of other folders, and where it can't be written.
        """
        self._check_state()
        self._layout, self._thresholds = layout, settings.get("threshold") or {}
        marks = [finished_marks(self.out), own_marks(self.out)]
        with self._writing():
            if not self.is_there:
                create_database(self.out, (*files_beside(self.out), *kept_files(self.out)), layout, settings)
            elif not any(file.exists() for file in marks):
                self._written = self.out.stat().st_mtime
            self._database = OpenDatabase(self.out, layout)
            if self.is_there:
                self._check_same(settings)
            self._database.write_ahead()
            self._marks = Marks(marks)
            self._writer = MarksWriter(marks[0] if self.is_whole else marks[1], deciding(settings), layout)
            paths = self._database.connection.execute("SELECT DISTINCT path FROM rows")
            self.known = {path: NOT_COMPARED for (path,) in paths}
        self._syncing = PeriodicSync(self._sync)

    def _check_same(self, settings: dict[str, Any]) -> None:
        assert self._database
        self._database.check_whole()
        before = settings_of(self._database.connection)
        changed, _ = differing(before, encoded(settings))
        if before.get("photos_from") != encoded(settings)["photos_from"]:
            changed.append("photos_from")
        if changed:
            raise UserError(
                f"{self.out}: was made with another {', '.join(changed)}; watch it with the same, choose another --out,"
                " or run classify with --overwrite first"
            )
        if before != encoded(settings):
            with self._database.transaction() as connection:
                note_settings(connection, settings)

    def is_done(self, photo: Photo) -> bool:
        """Whether there are rows of this photo, as it is now."""
        version = photo.content.version()
        noted = self.known.get(photo.path)
        if noted != NOT_COMPARED:
            return noted == version
        rows = self._rows(photo.path)
        if not rows or (self._retry_errors and rows[0].unreadable):
            return False
        if mark(version, rows, self._layout) not in self._marks:
            if not is_older(photo, rows, self._written):
                return False
            assert self._writer
            self._writer.add(version, rows)
        if (label := photo.label_among(self._layout.classes)) != rows[0].label:
            self._labels.append((label or None, photo.path))
        self.known[photo.path] = version
        return True

    def holds(self, rows: Sequence[Row]) -> bool:
        """Whether the rows of a photo are there already, the same ones."""
        return self._rows(rows[0].path) == list(rows)

    def _rows(self, path: str) -> list[Row]:
        """The rows of a photo, none where they are not such as a run writes."""
        assert self._database
        columns = self._layout.columns
        with self._writing():
            found = self._database.connection.execute("SELECT * FROM rows WHERE path = ? ORDER BY rowid", (path,))
            try:
                return [
                    checked_row(list(map(cell_text, columns, values)), self._layout, self._thresholds)
                    for values in found
                ]
            except ValueError:
                return []

    def write(self, photos: Sequence[tuple[str, Sequence[Row]]]) -> None:
        """Write the rows of photos in the place of those that they have, in one transaction.

        Each comes with the version of the photo that they are of. Raises UserError where they can't be written.
        """
        assert self._database and self._writer and self._syncing
        with self._writing():
            # First: a mark without its rows does no harm.
            for version, rows in photos:
                # What a file holds that can't be opened is not known.
                if not rows[0].out_of_reach:
                    self._writer.add(version, rows)
            self._writer.flush()
            with self._database.transaction() as connection:
                paths = [(rows[0].path,) for _, rows in photos if rows[0].path in self.known]
                connection.executemany("DELETE FROM rows WHERE path = ?", paths)
                self._database.insert(row for _, rows in photos for row in rows)
            self._syncing.note_written()
        self.known.update((rows[0].path, version) for version, rows in photos)

    def drop(self, paths: Sequence[str]) -> None:
        """Drop the rows of photos that are gone."""
        assert self._database and self._syncing
        with self._writing():
            with self._database.transaction() as connection:
                connection.executemany("DELETE FROM rows WHERE path = ?", ((path,) for path in paths))
            self._syncing.note_written()
        for path in paths:
            del self.known[path]

    def end_round(self, changed: bool) -> None:
        """All photos that are there have their rows; `changed` says whether any row is another than before."""
        assert self._database and self._writer and self._syncing
        with self._writing():
            self._writer.flush()
            if changed or self._labels or not self.is_whole:
                with self._database.transaction() as connection:
                    connection.executemany("UPDATE rows SET label = ? WHERE path = ?", self._labels)
                    connection.execute("UPDATE run SET finished = ?", (now(),))
                self._labels.clear()
                self._syncing.note_written()
            if not self.is_whole:
                self.is_whole = True
                # The sync thread has it open.
                self._syncing.close()
                self._writer.sync()
                self._writer.close()
                replace_durably(own_marks(self.out), finished_marks(self.out))
                settings = Marks([finished_marks(self.out)]).settings or {}
                self._writer = MarksWriter(finished_marks(self.out), settings, self._layout)
                self._syncing = PeriodicSync(self._sync)

    def finish(self) -> None:
        """Leave one file, and the marks beside it; raises UserError where that fails."""
        assert self._database and self._writer
        with self._writing():
            self._writer.flush()
            self._writer.sync()
            self._database.leave_one_file(self._notify)

    def close(self) -> None:
        """Let go of it."""
        if self._syncing:
            self._syncing.close()
        # That the disk is full or gone was an error before.
        with suppress(OSError, sqlite3.Error):
            if self._database:
                self._database.close()
        with suppress(OSError):
            if self._writer:
                self._writer.close()

    def _sync(self) -> None:
        """Have the rows until now, and their marks, on the disk."""
        if self._writer:
            self._writer.sync()
        if self._database:
            self._database.sync()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{self.out}: can't write ({failure(error)}); the rows so far are kept") from error
