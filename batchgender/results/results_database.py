"""A SQLite database of results, whose rows others can query while the run goes on."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.io import Notify, check_writable, first_line, silent, sync_folder
from batchgender.results.csv_style import EXACT
from batchgender.results.database_file import encoded, look_at, rows_of, settings_noted, settings_of
from batchgender.results.keeping import Keeping, Pending, kept_files
from batchgender.results.kept_rows import checked_row, damage_notice, whole_photos
from batchgender.results.open_database import OpenDatabase, create_database, failure, files_beside, now
from batchgender.results.periodic_sync import PeriodicSync
from batchgender.results.rows import Row, RowLayout, cell_text
from batchgender.results.settings import check_settings
from batchgender.results.sinks import GO_ON, SinkFiles, check_not_locked, finished_already
from batchgender.results.update import NOTHING


class ResultsDatabase:
    """A database in the making: the rows are in OUT from the first on, in WAL mode, and `run.finished` is NULL.

    Raises UserError where OUT can't be written, where another run writes it, and where OUT is there and neither
    `resume` nor `overwrite` says what to do with it; what is no results of classify is never resumed. Nothing is
    written before `begin`, which looks again: from there on the caller holds the lock of OUT. `notify` gets a line
    where rows are damaged, and where a file of another application is replaced.

    What is written is on the disk within `periodic_sync.SECONDS`, and all of it at the end.
    """

    # A transaction: a kill costs no more.
    rows_a_write = 32

    def __init__(self, out: str, resume: bool = False, overwrite: bool = False, notify: Notify = silent) -> None:
        self.out, self._notify = Path(out), notify
        check_writable(self.out, "--out")
        self._beside = (*files_beside(self.out), *kept_files(self.out))
        self._resume, self._overwrite = resume, overwrite
        self.files = SinkFiles(
            self.out,
            self.out,
            (self.out.with_name(self.out.name + ".part"), *self._beside),
            resume or overwrite,
            GO_ON,
        )
        # Looked at before the states below: those of a run that is going on are none to resume or overwrite.
        check_not_locked(self.out)
        self._check_state()
        self._layout, self._thresholds = RowLayout(()), dict[str, float]()
        self._database: OpenDatabase | None = None
        self._syncing: PeriodicSync | None = None
        self.keeping: Keeping | None = None

    def _check_state(self) -> None:
        """Look what is there; raises UserError where it is neither to be resumed nor replaced."""
        self._resumed, self._foreign = False, ""
        if not self.out.exists():
            return
        found = look_at(self.out)
        if not found.ours:
            self._foreign = found.what
            if not self._overwrite:
                raise UserError(f"{self.out}: is {found.what}, not of classify; choose another --out")
        elif self._resume and found.finished:
            raise finished_already(self.out)
        elif not self.files.may_replace:
            raise UserError(
                f"{self.out}: exists already; replace it with --overwrite or choose another --out"
                if found.finished
                else f"{self.out}: an unfinished run; go on with --resume or start again with --overwrite"
            )
        self._resumed = self._resume

    def settings_before(self) -> dict[str, Any]:
        """The settings that the unfinished run had; empty where none is resumed, or they can't be read."""
        return settings_noted(self.out) if self._resumed else {}

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Open the database for rows of this layout.

        `settings` is as for `ResultsFile.begin`. Raises UserError where the unfinished run had others, and where the
        database can't be written.
        """
        self._check_state()
        self._layout, self._thresholds = layout, settings.get("threshold") or {}
        self.keeping = Keeping(self.out, layout, settings, NOTHING, False, EXACT)
        try:
            if not self._resumed:
                self._create(settings)
                self.keeping.begin()
            self._database = OpenDatabase(self.out, layout)
            if self._resumed:
                self._check_same(settings)
                self.keeping.go_on()
            self._database.write_ahead()
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{self.out}: can't write ({failure(error)}); choose another --out") from error
        self._syncing = PeriodicSync(self._sync)

    def _create(self, settings: dict[str, Any]) -> None:
        """Have a database without rows: another one, or none, until its tables are there."""
        if self._foreign:
            self._notify(f"{self.out}: was {self._foreign}; --overwrite replaces it")
        create_database(self.out, self._beside, self._layout, settings)

    def _check_same(self, settings: dict[str, Any]) -> None:
        """Raise CannotResume where the database is damaged, or of a run with other settings."""
        assert self._database
        with suppress(sqlite3.DatabaseError):
            check_settings(settings_of(self._database.connection), encoded(settings), self.out)
        self._database.check_whole()

    def done(self, photos: Pending) -> Iterator[Row]:
        """Yield the rows of the unfinished run, as `ResultsFile.done` does."""
        if not self._resumed:
            return
        assert self._database and self.keeping
        end = count = 0
        try:
            groups = whole_photos(self._kept_rows(), self._layout.several)
            for place, rows in self.keeping.in_step(groups, photos):
                end, count = place, count + len(rows)
                yield from rows
            if self._damage:
                self._notify(damage_notice(self.out, count, self._damage))
            self._database.connection.execute("DELETE FROM rows WHERE rowid > ?", (end,))
        except (OSError, sqlite3.Error) as error:
            raise self._cannot_write(error) from error

    def _kept_rows(self) -> Iterator[tuple[int, Row]]:
        """Yield rows, each with its place, up to the first that is damaged."""
        assert self._database
        self._damage = ""
        for values in rows_of(self._database.connection):
            place = values.pop("rowid")
            cells = [cell_text(name, value) for name, value in values.items()]
            try:
                row = checked_row(cells, self._layout, self._thresholds)
                if self._database.values(row) != list(values.values()):
                    raise ValueError("a value that is not of its column's type")
            except ValueError as error:
                self._damage = str(error)
                return
            yield place, row

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows in one transaction; raises UserError where they can't be written, with all before them kept."""
        assert self._database and self._syncing and self.keeping
        try:
            # First: a mark without its row does no harm.
            self.keeping.write(rows)
            with self._database.transaction():
                self._database.insert(rows)
            self._syncing.note_written()
        except sqlite3.IntegrityError as error:
            raise UserError(
                f"{self.out}: two photos would have one row ({first_line(error)}): two of their names are shown alike;"
                f" rename one. The rows so far are kept, {GO_ON}"
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise self._cannot_write(error) from error

    def finish(self) -> None:
        """Note that the run is finished, and leave one file."""
        assert self._database and self.keeping
        try:
            self.keeping.end()
            self._database.connection.execute("UPDATE run SET finished = ?", (now(),))
            self._database.leave_one_file(self._notify)
            self.close()
            self.keeping.finish()
            # Its names, too: that of the WAL is gone.
            with suppress(OSError):
                sync_folder(self.out.parent)
        except (OSError, sqlite3.Error) as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Let go of the database, finished or not."""
        if self._syncing:
            self._syncing.close()
        # That the disk is full or gone was an error before; the earlier rows are on it.
        with suppress(OSError, sqlite3.Error):
            if self._database:
                self._database.close()
        with suppress(OSError):
            if self.keeping:
                self.keeping.close()

    def _sync(self) -> None:
        """Have the rows until now, and their marks, on the disk."""
        if self.keeping:
            self.keeping.sync()
        if self._database:
            self._database.sync()

    def _cannot_write(self, error: OSError | sqlite3.Error) -> UserError:
        return UserError(f"{self.out}: can't write ({failure(error)}); the rows so far are kept, {GO_ON}")
