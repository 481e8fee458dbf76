"""Where the rows of a run go: one interface for a file that can be resumed and for a stream."""

import csv
from collections.abc import Iterator, Sequence
from typing import IO, Any, Protocol

from batchgender.errors import UserError, os_reason
from batchgender.io import one_line
from batchgender.photos.photo import Photo
from batchgender.results.csv_style import EXACT, CsvStyle
from batchgender.results.rows import Row, RowLayout


class Sink(Protocol):
    """Takes the rows of a run in order; `rows_a_write` are written at once."""

    rows_a_write: int

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Be ready for rows of this layout; `settings` decide a row beside its photo."""

    def done(self, photos: Iterator[Photo]) -> Iterator[Row]:
        """Yield the rows that are there from an earlier run, taking the photo of each from `photos`."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; raises UserError where they can't be written."""

    def finish(self) -> None:
        """All rows are there; raises UserError where they can't be kept."""

    def close(self) -> None:
        """Let go, finished or not."""


class CsvStream:
    """Rows as CSV on an open text stream, each as soon as it is there."""

    rows_a_write = 1

    def __init__(self, stream: IO[str], style: CsvStyle = EXACT) -> None:
        self._stream, self._writer, self._style = stream, csv.writer(stream), style
        self._layout = RowLayout(())

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Write the header."""
        self._layout = layout
        self._write([self._style.header(layout.columns)])

    def done(self, photos: Iterator[Photo]) -> Iterator[Row]:
        """Nothing: a stream is not resumed."""
        return iter(())

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows; raises UserError where the stream takes no more."""
        cells = [self._style.cells(self._layout.cells(row)) for row in rows]
        # A terminal would take what some names hold for commands.
        self._write([list(map(one_line, each)) for each in cells] if self._stream.isatty() else cells)

    def _write(self, lines: Sequence[Sequence[str]]) -> None:
        try:
            self._writer.writerows(lines)
            self._stream.flush()
        except BrokenPipeError:
            raise  # The reader has enough (`| head`); Click ends the program quietly.
        except OSError as error:
            raise UserError(f"can't write the rows ({os_reason(error)})") from error

    def finish(self) -> None:
        """Nothing more to do."""

    def close(self) -> None:
        """The stream stays open: it is the caller's."""
