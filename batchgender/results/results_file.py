"""A results file in the making: rows go to `OUT.part`, whole at the end, resumable in between."""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from batchgender.errors import CannotResume, UserError, os_reason
from batchgender.io import check_writable, silent
from batchgender.lock import lock_file, locked
from batchgender.photos.photo import Photo
from batchgender.results.csv_style import EXACT, CsvStyle
from batchgender.results.formats import FORMATS
from batchgender.results.rows import Row, RowLayout

# What a run is resumed by stands in OUT and this.
SIDECAR = ".part.json"


class ResultsFile:
    """A results file in the making: rows go to `OUT.part`, which takes the name OUT when all are there.

    Raises UserError where OUT can't be written, where another run writes it, and where OUT or an unfinished run is
    found and neither `resume` nor `overwrite` says what to do with it. Nothing is written before `begin`, which looks
    again: from there on the caller holds the lock of OUT. `style` is that of a finished CSV; OUT.part is exact. `go_on`
    is what messages say to do after a run that ended early.
    """

    # Rows are on disk this often, so that a kill costs little.
    rows_a_write = 32

    def __init__(
        self,
        out: str,
        resume: bool = False,
        overwrite: bool = False,
        style: CsvStyle = EXACT,
        go_on: str = "go on with --resume",
    ) -> None:
        self.out, self._style, self.go_on = Path(out), style, go_on
        check_writable(self.out, "--out")
        self.part = self.out.with_name(self.out.name + ".part")
        self.sidecar = self.out.with_name(self.out.name + SIDECAR)
        self.resume, self.may_replace = resume, resume or overwrite
        if self.out.suffix not in FORMATS:
            raise UserError(f"{out}: unknown format; end the name in {', '.join(FORMATS)}")
        # Looked at before the states below: those of a run that is going on are none to resume or overwrite.
        if lock_file(self.out).exists():
            with locked([self.out], silent):
                pass
        self._check_state()
        self._layout = RowLayout(())
        self._stream: IO[str] | None = None

    def _check_state(self) -> None:
        """Look which files are there; raises UserError where they are neither to be resumed nor replaced."""
        if self.part.exists() and not self.may_replace:
            raise UserError(f"{self.part}: an unfinished run; go on with --resume or start again with --overwrite")
        if self.out.exists() and not self.may_replace:
            raise UserError(
                f"{self.out}: exists already; replace it with --overwrite or choose another --out"
                " (one run takes any number of folders and quoted patterns)"
            )
        if self.resume and not self.part.exists() and self.out.exists():
            raise UserError(
                f"{self.out}: this run is finished, nothing to resume; use --overwrite to run again, or"
                " `batchgender report` for its report"
            )
        self.resumed = self.resume and self.part.exists()

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Open the file for rows of this layout.

        `settings` is what decides a row beside its photo (model digest, thresholds, inputs). Raises UserError where the
        unfinished run had others, and where the file can't be written.
        """
        self._check_state()
        self._layout = layout
        try:
            if self.resumed:
                self._check_settings(settings)
            else:
                self.out.parent.mkdir(parents=True, exist_ok=True)
                self.part.unlink(missing_ok=True)
                self.sidecar.write_text(json.dumps(settings), encoding="utf-8")
            self._stream = open(self.part, "a+", encoding="utf-8", newline="")  # noqa: SIM115
            if not self.resumed:
                csv.writer(self._stream).writerow(layout.columns)
        except OSError as error:
            raise UserError(f"{self.part}: can't write ({os_reason(error)}); choose another --out") from error

    def done(self, photos: Iterator[Photo]) -> Iterator[Row]:
        """Yield the rows of the unfinished run, as long as they are those of `photos` in order; cut off the rest.

        Takes one of `photos` for the rows of each that it yields; the caller goes on with the photos left.
        """
        if not self.resumed:
            return
        assert self._stream
        # A kill may leave half a character; what is torn is cut off below.
        with open(self.part, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            lines = _records(stream)
            header = next(lines, None)
            if header is None or header[1] != self._layout.columns:
                self._cut(0)
                csv.writer(self._stream).writerow(self._layout.columns)
                return
            kept = header[0]
            for size, rows in self._whole_photos(lines):
                if (expected := next(photos, None)) is None:
                    break
                if expected.path != rows[0].path:
                    # Nothing is cut off: the rows are good again once the photos are as they were.
                    raise CannotResume(
                        f"{self.part}: the photos have changed since the run was stopped"
                        f" ({expected.path!r} where it had {rows[0].path!r}); start again with --overwrite"
                    )
                kept += size
                yield from rows
        self._cut(kept)

    def _whole_photos(self, lines: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[Row]]]:
        """Yield the rows of each photo of which all are there, with their size in bytes."""
        total, rows = 0, list[Row]()
        for size, cells in lines:
            if len(cells) != len(self._layout.columns):
                break
            row = self._layout.row(cells)
            if rows and (row.path, row.time) != (rows[0].path, rows[0].time):
                yield total, rows
                total, rows = 0, []
            total += size
            rows.append(row)
        # The last photo may have had more faces.
        if rows and not self._layout.several:
            yield total, rows

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; raises UserError where they can't be written, with all rows before them kept."""
        assert self._stream
        try:
            csv.writer(self._stream).writerows(map(self._layout.cells, rows))
            self._stream.flush()
        except OSError as error:
            raise self._cannot_write(error) from error

    def finish(self) -> None:
        """Give the file its name, in the format that its ending asks for."""
        assert self._stream
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            FORMATS[self.out.suffix](self.part, self.out, self._layout, self._style)
            self.sidecar.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Close an unfinished file; what could not be written any more is left."""
        # That the disk is full or gone was an error before; the earlier rows are on it.
        with suppress(OSError):
            if self._stream:
                self._stream.close()

    def settings_before(self) -> dict[str, Any]:
        """The settings that the unfinished run had; empty where none is resumed, or they can't be read."""
        if not self.resumed:
            return {}
        try:
            before = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        return before if isinstance(before, dict) else {}

    def _check_settings(self, settings: dict[str, Any]) -> None:
        before = self.settings_before()
        changed = sorted(key for key in settings | before if before.get(key) != settings.get(key))
        if changed:
            raise CannotResume(
                f"{self.part}: was begun with another {', '.join(changed)};"
                " resume with the same or start again with --overwrite"
            )

    def _cut(self, size: int) -> None:
        assert self._stream
        self._stream.truncate(size)
        self._stream.seek(0, os.SEEK_END)

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(f"{self.part}: can't write ({os_reason(error)}); the rows so far are kept, {self.go_on}")


def _records(stream: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield whole CSV records with their sizes in bytes; a torn one at the end is left out."""
    lines: list[str] = []

    def noted() -> Iterator[str]:
        for line in stream:
            lines.append(line)
            yield line

    for cells in csv.reader(noted()):
        if not lines[-1].endswith("\r\n"):
            return
        yield sum(len(line.encode("utf-8", "surrogateescape")) for line in lines), cells
        lines.clear()
