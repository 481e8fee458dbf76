"""The records of a CSV that a run writes, with the bytes that they take."""

import csv
from collections.abc import Callable, Iterator
from typing import IO


def records(stream: IO[str], torn: Callable[[str], None] = lambda line: None) -> Iterator[tuple[int, list[str]]]:
    """Yield whole CSV records with their sizes in bytes, up to one that is torn, whose last line `torn` gets."""
    lines: list[str] = []

    def noted() -> Iterator[str]:
        for line in stream:
            lines.append(line)
            yield line

    for cells in csv.reader(noted()):
        if not lines[-1].endswith("\r\n"):
            torn(lines[-1])
            return
        yield sum(len(line.encode("utf-8", "surrogateescape")) for line in lines), cells
        lines.clear()
