"""Rows out: CSV, JSON Lines or Parquet, whole at the end, resumable in between."""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from batchgender.errors import UserError, os_reason
from batchgender.model.thresholds import decide

FORMATS = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Row:
    """What is known of one photo. `probabilities` are in class order, six decimals, empty where unreadable."""

    path: str
    prediction: str = ""
    probabilities: tuple[float, ...] = ()
    label: str = ""
    error: str = ""

    @property
    def confidence(self) -> float | None:
        """The largest probability, None where the photo could not be read."""
        return max(self.probabilities, default=None)


def make_row(
    path: str, probabilities: Iterable[float], classes: Sequence[str], label: str, thresholds: Mapping[str, float]
) -> Row:
    """Make the row of a readable photo; `thresholds` by class decide its prediction (see `thresholds.decide`)."""
    # Rounded here, so that whoever reads the file computes the same figures as the report.
    rounded = tuple(round(float(p), 6) for p in probabilities)
    return Row(path, decide(rounded, classes, thresholds), rounded, label)


def columns(classes: Sequence[str]) -> list[str]:
    """Name the columns of a results file for these classes, in order."""
    shares = [f"p_{name.lower()}" for name in classes]
    return ["path", "prediction", "confidence", *shares, "label", "error"]


def _cells(row: Row, classes: Sequence[str]) -> list[str]:
    numbers = [] if row.confidence is None else [f"{p:.6f}" for p in (row.confidence, *row.probabilities)]
    return [row.path, row.prediction, *(numbers or [""] * (1 + len(classes))), row.label, row.error]


def _row(cells: Sequence[str]) -> Row:
    path, prediction, _, *probabilities, label, error = cells
    return Row(path, prediction, tuple(float(p) for p in probabilities if p), label, error)


def write_csv(rows: Iterable[Row], classes: Sequence[str], stream: IO[str]) -> None:
    """Write rows as CSV to an open stream, header first, each as soon as it is there."""
    writer = csv.writer(stream)
    writer.writerow(columns(classes))
    for row in rows:
        writer.writerow(_cells(row, classes))
        stream.flush()


