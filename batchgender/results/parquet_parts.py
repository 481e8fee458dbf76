"""Parquet: one file, or a folder of files, the parts of one run's rows, which tools for large tables read as one."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.io import replace_durably, sync_folder, written_whole
from batchgender.results.rows import RowLayout

# Rows in a part, some 20 MB; one more group of rows where it is not full before.
ROWS = 500_000
_NAME = "part-{:05d}.parquet"
_NAMES = re.compile(r"part-\d{5,}\.parquet")


def parts_of(folder: Path) -> list[Path]:
    """The parts in a folder, in their order; raises UserError where there are none, or one of them is missing."""
    found = sorted(folder.glob(_NAME.replace("{:05d}", "*")), key=lambda file: (len(file.name), file.name))
    if not found:
        raise UserError(f"{folder}: no folder of results; its files would be called {_NAME.format(0)} and so on")
    for number, file in enumerate(found):
        if file.name != _NAME.format(number):
            raise UserError(f"{folder}: damaged: {_NAME.format(number)} is missing")
    return found


def is_part(name: str) -> bool:
    """Whether this is the name of a part."""
    return _NAMES.fullmatch(name) is not None


def check_replaceable(folder: Path) -> None:
    """Raise UserError where anything but parts is in the way: a folder of something else is never replaced."""
    if not folder.is_dir():
        if os.path.lexists(folder):
            raise UserError(f"{folder}: is no folder; choose another --out")
        return
    if other := next((name for name in os.listdir(folder) if not is_part(name)), None):
        raise UserError(f"{folder}: holds other files ({other!r}), and is not replaced; choose another --out")


def write_parts(part: Path, out: Path, layout: RowLayout) -> None:
    """Make a folder of parts of the rows of a run, a CSV: it takes its name when all are whole. Raises OSError."""
    anew, old = (out.with_name(out.name + ending) for ending in (".tmp", ".old"))
    for folder in (anew, old):
        _remove(folder)
    anew.mkdir()
    with ExitStack() as stack:
        number, rows, writer = 0, ROWS, None
        for batch in (reader := _reader(part, layout)):
            if writer is None or rows >= ROWS:
                stack.close()
                writer = stack.enter_context(_opened(anew / _NAME.format(number), reader.schema))
                number, rows = number + 1, 0
            writer.write_batch(batch)
            rows += batch.num_rows
    sync_folder(anew)
    if out.exists():
        os.replace(out, old)
    replace_durably(anew, out)
    _remove(old)


def write_parquet(part: Path, out: Path, layout: RowLayout) -> None:
    """Make one file of the rows of a run, a CSV; raises OSError."""
    reader = _reader(part, layout)
    with _opened(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


@contextmanager
def _opened(file: Path, schema: Any) -> Iterator[Any]:
    from pyarrow.parquet import ParquetWriter

    with written_whole(file, "wb", ending=".tmp") as stream, ParquetWriter(stream, schema) as writer:
        yield writer


def _reader(part: Path, layout: RowLayout) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    types = {
        name: pa.float64() if layout.is_number(name) else pa.int64() if layout.is_integer(name) else pa.string()
        for name in layout.columns
    }
    return arrow_csv.open_csv(
        part,
        # A quarter of its default block: at the end of a run of a million photos the memory is full as it is.
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=1 << 18),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(column_types=types),
    )


def _remove(folder: Path) -> None:
    """Remove what a run that was killed left; a link, but not what it leads to."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        # Only what a run makes: what else is called so is left, and the folder with it.
        for name in os.listdir(folder):
            if is_part(name.removesuffix(".tmp")):
                (folder / name).unlink()
        folder.rmdir()
