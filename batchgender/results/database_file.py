"""SQLite files of results: which they are, and their tables `rows` and `run`."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from batchgender.errors import UserError, os_reason
from batchgender.io import first_line, one_line
from batchgender.results.rows import RowLayout

# In the header of a database, so that no other application's is taken for one of ours: "bgdr".
_APPLICATION_ID = 0x62676472
# Seconds that a program that holds the database is waited for.
PATIENCE = 30.0
_MAGIC = b"SQLite format 3\0"
# Columns of `run` beside its settings.
_OF_THE_RUN = ("package_version", "begun", "finished")


@dataclass(frozen=True)
class FoundDatabase:
    """What a file is: `ours`, and then `finished` or not; else `what` says what it is."""

    ours: bool
    finished: bool = False
    what: str = ""


def look_at(file: Path) -> FoundDatabase:
    """What a file that is there is; changes nothing."""
    if file.exists() and not file.is_file():
        # To open a pipe is to wait for who writes it.
        return FoundDatabase(False, what="a folder, pipe or device")
    try:
        with open(file, "rb") as stream:
            head = stream.read(len(_MAGIC))
    except OSError as error:
        return FoundDatabase(False, what=f"a file that can't be read ({os_reason(error)})")
    if head != _MAGIC:
        return FoundDatabase(False, what="no SQLite database" if head else "an empty file")
    try:
        with opened(file, "ro") as database:
            if database.execute("PRAGMA application_id").fetchone() == (_APPLICATION_ID,):
                (finished,) = database.execute("SELECT finished FROM run").fetchone()
                return FoundDatabase(True, finished is not None)
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 5").fetchall()
    # No row in `run`, too.
    except (sqlite3.Error, TypeError) as error:
        return FoundDatabase(False, what=f"a damaged database ({first_line(error)})")
    names = one_line(", ".join(name for (name,) in tables)) or "none"
    return FoundDatabase(False, what=f"a database of another application (tables: {names})")


@contextmanager
def opened(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Open a database that is there: "ro" to read, "rw" to write; raises sqlite3.Error."""
    with closing(connect(file, mode)) as database:
        yield database


def connect(file: Path, mode: str) -> sqlite3.Connection:
    """As `opened`, for who closes it; each statement is a transaction unless one is begun."""
    address = f"file:{quote(os.fsencode(file.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)


def write_new(file: Path, layout: RowLayout, settings: Mapping[str, Any], about: Mapping[str, str]) -> None:
    """Make the tables of a run in an empty file; `about` is its version and when it begun. Raises sqlite3.Error."""
    kinds = {
        name: "REAL" if layout.is_number(name) else "INTEGER" if layout.is_integer(name) else "TEXT"
        for name in layout.columns
    }
    kinds["path"] = "TEXT NOT NULL"
    # NULLs are different from each other to SQLite.
    key = ["path", *(f"ifnull({name}, -1)" for name in ("time", "face") if name in kinds)]
    with opened(file, "rw") as database:
        database.execute("BEGIN")
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"CREATE TABLE rows ({', '.join(f'{quoted(name)} {kind}' for name, kind in kinds.items())})")
        database.execute(f"CREATE UNIQUE INDEX one_row_each ON rows ({', '.join(key)})")
        _write_run(database, {**encoded(settings), **about, "finished": None})
        database.execute("COMMIT")


def note_settings(database: sqlite3.Connection, settings: Mapping[str, Any]) -> None:
    """Have other settings in the table of the run, within a transaction; raises sqlite3.Error."""
    of_the_run = database.execute(f"SELECT {', '.join(_OF_THE_RUN)} FROM run").fetchone()
    database.execute("DROP TABLE run")
    _write_run(database, {**encoded(settings), **dict(zip(_OF_THE_RUN, of_the_run, strict=True))})


def _write_run(database: sqlite3.Connection, run: Mapping[str, str | None]) -> None:
    database.execute(f"CREATE TABLE run ({', '.join(f'{quoted(name)} TEXT' for name in run)})")
    database.execute(f"INSERT INTO run VALUES ({', '.join('?' * len(run))})", list(run.values()))


def settings_of(database: sqlite3.Connection) -> dict[str, str]:
    """The settings of the run, as `encoded` gives them; raises sqlite3.Error."""
    found = database.execute("SELECT * FROM run")
    names = [name for name, *_ in found.description]
    values = dict(zip(names, found.fetchone() or [None] * len(names), strict=True))
    return {name: value for name, value in values.items() if name not in _OF_THE_RUN}


def settings_noted(file: Path) -> dict[str, Any]:
    """The settings of the run that wrote a database, as plain data; empty where they can't be read."""
    try:
        with opened(file, "ro") as database:
            return {name: _decoded(value) for name, value in settings_of(database).items()}
    except sqlite3.Error:
        return {}


def _decoded(value: str) -> Any:
    """What `encoded` made a text of."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def encoded(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as the table `run` holds them: text as it is, all else as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
        for name, value in settings.items()
    }


def rows_of(database: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Yield the rows by column, after `rowid`, in the order in which they were written; raises sqlite3.Error."""
    with closing(database.execute("SELECT rowid AS rowid, * FROM rows ORDER BY rowid")) as found:
        names = [name for name, *_ in found.description]
        for values in found:
            yield dict(zip(names, values, strict=True))


def read_database(file: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a finished run; raises UserError where there is none in the file, and OSError."""
    path = Path(file)
    # It says that there is no such file, or that it may not be read.
    with open(path, "rb"):
        found = look_at(path)
    if not found.ours:
        raise UserError(f"{file}: is {found.what}, no results that classify wrote")
    if not found.finished:
        raise UserError(f"{file}: the run that writes it is not finished; when it is, or after --resume, read it again")
    try:
        with opened(path, "ro") as database:
            for values in rows_of(database):
                del values["rowid"]
                yield values
    except sqlite3.Error as error:
        raise UserError(f"{file}: can't read the database ({first_line(error)})") from error


def quoted(name: str) -> str:
    """The name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'
