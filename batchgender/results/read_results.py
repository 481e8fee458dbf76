"""Reading a results file of any format back, row by row, whatever its columns are."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchgender.csv_files import open_bytes, open_csv
from batchgender.errors import UserError, os_reason
from batchgender.photos.places.remote.address import is_address, shown_address
from batchgender.results.database_file import read_database
from batchgender.results.formats import ENDINGS, FOLDER, ending_there
from batchgender.results.parquet_parts import parts_of
from batchgender.results.rows import cell_text, is_number

_NEEDED = ("path", "prediction", "error")


def read_results(file: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a results file, of any of `formats.ENDINGS`, as cells by column, as its CSV has them.

    A CSV may have been saved again by a spreadsheet. Raises UserError where it is no results file, or damaged.
    """
    if is_address(file):
        raise UserError(f"{shown_address(file)}: an address; fetch the results to this machine first")
    readers = {
        ".csv": _csv_rows,
        ".jsonl": _json_rows,
        ".parquet": _parquet_rows,
        ".db": _database_rows,
        FOLDER: _parts_rows,
    }
    reader = readers.get(ending_there(file).removesuffix(".gz"))
    if reader is None:
        raise UserError(f"{file}: no results file; give a {', '.join(ENDINGS)} that classify wrote")
    try:
        for row in reader(file):
            if missing := [name for name in _NEEDED if name not in row]:
                raise UserError(f"{file}: no results file, for it has no column {', '.join(missing)}")
            yield row
    except gzip.BadGzipFile as error:
        raise UserError(f"{file}: damaged, or no results file that classify wrote") from error
    except OSError as error:
        raise UserError(f"{file}: can't read the results ({os_reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: no results file in UTF-8; save it in that encoding") from error
    # Of JSON and of Arrow, too, and of gzip.
    except (csv.Error, ValueError, RecursionError, EOFError, zlib.error) as error:
        raise UserError(f"{file}: damaged, or no results file that classify wrote") from error


def _csv_rows(file: str) -> Iterator[dict[str, str]]:
    with open_csv(file, "path") as text:
        records = text.records()
        columns = [name.strip() for name in next(records, [])]
        if missing := [name for name in _NEEDED if name not in columns]:
            raise UserError(f"{file}: no results file, for it has no column {', '.join(missing)}")
        for cells in records:
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise UserError(
                    f"{file}, line {text.first_line + records.line_num - 1}: {len(cells)} cells where the header has"
                    f" {len(columns)}; the file is damaged"
                )
            row = dict(zip(columns, cells, strict=True))
            if text.decimal != ".":
                row.update({name: row[name].replace(text.decimal, ".") for name in columns if is_number(name)})
            yield row


def _json_rows(file: str) -> Iterator[dict[str, str]]:
    with open_bytes(file) as stream:
        for line in stream:
            values = json.loads(line.decode())
            if not isinstance(values, dict):
                raise ValueError("no object")
            yield _cells(values)


def _parquet_rows(file: str) -> Iterator[dict[str, str]]:
    from pyarrow.parquet import ParquetFile

    # Opened here: a name may look like an address.
    with open_bytes(file) as stream:
        for batch in ParquetFile(stream).iter_batches(4096):
            yield from map(_cells, batch.to_pylist())


def _parts_rows(folder: str) -> Iterator[dict[str, str]]:
    for file in parts_of(Path(folder)):
        yield from _parquet_rows(str(file))


def _database_rows(file: str) -> Iterator[dict[str, str]]:
    return map(_cells, read_database(file))


def _cells(values: dict[str, Any]) -> dict[str, str]:
    return {name: cell_text(name, value) for name, value in values.items()}
