"""A database whose rows were gathered beside it, written whole: what `results_database` gives row by row."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.io import first_line, replace_durably
from batchgender.results.database_file import opened, write_new
from batchgender.results.formats import read_csv
from batchgender.results.rows import RowLayout
from batchgender.version import __version__

_AT_ONCE = 4096


def write_database(part: Path, out: Path, layout: RowLayout, settings: Mapping[str, Any]) -> None:
    """Make the database `out` of the rows in the CSV `part`, which goes; raises OSError, and UserError."""
    new = out.with_name(out.name + ".tmp")
    new.unlink(missing_ok=True)
    begun = datetime.fromtimestamp(part.stat().st_mtime, UTC)
    try:
        # No link is followed: what stands there since is not this run's.
        with open(new, "xb"):
            pass
        write_new(new, layout, settings, {"package_version": __version__, "begun": begun.isoformat(timespec="seconds")})
        places = ", ".join("?" * len(layout.columns))
        with opened(new, "rw") as database:
            database.execute("BEGIN")
            values = ([None if v == "" else v for v in layout.values(row).values()] for row in read_csv(part, layout))
            database.executemany(f"INSERT INTO rows VALUES ({places})", values)
            finished = datetime.now(UTC).isoformat(timespec="seconds")
            database.execute("UPDATE run SET finished = ?", (finished,))
            database.execute("COMMIT")
        for ending in ("-wal", "-shm", "-journal"):
            # They would be taken for parts of the new one.
            out.with_name(out.name + ending).unlink(missing_ok=True)
        replace_durably(new, out)
    except sqlite3.Error as error:
        raise UserError(f"{out}: can't write ({first_line(error)}); the rows so far are kept in {part}") from error
    finally:
        new.unlink(missing_ok=True)
    part.unlink()
