"""Reading a results file of any format back, row by row, whatever its columns are."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from batchgender.csv_files import open_csv
from batchgender.errors import UserError, os_reason
from batchgender.io import open_given
from batchgender.results.formats import FORMATS

_NEEDED = ("path", "prediction", "error")
# Columns with other than six decimals, as `rows.RowLayout` writes them.
_THREE_DECIMALS = ("time", "face_score")


def read_results(file: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a results file (.csv, .jsonl, .parquet) as cells by column, as its CSV has them.

    A CSV may have been saved again by a spreadsheet. Raises UserError where it is no results file, or damaged.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
    reader = next((each for ending, each in readers.items() if file.endswith(ending)), None)
    if reader is None:
        raise UserError(f"{file}: no results file; give a {', '.join(FORMATS)} that classify wrote")
    try:
        for row in reader(file):
            if missing := [name for name in _NEEDED if name not in row]:
                raise UserError(f"{file}: no results file, for it has no column {', '.join(missing)}")
            yield row
    except OSError as error:
        raise UserError(f"{file}: can't read the results ({os_reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: no results file in UTF-8; save it in that encoding") from error
    # Of JSON and of Arrow, too.
    except (csv.Error, ValueError, RecursionError) as error:
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
                row.update({name: row[name].replace(text.decimal, ".") for name in columns if _is_number(name)})
            yield row


def _json_rows(file: str) -> Iterator[dict[str, str]]:
    with open_given(file) as stream:
        for line in stream:
            values = json.loads(line.decode())
            if not isinstance(values, dict):
                raise ValueError("no object")
            yield _cells(values)


def _parquet_rows(file: str) -> Iterator[dict[str, str]]:
    from pyarrow.parquet import ParquetFile

    # Opened here: a name may look like an address.
    with open_given(file) as stream:
        for batch in ParquetFile(stream).iter_batches(4096):
            yield from map(_cells, batch.to_pylist())


def _cells(values: dict[str, Any]) -> dict[str, str]:
    return {name: _cell(name, value) for name, value in values.items()}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{3 if name in _THREE_DECIMALS else 6}f}"
    return str(value)


def _is_number(column: str) -> bool:
    return column in ("confidence", *_THREE_DECIMALS) or column.startswith("p_")
