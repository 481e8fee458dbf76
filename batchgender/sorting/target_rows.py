"""The rows that a target folder holds: of the photos in it, and of a run that is unfinished."""

import csv
import glob
import heapq
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.io import Notify, written_whole
from batchgender.results.read_results import read_results
from batchgender.results.results_file import ResultsFile
from batchgender.sorting.decisions import Decisions, name_below

_Rows = Iterable[dict[str, str]]


class TargetRows:
    """The files of rows in a target folder, whose lock the caller holds.

    `results`, results.csv, has the rows of the photos in it. While a run is unfinished there are `rows`, sorting.csv,
    the rows that it sorts by, and `asked`, sorting.json, what they were asked for. Methods raise OSError and UserError.
    """

    def __init__(self, into: Path) -> None:
        self.into = into
        self.results, self.rows, self.asked = into / "results.csv", into / "sorting.csv", into / "sorting.json"
        # Of a classification that is unfinished.
        self.unfinished = into / "sorting.csv.part"

    def sink(self, resume: bool, go_on: str, notify: Notify) -> ResultsFile:
        """What a classification writes its rows to."""
        return ResultsFile(str(self.rows), resume=resume, overwrite=not resume, go_on=go_on, notify=notify)

    def was_asked(self) -> Any:
        """What the rows of the unfinished run were asked for, None where that is not known."""
        try:
            return json.loads(self.asked.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def keep(self) -> None:
        """Have the rows of an unfinished run among the `results`: photos may lie where they say."""
        if self.rows.exists():
            self._write_results(self._without_newer())
            self.rows.unlink()

    def begin(self, rows: _Rows) -> None:
        """Have a run sort by these rows; raises UserError where there is none."""
        self.asked.unlink(missing_ok=True)
        self.keep()
        rows = iter(rows)
        if (first := next(rows, None)) is None:
            raise UserError("the results file has no rows")
        _write(self.rows, list(first), chain([first], rows))

    def finish(self) -> None:
        """Have the rows of this run among the `results`, and no other but those of photos that lie in their places."""
        self._write_results(self.in_place())
        self.rows.unlink()
        self.asked.unlink(missing_ok=True)

    def in_place(self) -> Iterator[dict[str, str]]:
        """The rows among the `results` of photos that lie in their places, but for those that the run has rows of."""
        folders = self.decisions_before()
        for row in self._without_newer():
            if (path := row["path"]) in folders and self.has(path, folders[path], shared=False):
                yield row

    def decisions(self) -> Decisions:
        """Where the photos of the run go."""
        return Decisions.of(read_results(str(self.rows)))

    def decisions_before(self) -> dict[str, str]:
        """The folder of each photo that was sorted before."""
        return Decisions.of(read_results(str(self.results))).folders if self.results.exists() else {}

    def has(self, path: str, folder: str, shared: bool) -> bool:
        """Whether a photo lies in its folder, by its name; a `shared` one has digits of a digest added."""
        place = self.into / folder / name_below(path)
        if not shared:
            return os.path.lexists(place)
        name = f"{glob.escape(place.stem)}-{'[0-9a-f]' * 8}{glob.escape(place.suffix)}"
        return next(place.parent.glob(name), None) is not None

    def _without_newer(self) -> Iterator[dict[str, str]]:
        """The `results` but for the paths of `rows`."""
        if self.results.exists():
            newer = {row["path"] for row in read_results(str(self.rows))} if self.rows.exists() else set()
            yield from (row for row in read_results(str(self.results)) if row["path"] not in newer)

    def _write_results(self, older: _Rows) -> None:
        """Write the `results`: `rows`, and older ones, in the order of their paths where they are so themselves."""
        heads = [next(read_results(str(file)), {}) for file in (self.rows, self.results) if file.exists()]
        newer = read_results(str(self.rows))
        _write(self.results, list(dict.fromkeys(chain(*heads))), heapq.merge(older, newer, key=lambda row: row["path"]))


def _write(file: Path, columns: Sequence[str], rows: _Rows) -> None:
    """Write rows as a CSV with these columns, whole or not at all."""
    with written_whole(file, ending=".tmp", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
