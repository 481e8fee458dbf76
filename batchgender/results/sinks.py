"""Where the rows of a run go: one interface for files that can be resumed and for a stream."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from batchgender.errors import UserError, os_reason
from batchgender.io import one_line, silent
from batchgender.lock import lock_file, locked
from batchgender.results.csv_style import EXACT, CsvStyle
from batchgender.results.keeping import Keeping, Pending
from batchgender.results.rows import Row, RowLayout

GO_ON = "go on with --resume"


@dataclass(frozen=True)
class SinkFiles:
    """What a sink writes to: `out`, which a run locks, in the making `unfinished`, and what stands `beside` it.

    `may_replace` says whether what is there may be replaced, reports, too; `go_on` is what to do after a run that ended
    early.
    """

    out: Path
    unfinished: Path
    beside: tuple[Path, ...]
    may_replace: bool
    go_on: str

    @property
    def all(self) -> tuple[Path, ...]:
        """The names that nothing else may be written to."""
        return self.out, self.unfinished, *self.beside


def check_not_locked(out: Path) -> None:
    """Raise UserError where another run writes this file."""
    if lock_file(out).exists():
        with locked([out], silent):
            pass


def finished_already(out: Path | str) -> UserError:
    """Why results that are whole can't be resumed."""
    return UserError(
        f"{out}: this run is finished, nothing to resume; --update does what is new or changed since, --overwrite runs"
        " again, `batchgender report` makes its report"
    )


class Sink(Protocol):
    """Takes the rows of a run in order; `rows_a_write` are written at once."""

    rows_a_write: int

    @property
    def files(self) -> SinkFiles | None:
        """What it writes to; None where that is a stream."""

    @property
    def keeping(self) -> Keeping | None:
        """What it keeps of earlier rows, once it was begun; None where that is a stream."""

    def settings_before(self) -> dict[str, Any]:
        """The settings that the run to be resumed, or the results to be updated, had; empty where there are none."""

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Be ready for rows of this layout; `settings` decide a row beside its photo."""

    def done(self, photos: Pending) -> Iterator[Row]:
        """Yield the rows that this run wrote before it was stopped, taking the photo of each from `photos`."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; raises UserError where they can't be written."""

    def finish(self) -> None:
        """All rows are there; raises UserError where they can't be kept."""

    def close(self) -> None:
        """Let go, finished or not."""


class CsvStream:
    """Rows as CSV on an open text stream, each as soon as it is there."""

    rows_a_write = 1
    files = None
    keeping = None

    def __init__(self, stream: IO[str], style: CsvStyle = EXACT) -> None:
        self._stream, self._writer, self._style = stream, csv.writer(stream), style
        self._layout = RowLayout(())

    def settings_before(self) -> dict[str, Any]:
        """Nothing: a stream is not resumed."""
        return {}

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Write the header."""
        self._layout = layout
        self._write([self._style.header(layout.columns)])

    def done(self, photos: Pending) -> Iterator[Row]:
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
