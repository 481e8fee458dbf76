"""Marks of rows: 8 bytes a photo that say of which version of the photo its rows are true.

A run writes them beside its rows. A mark is a hash of the photo's path, its version (`Content.version`) and its rows,
so one that is missing, damaged or of other rows only has a photo done again.
"""

import hashlib
import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from batchgender.io import not_a_link
from batchgender.results.rows import Row, RowLayout

# Begins the first line of a file of marks, which goes on with the settings of the run as JSON.
_HEAD = b"batchgender marks 1 "
_LONGEST_HEAD = 2**20
_SIZE = 8


def mark(version: str, rows: Sequence[Row], layout: RowLayout) -> int:
    """The mark of a photo's rows, which are one or more; the label is no part of it."""
    columns = slice(None, -2)
    text = "\0".join([version, *(cell for row in rows for cell in [*layout.cells(row)[columns], row.error])])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_SIZE).digest(), "little")


class Marks:
    """The marks of files, to look rows up in: 8 bytes of memory a photo. Files that are missing or damaged have none.

    `settings` are those of the last file that has some, None where none has.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.settings: dict[str, Any] | None = None
        found = [np.empty(0, np.uint64)]
        for file in files:
            with suppress(OSError, ValueError):
                self.settings, marks = _read(file)
                found.append(marks)
        self._sorted = array("Q", np.sort(np.concatenate(found)).tobytes())

    def __contains__(self, mark: int) -> bool:
        at = bisect_left(self._sorted, mark)
        return at < len(self._sorted) and self._sorted[at] == mark


def _read(file: Path) -> tuple[dict[str, Any], "np.ndarray[Any, np.dtype[np.uint64]]"]:
    """The settings and marks of a file; raises OSError and ValueError."""
    with open(file, "rb", opener=not_a_link) as stream:
        head = stream.readline(_LONGEST_HEAD)
        settings = json.loads(head.removeprefix(_HEAD)) if head.startswith(_HEAD) else None
        if not isinstance(settings, dict):
            raise ValueError("no file of marks")
        data = stream.read()
    return settings, np.frombuffer(data[: len(data) // _SIZE * _SIZE], "<u8").astype(np.uint64)


class MarksWriter:
    """Appends marks to a file, which is begun anew where there is none of these settings. Raises OSError."""

    def __init__(self, file: Path, settings: dict[str, Any], layout: RowLayout) -> None:
        self._layout = layout
        head = _HEAD + json.dumps(settings).encode() + b"\n"
        self._stream: IO[bytes] = open(file, "ab+", opener=not_a_link)  # noqa: SIM115
        self._stream.seek(0)
        size = os.fstat(self._stream.fileno()).st_size
        if self._stream.readline(_LONGEST_HEAD) != head:
            size = 0
        # A kill may have left a part of a mark.
        self._stream.truncate(size and len(head) + (size - len(head)) // _SIZE * _SIZE)
        self._stream.seek(0, os.SEEK_END)
        if not size:
            self._stream.write(head)

    def add(self, version: str, rows: Sequence[Row]) -> None:
        """Mark the rows of a photo."""
        self._stream.write(mark(version, rows, self._layout).to_bytes(_SIZE, "little"))

    def copy(self, file: Path) -> None:
        """Add all marks of another file."""
        with suppress(OSError, ValueError):
            self._stream.write(_read(file)[1].astype("<u8").tobytes())

    def flush(self) -> None:
        """Have them in the file."""
        self._stream.flush()

    def sync(self) -> None:
        """Have what was flushed on the disk."""
        if not self._stream.closed:
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
