"""The text of a list of photos: kept as it was when it was opened, and read as paths, labels and splits."""

import codecs
import csv
import hashlib
import io
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from batchgender.csv_files import CsvText, as_text, csv_text
from batchgender.errors import UserError, os_reason
from batchgender.io import first_line, open_given
from batchgender.photos.photo import printable

STDIN = "-"
_UTF_8_NAMES = os.name != "posix" or sys.getfilesystemencoding() == "utf-8"
_PORTION = 2**20
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What the endings of CSV files are; others are one where their first line has a cell `path`.
CSV_ENDINGS = (".csv", ".tsv")


class Listed(NamedTuple):
    """A photo as a list has it; `label` and `split` are None where the list has no such column."""

    path: str
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class ListText:
    """A list, kept as it was when it was opened: it may be a pipe, may change, and is read several times.

    `title` is its file, `digest` a hash of its bytes; `separator` ends a path in it, "," stands for a CSV.
    """

    title: str
    digest: str
    separator: str
    _data: mmap.mmap = field(compare=False, repr=False)

    def __iter__(self) -> Iterator[Listed]:
        """Yield what it lists, from its beginning on; raises UserError where it is damaged."""
        ways = {",": self._records, "\0": self._pieces, "\n": self._lines}
        try:
            yield from ways[self.separator]()
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{self.title}: damaged ({first_line(error)})") from error

    def has_header(self) -> bool:
        """Whether its first line names the columns of a CSV."""
        try:
            return csv_text(self._text(""), "path").has_column("path")
        except (csv.Error, UnicodeDecodeError):
            return False

    def _text(self, newline: str) -> io.TextIOWrapper:
        # File names are bytes: those that are not UTF-8 pass through.
        return as_text(io.BufferedReader(_Reader(self._data)), newline, "surrogateescape")

    def _lines(self) -> Iterator[Listed]:
        for line in self._text("\n"):
            if not line.isspace():
                yield Listed(_native(line.removesuffix("\n").removesuffix("\r")))

    def _pieces(self) -> Iterator[Listed]:
        text, rest = self._text("\n"), ""
        while portion := text.read(_PORTION):
            *whole, rest = (rest + portion).split("\0")
            yield from (Listed(_native(path)) for path in whole if path)
        if rest:
            yield Listed(_native(rest))

    def _records(self) -> Iterator[Listed]:
        return _records_of(csv_text(self._text(""), "path"), self.title)


def open_list(file: str, null: bool = False) -> ListText:
    """Read a list whole into a temporary file, from stdin where `file` is "-".

    `null` says that NUL ends each path. A CSV is what is called .csv or .tsv, and what has a column `path` in its first
    line. Raises UserError where it can't be read, is empty, or is no text.
    """
    title = "stdin" if file == STDIN else printable(file)
    data, digest = _kept(file, title, null)
    found = ListText(title, digest, "\0" if null else "\n", data)
    if null:
        return found
    if found.has_header():
        return ListText(title, digest, ",", data)
    if file.lower().endswith(CSV_ENDINGS):
        raise UserError(f"{title}: no column `path` in its first line; name the columns path and, if you like, label")
    return found


def _records_of(text: CsvText, title: str) -> Iterator[Listed]:
    reader = text.records()
    names = [name.strip() for name in next(reader)]
    while not names[-1]:
        # Spreadsheets write columns that were used once and are empty now.
        names.pop()
    if twice := next((name for name in ("path", "label", "split") if names.count(name) > 1), None):
        raise UserError(f"{title}: two columns are called {twice}; keep one of them")
    path, label, split = (names.index(name) if name in names else None for name in ("path", "label", "split"))
    assert path is not None
    for cells in reader:
        if not any(cells):
            continue
        while len(cells) > len(names) and not cells[-1]:
            cells.pop()
        line = text.first_line + reader.line_num - 1
        if len(cells) != len(names):
            raise UserError(
                f"{title}: line {line} has {len(cells)} cells, the first line {len(names)};"
                " a path with a separator in it stands in quotes"
            )
        if not cells[path]:
            raise UserError(f"{title}: line {line} has no path")
        yield Listed(
            _native(cells[path]),
            # A million rows have few of these.
            None if label is None else sys.intern(cells[label].strip()),
            None if split is None else sys.intern(cells[split].strip()),
        )


def _kept(file: str, title: str, null: bool) -> tuple[mmap.mmap, str]:
    """The bytes of a list, in a temporary file that no folder shows, and their hash."""
    digest = hashlib.sha256()
    try:
        with _opened(file) as stream, tempfile.TemporaryFile() as copy:
            while portion := stream.read(_PORTION):
                _check_text(portion, title, null, first=not copy.tell())
                digest.update(portion)
                copy.write(portion)
            if not copy.tell():
                raise UserError(f"{title}: an empty list")
            copy.flush()
            return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ), digest.hexdigest()
    except FileNotFoundError as error:
        raise UserError(f"{title}: no such list; check --from-list") from error
    except OSError as error:
        raise UserError(f"{title}: can't read this list, or keep it ({os_reason(error)})") from error


def _opened(file: str) -> nullcontext[IO[bytes]] | IO[bytes]:
    if file != STDIN:
        return open_given(file)
    if sys.stdin is None:
        raise UserError("stdin is closed; give --from-list a file")
    # It is the caller's, and stays open.
    return nullcontext(sys.stdin.buffer)


def _check_text(portion: bytes, title: str, null: bool, first: bool) -> None:
    """Raise UserError where a portion of a list shows that it is none."""
    if first and portion.startswith(_UTF_16):
        return
    end = b"\0" if null else b"\n"
    if not null and b"\0" in portion:
        raise UserError(
            f"{title}: holds NUL bytes, so it is no text; -0 is for paths that NUL ends, and a spreadsheet is to be"
            " saved as CSV"
        )
    if null and first and b"\0" not in portion and b"\n" in portion.rstrip(b"\n"):
        raise UserError(f"{title}: has lines, and no NUL that ends a path; leave -0 out")
    if len(portion) == _PORTION and end not in portion:
        raise UserError(f"{title}: no list of paths: one of them would be longer than a megabyte")


def _native(path: str) -> str:
    """A path as this system's functions take it: the bytes of its name are UTF-8, whatever the locale says."""
    return path if _UTF_8_NAMES else os.fsdecode(path.encode("utf-8", "surrogateescape"))


class _Reader(io.RawIOBase):
    """Reads bytes from their beginning on, beside other readers of the same."""

    def __init__(self, data: mmap.mmap) -> None:
        self._bytes, self._at = data, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        portion = self._bytes[self._at : self._at + len(buffer)]
        buffer[: len(portion)] = portion
        self._at += len(portion)
        return len(portion)
