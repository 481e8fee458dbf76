"""The records of a CSV that a run writes, with the bytes that they take."""

import csv
from collections.abc import Iterator
from typing import IO


def records(stream: IO[str]) -> Iterator[tuple[int, list[str]]]:
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
