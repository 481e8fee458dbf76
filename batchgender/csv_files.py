"""Reading text and CSV files as spreadsheets and systems write them, and names as systems spell them."""

import csv
import gzip
import io
import os
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO, TYPE_CHECKING

from batchgender.io import open_given

if TYPE_CHECKING:
    import _csv

_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SEPARATORS = (",", ";", "\t")
# Excel's own line before the header names the separator.
_SEPARATOR_LINE = "sep="


@dataclass(frozen=True)
class CsvText:
    """An open CSV file: its header, the number of that line, the text after it, and its separator."""

    header: str
    first_line: int
    rest: IO[str]
    separator: str

    def has_column(self, column: str) -> bool:
        """Whether the header has a cell of this name."""
        return _has_cell(self.header, self.separator, column)

    @property
    def decimal(self) -> str:
        """The sign before decimals: a comma, as Excel writes in many countries, or, where commas separate, a point."""
        return "." if self.separator == "," else ","

    def records(self) -> "_csv.Reader":
        """All records from the header on, as lists of cells."""
        return csv.reader(chain([self.header], self.rest), delimiter=self.separator)


@contextmanager
def open_csv(file: str | os.PathLike[str], column: str) -> Iterator[CsvText]:
    """Open a CSV in UTF-8, with or without BOM, or UTF-16, its cells separated by commas, semicolons or tabs.

    The header is the first line that is not empty; Excel's line `sep=;` before it is passed over. The separator is the
    one by which the header has a cell `column`, else the comma. What ends in .gz is unpacked. Raises OSError, csv.Error
    where it begins as no text does, and UnicodeDecodeError where the text is in another encoding, also as the lines are
    read.
    """
    # Opened once: it may be a pipe.
    try:
        with open_bytes(file) as stream, as_text(stream) as text:
            if not stream.peek(2).startswith(tuple(_BOMS)) and b"\0" in stream.peek(1):
                raise csv.Error("holds NUL bytes")
            yield csv_text(text, column)
    except (EOFError, zlib.error) as error:
        raise gzip.BadGzipFile(f"damaged: {error}") from error


def open_bytes(file: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file as `open_given`, one whose name ends in .gz unpacked: damaged, it raises EOFError and zlib.error."""
    given = open_given(file)
    if not os.fspath(file).endswith(".gz"):
        return given
    packed = gzip.GzipFile(fileobj=given)
    # Closed with it.
    packed.myfileobj = given  # type: ignore[assignment]
    return io.BufferedReader(packed)


def as_text(stream: io.BufferedReader, newline: str = "", errors: str = "strict") -> io.TextIOWrapper:
    """A stream in UTF-8, with or without BOM, or UTF-16, as text; `newline` and `errors` are those of `open`."""
    return io.TextIOWrapper(stream, _BOMS.get(stream.peek(2)[:2], "utf-8-sig"), errors, newline)


def csv_text(text: IO[str], column: str) -> CsvText:
    """Text from its beginning on as a CSV whose header has a cell `column`, as `open_csv` says."""
    number, header = next(((at, line) for at, line in enumerate(text, 1) if not _is_passed_over(line)), (1, ""))
    separator = next((each for each in _SEPARATORS if _has_cell(header, each, column)), _SEPARATORS[0])
    return CsvText(header, number, text, separator)


def _is_passed_over(line: str) -> bool:
    """Whether a line before the header has no cell: it is empty, of separators alone, or Excel's own."""
    return not line.strip("".join(_SEPARATORS) + "\r\n ") or line.lower().startswith(_SEPARATOR_LINE)


def _has_cell(header: str, separator: str, column: str) -> bool:
    return any(cell.strip() == column for cell in next(csv.reader([header], delimiter=separator), []))


def same_name(path: str) -> str:
    """The spelling of a path that all systems share: macOS writes é as e and an accent (NFD), others as one (NFC)."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)
