"""A results file in the making: rows go to `OUT.part`, whole at the end, resumable in between."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from batchgender.errors import CannotResume, UserError, os_reason
from batchgender.io import Notify, check_writable, not_a_link, silent, written_whole
from batchgender.results.check_sums import CheckSums
from batchgender.results.csv_style import EXACT, CsvStyle
from batchgender.results.formats import DATABASE, ENDINGS, FOLDER, FORMATS, ending_of
from batchgender.results.keeping import Keeping, Pending, differing, kept_files, settings_of
from batchgender.results.kept_rows import checked_row, damage_notice, whole_photos
from batchgender.results.parquet_parts import check_replaceable
from batchgender.results.periodic_sync import PeriodicSync
from batchgender.results.records import records
from batchgender.results.rows import Row, RowLayout
from batchgender.results.settings import begun_with_another
from batchgender.results.sinks import GO_ON, SinkFiles, check_not_locked, finished_already
from batchgender.results.update import NOTHING, Update

# What a run is resumed by stands in OUT and this.
SIDECAR = ".part.json"
# What stands in the sidecar beside the settings.
_UPDATE = "update"


class ResultsFile:
    """A results file in the making: rows go to `OUT.part`, which takes the name OUT when all are there.

    Raises UserError where OUT can't be written, where another run writes it, and where OUT or an unfinished run is
    found and neither `resume`, `overwrite` nor `update` says what to do with it. Nothing is written before `begin`,
    which looks again: from there on the caller holds the lock of OUT. `style` is that of a finished CSV; OUT.part is
    exact. `go_on` is what messages say to do after a run that ended early. `notify` gets a line where rows are damaged.

    What is written is on the disk within `periodic_sync.SECONDS`, and all of it, under its name, at the end.
    """

    # Rows are written this often, so that a kill costs little.
    rows_a_write = 32

    def __init__(
        self,
        out: str,
        resume: bool = False,
        overwrite: bool = False,
        style: CsvStyle = EXACT,
        go_on: str = GO_ON,
        notify: Notify = silent,
        update: Update = NOTHING,
    ) -> None:
        self.out, self._style, self._notify, self._update = Path(out), style, notify, update
        self._ending = ending_of(out)
        if self._ending == FOLDER and self.out.name not in ("", ".."):
            check_replaceable(self.out)
            check_writable(self.out.absolute().parent / "part", "--out")
        else:
            check_writable(self.out, "--out")
        self.part, self.sidecar, sums = (
            self.out.with_name(self.out.name + ending) for ending in (".part", SIDECAR, ".part.crc")
        )
        self.resume, self.may_replace = resume, resume or overwrite or update.any
        beside = (self.sidecar, sums, *kept_files(self.out))
        self.files = SinkFiles(self.out, self.part, beside, self.may_replace, go_on)
        if not self._ending:
            raise UserError(
                f"{out}: unknown format; end the name in {', '.join(ENDINGS)}, or in / for a folder of Parquet files"
            )
        # Looked at before the states below: those of a run that is going on are none to resume or overwrite.
        check_not_locked(self.out)
        self._check_state()
        self._layout, self._settings, self._thresholds = RowLayout(()), dict[str, Any](), dict[str, float]()
        self._stream: BinaryIO | None = None
        self._sums = CheckSums(sums)
        self._syncing: PeriodicSync | None = None
        self.keeping: Keeping | None = None

    def _check_state(self) -> None:
        """Look which files are there; raises UserError where they are neither to be resumed nor replaced."""
        if self.part.exists() and not self.may_replace:
            raise UserError(f"{self.part}: an unfinished run; go on with --resume or start again with --overwrite")
        if self.out.exists() and not self.may_replace:
            raise UserError(
                f"{self.out}: exists already; replace it with --overwrite or choose another --out"
                " (one run takes any number of folders and quoted patterns)"
            )
        if self.resume and not self._update.any and not self.part.exists() and self.out.exists():
            raise finished_already(self.out)
        if self._update.only_errors and not self.out.exists() and not self.part.exists():
            raise UserError(f"{self.out}: no results whose errors could be tried again; leave --retry-errors out")
        self.resumed = (self.resume or self._update.any) and self.part.exists()

    def begin(self, layout: RowLayout, settings: dict[str, Any]) -> None:
        """Open the file for rows of this layout.

        `settings` is what decides a row beside its photo (model digest, thresholds, inputs). Raises UserError where the
        unfinished run, or the results to update, had others, and where the file can't be written.
        """
        self._check_state()
        self._layout, self._settings, self._thresholds = layout, settings, settings.get("threshold") or {}
        before = self._read_settings() if self.resumed else None
        # A stopped update that is resumed goes on as it was begun.
        begun = Update.from_dict((before or {}).get(_UPDATE)) if self.resumed else self._update
        asked = begun.and_also(self._update)
        self.keeping = keeping = Keeping(self.out, layout, settings, asked, begun.only_errors, self._style)
        keeping.tries_own_again = self._update.retry_errors and not begun.retry_errors
        # Errors that are tried again once make no update of a run.
        goes_on_as = asked if asked.update else begun
        noted = {**settings, **({_UPDATE: asdict(goes_on_as)} if goes_on_as.any else {})}
        try:
            if self.resumed:
                if before is None:
                    raise CannotResume(
                        f"{self.sidecar}: missing or damaged, so that it is not known what the run was begun with;"
                        " start again with --overwrite"
                    )
                keeping.out_of_step = self._differs(before, settings)
                keeping.go_on()
                if keeping.out_of_step or goes_on_as != begun:
                    self._write_sidecar(noted)
                self._stream = open(self.part, "a+b", buffering=0, opener=not_a_link)  # noqa: SIM115
            else:
                self.out.parent.mkdir(parents=True, exist_ok=True)
                self.part.unlink(missing_ok=True)
                keeping.begin()
                self._write_sidecar(noted)
                self._sums.begin()
                # No link is followed: what stands there since is not this run's.
                self._stream = open(self.part, "x+b", buffering=0)  # noqa: SIM115
                self._append([layout.columns])
            self._syncing = PeriodicSync(self._sync)
        except OSError as error:
            raise UserError(f"{self.part}: can't write ({os_reason(error)}); choose another --out") from error

    def done(self, photos: Pending) -> Iterator[Row]:
        """Yield the rows of the unfinished run, as long as they are true of `photos`, one after the other.

        Takes one of `photos` for the rows of each that it yields; the caller goes on with the photos left. The rows
        behind them are set aside: `Keeping.answered` finds those that are true of a later photo.
        """
        if not self.resumed:
            return
        assert self.keeping
        try:
            with open(self.part, "rb", opener=not_a_link) as stream:
                kept = _KeptRows(stream, self._sums, self._layout, self._thresholds)
                count = 0
                end = kept.header_end
                groups = whole_photos(kept.rows(), self._layout.several)
                for place, rows in self.keeping.in_step(groups, photos):
                    end, count = place, count + len(rows)
                    yield from rows
            if kept.damage:
                self._notify(damage_notice(self.part, count, kept.damage))
            self._cut(end)
        except OSError as error:
            raise self._cannot_write(error) from error

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; raises UserError where they can't be written, with all rows before them kept."""
        assert self._syncing and self.keeping
        try:
            # First: a mark without its row does no harm.
            self.keeping.write(rows)
            self._append(map(self._layout.cells, rows))
            self._syncing.note_written()
        except OSError as error:
            raise self._cannot_write(error) from error

    def finish(self) -> None:
        """Give the file its name, in the format that its ending asks for."""
        assert self._stream and self.keeping
        try:
            os.fsync(self._stream.fileno())
            self.keeping.end()
            self._close()
            if self._ending == DATABASE:
                from batchgender.results.updated_database import write_database

                write_database(self.part, self.out, self._layout, self._settings)
            else:
                FORMATS[self._ending](self.part, self.out, self._layout, self._style)
            self.keeping.finish()
            for file in (self.sidecar, self._sums.file):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Close an unfinished file; what could not be written any more is left."""
        # That the disk is full or gone was an error before; the earlier rows are on it.
        with suppress(OSError):
            if self._stream and not self._stream.closed:
                self._sync()
        with suppress(OSError):
            self._close()

    def settings_before(self) -> dict[str, Any]:
        """The settings of the unfinished run, or of the results that are updated; empty where they are not known."""
        if not self.resumed:
            return settings_of(self.out) if self._update.any else {}
        return {name: value for name, value in (self._read_settings() or {}).items() if name != _UPDATE}

    def _differs(self, before: dict[str, Any], settings: dict[str, Any]) -> bool:
        """Whether the photos come from elsewhere, or are labelled otherwise, than when the run was stopped.

        An update takes that; else, and where rows would be others, CannotResume is raised.
        """
        deciding, others = differing({name: before[name] for name in before if name != _UPDATE}, settings)
        if deciding or (others and not self._update.update):
            raise begun_with_another(sorted([*deciding, *others]), self.part)
        return bool(others)

    def _write_sidecar(self, noted: dict[str, Any]) -> None:
        with written_whole(self.sidecar, ending=".tmp") as stream:
            json.dump(noted, stream)

    def _read_settings(self) -> dict[str, Any] | None:
        try:
            with open(self.sidecar, encoding="utf-8", opener=not_a_link) as stream:
                before = json.load(stream)
        # Nested too deep, too.
        except (OSError, ValueError, RecursionError):
            return None
        return before if isinstance(before, dict) else None

    def _append(self, lines: Iterable[Sequence[str]]) -> None:
        assert self._stream
        text = io.StringIO(newline="")
        csv.writer(text).writerows(lines)
        piece = text.getvalue().encode()
        left = memoryview(piece)
        while left:
            left = left[self._stream.write(left) :]
        self._sums.add(piece)

    def _cut(self, size: int) -> None:
        assert self._stream
        self._stream.truncate(size)
        with open(self.part, "rb", opener=not_a_link) as stream:
            self._sums.go_on(stream)
        if not size:
            self._append([self._layout.columns])

    def _sync(self) -> None:
        assert self._stream
        os.fsync(self._stream.fileno())
        self._sums.sync()
        if self.keeping:
            self.keeping.sync()

    def _close(self) -> None:
        if self._syncing:
            self._syncing.close()
        self._sums.close()
        if self.keeping:
            self.keeping.close()
        if self._stream:
            self._stream.close()

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(f"{self.part}: can't write ({os_reason(error)}); the rows so far are kept, {self.files.go_on}")


class _KeptRows:
    """The rows of an unfinished file up to where it is damaged: `damage` says why, "" where it is only cut short."""

    def __init__(self, stream: BinaryIO, sums: CheckSums, layout: RowLayout, thresholds: dict[str, float]) -> None:
        self.damage = ""
        self._layout, self._thresholds = layout, thresholds
        self._sound = sums.sound_size(stream)
        stream.seek(0)
        # A kill may leave half a character; what is torn is cut off.
        self._text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", "")
        self._records = self._whole_records()
        self.header_end, header = next(self._records, (0, []))
        if header != layout.columns:
            self.header_end = 0
            self.damage = self.damage or ("another header" if header else "")

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield rows, each with the number of bytes up to its end."""
        if not self.header_end:
            return
        for end, cells in self._records:
            try:
                row = checked_row(cells, self._layout, self._thresholds)
            except ValueError as error:
                self.damage = str(error)
                return
            yield end, row

    def _whole_records(self) -> Iterator[tuple[int, list[str]]]:
        def torn(line: str) -> None:
            # A kill leaves half a row at the end, and nothing else.
            if "\0" in line or next(self._text, ""):
                self.damage = "a row that does not end as one"

        end = 0
        try:
            for size, cells in records(self._text, torn):
                end += size
                if self._sound is not None and end > self._sound:
                    self.damage = "its check sum is another"
                    return
                yield end, cells
        except csv.Error as error:
            self.damage = f"no CSV: {error}"
