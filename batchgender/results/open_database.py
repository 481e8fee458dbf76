"""A database of results that is written: begun whole, changed in transactions, one file at the end."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchgender.errors import CannotResume, os_reason
from batchgender.io import Notify, first_line, replace_durably
from batchgender.results.database_file import connect, write_new
from batchgender.results.rows import Row, RowLayout
from batchgender.version import __version__

# Seconds that readers are waited for at the end of a run.
_LAST_PATIENCE = 2.0


def wal_of(out: Path) -> Path:
    """Where SQLite keeps what it has not yet written into the database itself."""
    return out.with_name(out.name + "-wal")


def files_beside(out: Path) -> tuple[Path, ...]:
    """What SQLite leaves beside a database that is written."""
    return wal_of(out), *(out.with_name(out.name + ending) for ending in ("-shm", "-journal"))


def create_database(out: Path, stale: Iterable[Path], layout: RowLayout, settings: Mapping[str, Any]) -> None:
    """Have a database without rows: what was there, or nothing, until its tables are there. Files `stale` go.

    Raises OSError and sqlite3.Error.
    """
    new = out.with_name(out.name + ".part")
    out.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    # No link is followed: what stands there since is not this run's.
    with open(new, "xb"):
        pass
    write_new(new, layout, settings, {"package_version": __version__, "begun": now()})
    # They would be taken for parts of the new one.
    for file in stale:
        file.unlink(missing_ok=True)
    replace_durably(new, out)


class OpenDatabase:
    """A database that is there, open to be written.

    All raise sqlite3.Error, and OSError.
    """

    def __init__(self, out: Path, layout: RowLayout) -> None:
        self._out, self._layout = out, layout
        self.connection = connect(out, "rw")

    def write_ahead(self) -> None:
        """Have others read it while it is written, from now on."""
        # A file system that has no shared memory keeps another mode: readers wait for a batch then.
        self.connection.execute("PRAGMA journal_mode = WAL")
        # A commit is not synced: `sync` does that.
        self.connection.execute("PRAGMA synchronous = NORMAL")

    def check_whole(self) -> None:
        """Raise CannotResume where it is damaged, or has other columns than these rows."""
        try:
            (found,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
            columns = [name for name, *_ in self.connection.execute("SELECT * FROM rows LIMIT 0").description]
        except sqlite3.DatabaseError as error:
            found, columns = first_line(error), []
        if found != "ok":
            reason = first_line(ValueError(found))
            raise CannotResume(f"{self._out}: damaged ({reason}); start again with --overwrite")
        if columns != self._layout.columns:
            raise CannotResume(f"{self._out}: has other columns than this run; start again with --overwrite")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that the block does, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def insert(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        places = ", ".join("?" * len(self._layout.columns))
        self.connection.executemany(f"INSERT INTO rows VALUES ({places})", map(self.values, rows))

    def values(self, row: Row) -> list[Any]:
        """The values of a row in the order of the columns, None where a cell is empty."""
        return [None if value == "" else value for value in self._layout.values(row).values()]

    def sync(self) -> None:
        """Have the transactions until now on the disk: SQLite writes them to the WAL, and reads them from there."""
        # The database itself it syncs on its own. Not opened here: closing it would end SQLite's locks.
        with suppress(FileNotFoundError):
            descriptor = os.open(wal_of(self._out), os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def leave_one_file(self, notify: Notify) -> None:
        """Have all in the database's own file, if no other program has it open: `notify` gets a line where one has."""
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute(f"PRAGMA busy_timeout = {_LAST_PATIENCE * 1000:.0f}")
        try:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            self.sync()
            wal = wal_of(self._out).name
            notify(f"{self._out}: another program has it open: {wal} is a part of it until that ends")

    def close(self) -> None:
        """Let go of it."""
        self.connection.close()


def failure(error: OSError | sqlite3.Error) -> str:
    """Why a database can't be written, in a few words."""
    return os_reason(error) if isinstance(error, OSError) else first_line(error)


def now() -> str:
    """The time as ISO 8601 has it, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
