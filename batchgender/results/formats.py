"""The formats of a results file: each is made from the CSV of a finished run, row group by row group, atomically."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from batchgender.io import written_whole
from batchgender.results.csv_style import CsvStyle
from batchgender.results.rows import Row, RowLayout

Convert = Callable[[Path, Path, RowLayout, CsvStyle], None]
# The rows of a run are in OUT.part: what is made of them has another name until it is whole.
_ENDING = ".tmp"


def read_csv(path: str | os.PathLike[str], layout: RowLayout) -> Iterator[Row]:
    """Yield the rows of a results CSV of this layout."""
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        next(reader, None)
        yield from map(layout.row, reader)


def _write_csv(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    if style.exact:
        os.replace(part, out)
        return
    with written_whole(out, ending=_ENDING, newline="") as stream, open(part, encoding="utf-8", newline="") as rows:
        reader, writer = csv.reader(rows), csv.writer(stream)
        writer.writerow(style.header(next(reader)))
        writer.writerows(map(style.cells, reader))
    part.unlink()


def _write_json_lines(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    with written_whole(out, ending=_ENDING) as stream:
        for row in read_csv(part, layout):
            stream.write(json.dumps(layout.values(row), ensure_ascii=False) + "\n")
    part.unlink()


def _write_parquet(part: Path, out: Path, layout: RowLayout, style: CsvStyle) -> None:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow.parquet import ParquetWriter

    types = {
        name: pa.float64() if layout.is_number(name) else pa.int64() if layout.is_integer(name) else pa.string()
        for name in layout.columns
    }
    reader = arrow_csv.open_csv(
        part,
        # A quarter of its default block: at the end of a run of a million photos the memory is full as it is.
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=1 << 18),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(column_types=types),
    )
    with written_whole(out, "wb", ending=_ENDING) as stream, ParquetWriter(stream, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    part.unlink()


# By the ending of the file's name; a style is of a CSV alone.
FORMATS: dict[str, Convert] = {".csv": _write_csv, ".jsonl": _write_json_lines, ".parquet": _write_parquet}