class ResultsFile:
    """A results file in the making: rows go to `OUT.part`, which takes the name OUT when all are there.

    `settings` is what decides a row beside its photo (model digest, thresholds, inputs); a run is resumed under
    the same settings only. Raises UserError where OUT can't be written, and where an unfinished run is found
    and neither `resume` nor `overwrite` says what to do with it.
    """

    def __init__(
        self,
        out: str,
        classes: Sequence[str],
        settings: dict[str, Any],
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.out = Path(out)
        self.part = self.out.with_name(self.out.name + ".part")
        self.sidecar = self.out.with_name(self.out.name + ".part.json")
        self.classes = list(classes)
        check_output(out)
        if self.part.exists() and not (resume or overwrite):
            raise UserError(f"{self.part}: an unfinished run; go on with --resume or start again with --overwrite")
        if self.out.exists() and not (resume or overwrite):
            raise UserError(f"{self.out}: exists already; replace it with --overwrite or choose another --out")
        if resume and not self.part.exists() and self.out.exists():
            raise UserError(f"{self.out}: this run is finished, nothing to resume; use --overwrite to run again")
        self.resumed = resume and self.part.exists()
        try:
            if self.resumed:
                self._check_settings(settings)
            else:
                self.part.unlink(missing_ok=True)
                self.sidecar.write_text(json.dumps(settings), encoding="utf-8")
            self._stream = open(self.part, "a+", encoding="utf-8", newline="")  # noqa: SIM115
            if not self.resumed:
                csv.writer(self._stream).writerow(columns(classes))
        except OSError as error:
            raise UserError(f"{self.part}: can't write ({os_reason(error)}); choose another --out") from error

    def done(self, paths: Iterator[str]) -> Iterator[Row]:
        """Yield the rows of the unfinished run, as long as they are those of `paths` in order; cut off the rest.

        Takes one path from `paths` for each row that it yields; the caller goes on with the paths left.
        """
        if not self.resumed:
            return
        kept = 0
        # A kill may leave half a character; what is torn is cut off below.
        with open(self.part, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            lines = _records(stream)
            header = next(lines, None)
            if header is None or header[1] != columns(self.classes):
                self._cut(0)
                csv.writer(self._stream).writerow(columns(self.classes))
                return
            kept = header[0]
            for size, cells in lines:
                if len(cells) != len(header[1]):
                    break
                row = _row(cells)
                expected = next(paths, None)
                if expected is None:
                    break
                if expected != row.path:
                    # Nothing is cut off: the rows are good again once the photos are as they were.
                    raise UserError(
                        f"{self.part}: the photos have changed since the run was stopped"
                        f" ({expected!r} where it had {row.path!r}); start again with --overwrite"
                    )
                kept += size
                yield row
        self._cut(kept)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; raises UserError where they can't be written, with all rows before them kept."""
        try:
            csv.writer(self._stream).writerows(_cells(row, self.classes) for row in rows)
            self._stream.flush()
        except OSError as error:
            raise self._cannot_write(error) from error

    def finish(self) -> None:
        """Give the file its name, in the format that its ending asks for."""
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            if self.out.suffix != ".csv":
                _convert(self.part, self.out, self.classes)
                self.part.unlink()
            else:
                os.replace(self.part, self.out)
            self.sidecar.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Close an unfinished file; what could not be written any more is left."""
        # A disk that is full or gone has been said; the rows before are on it.
        with suppress(OSError):
            self._stream.close()

    def _check_settings(self, settings: dict[str, Any]) -> None:
        try:
            before = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        changed = sorted(key for key in settings if before.get(key) != settings[key])
        if changed:
            raise UserError(
                f"{self.part}: was begun with another {', '.join(changed)};"
                " resume with the same or start again with --overwrite"
            )

    def _cut(self, size: int) -> None:
        self._stream.truncate(size)
        self._stream.seek(0, os.SEEK_END)

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"{self.part}: can't write ({os_reason(error)}); the rows so far are kept, go on with --resume"
        )


def check_output(out: str) -> None:
    """Raise UserError where a results file of this name can't be made, before any work is done."""
    path = Path(out)
    if path.suffix not in FORMATS:
        raise UserError(f"{out}: unknown format; end the name in {', '.join(FORMATS)}")
    if path.is_dir():
        raise UserError(f"{out}: is a folder; give the name of a file")
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; make it first or choose another --out")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"{folder}: can't write in this folder; choose another --out")


def read_csv(path: str) -> Iterator[Row]:
    """Yield the rows of a results CSV."""
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        next(reader, None)
        yield from map(_row, reader)


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


def _convert(part: Path, out: Path, classes: Sequence[str]) -> None:
    """Turn the CSV of a run into JSON Lines or Parquet, row group by row group, atomically."""
    names = columns(classes)
    unnamed = out.with_name(out.name + ".tmp")
    if out.suffix == ".jsonl":
        with open(unnamed, "w", encoding="utf-8") as stream:
            for row in read_csv(str(part)):
                stream.write(json.dumps(dict(zip(names, _values(row, classes), strict=True)), ensure_ascii=False))
                stream.write("\n")
    else:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv
        from pyarrow.parquet import ParquetWriter

        types = {name: pa.float64() if name == "confidence" or name.startswith("p_") else pa.string() for name in names}
        reader = arrow_csv.open_csv(
            part,
            # A quarter of its default block: at the end of a run of a million photos the memory is full as it is.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=1 << 18),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(column_types=types),
        )
        with ParquetWriter(unnamed, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    os.replace(unnamed, out)


def _values(row: Row, classes: Sequence[str]) -> list[Any]:
    numbers = row.probabilities or [None] * len(classes)
    return [row.path, row.prediction, row.confidence, *numbers, row.label, row.error]
