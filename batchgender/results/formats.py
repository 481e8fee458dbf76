"""The formats of a results file: each is made from the CSV of a finished run, row group by row group, atomically."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from batchgender.io import replace_durably, written_whole
from batchgender.results.csv_style import CsvStyle
from batchgender.results.parquet_parts import write_parquet, write_parts
from batchgender.results.rows import Row, RowLayout

Convert = Callable[[Path, Path, RowLayout, CsvStyle], None]
# The rows of a run are in OUT.part: what is made of them has another name until it is whole.
_ENDING = ".tmp"
# Of gzip.
_LEVEL = 6


def read_csv(path: str | os.PathLike[str], layout: RowLayout) -> Iterator[Row]:
    """Yield the rows of a results CSV of this layout."""
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        next(reader, None)
        yield from map(layout.row, reader)


def _write_csv(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    if style.exact:
        replace_durably(part, out)
        return
    with written_whole(out, ending=_ENDING, newline="") as stream:
        _write_cells(part, stream, style)
    part.unlink()


def _write_csv_gz(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    with _gzipped(out) as stream:
        _write_cells(part, stream, style)
    part.unlink()


def _write_cells(part: Path, stream: IO[str], style: CsvStyle) -> None:
    with open(part, encoding="utf-8", newline="") as rows:
        reader, writer = csv.reader(rows), csv.writer(stream)
        writer.writerow(style.header(next(reader)))
        writer.writerows(map(style.cells, reader))


@contextmanager
def _gzipped(out: Path) -> Iterator[IO[str]]:
    """Open a file of compressed text, written whole; the same text gives the same bytes, whatever its name and time."""
    with (
        written_whole(out, "wb", ending=_ENDING) as file,
        # Level 9 takes almost three times as long for 3 % less.
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed,
        io.TextIOWrapper(packed, "utf-8", "backslashreplace", "") as stream,
    ):
        yield stream


def _write_json_lines(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    with written_whole(out, ending=_ENDING) as stream:
        _write_objects(part, stream, layout)
    part.unlink()


def _write_json_lines_gz(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    with _gzipped(out) as stream:
        _write_objects(part, stream, layout)
    part.unlink()


def _write_objects(part: Path, stream: IO[str], layout: RowLayout) -> None:
    for row in read_csv(part, layout):
        stream.write(json.dumps(layout.values(row), ensure_ascii=False) + "\n")


def _write_parquet(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    write_parquet(part, out, layout)
    part.unlink()


def _write_parts(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    write_parts(part, out, layout)
    part.unlink()


# What the name of a folder of Parquet parts ends in.
FOLDER = "/"
# By the ending of the file's name; a style is of a CSV alone.
FORMATS: dict[str, Convert] = {
    ".csv": _write_csv,
    ".csv.gz": _write_csv_gz,
    ".jsonl": _write_json_lines,
    ".jsonl.gz": _write_json_lines_gz,
    ".parquet": _write_parquet,
    FOLDER: _write_parts,
}
# A SQLite database is written row by row: see `results_database`.
DATABASE = ".db"
ENDINGS = (*(ending for ending in FORMATS if ending != FOLDER), DATABASE)


def ending_of(name: str) -> str:
    """The ending of a results file's name that says its format; "" where none does."""
    if name.endswith(os.sep):
        return FOLDER
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def ending_there(file: str) -> str:
    """As `ending_of`, of results that are there: a folder may lack its slash."""
    return FOLDER if os.path.isdir(file) else ending_of(file)


def report_beside(out: Path) -> Path:
    """The report that is written beside a results file unless another is named."""
    return out.with_name(out.name.removesuffix(ending_of(out.name)) + ".report.json")
