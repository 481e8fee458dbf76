"""The rows of an earlier run, by the paths of their photos: on the disk, with 17 bytes of memory a photo."""

import csv
import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from batchgender.results.records import records
from batchgender.results.rows import Row, RowLayout


class EarlierRows:
    """Rows in a CSV as runs write it, looked up by path and time. Of a photo that stands in it twice the later counts.

    `end` is where the last whole record ends; what is behind it is not looked at. Raises OSError.
    """

    def __init__(self, file: Path, layout: RowLayout) -> None:
        self._layout = layout
        keys, places = array("Q"), array("Q")
        self.end = 0
        # A kill may leave half a character.
        with open(file, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            before: tuple[str, str] | None = None
            for size, cells in records(stream):
                # The first record is the header.
                if self.end and len(cells) == len(layout.columns) and (name := self._name(cells)) != before:
                    keys.append(_key(*name))
                    places.append(self.end)
                    before = name
                self.end += size
        order = np.argsort(np.frombuffer(keys, np.uint64), kind="stable")
        self._keys = array("Q", np.frombuffer(keys, np.uint64)[order].tobytes())
        self._places = array("Q", np.frombuffer(places, np.uint64)[order].tobytes())
        self._taken = bytearray(len(keys))
        self._stream = open(file, "rb")  # noqa: SIM115

    def take(self, path: str, time: float | None) -> list[Row]:
        """The rows of a photo, which is no longer left from now on; empty where there are none, or damaged ones."""
        name = (path, "" if time is None else f"{time:.3f}")
        key = _key(*name)
        at = first = bisect_left(self._keys, key)
        while at < len(self._keys) and self._keys[at] == key:
            self._taken[at] = True
            at += 1
        return self._read(self._places[at - 1], lambda cells: self._name(cells) == name) if at > first else []

    def left(self) -> int:
        """How many photos were not taken."""
        return sum(
            not taken and (at + 1 == len(self._keys) or self._keys[at + 1] != self._keys[at])
            for at, taken in enumerate(self._taken)
        )

    def __iter__(self) -> Iterator[list[Row]]:
        """The rows of each photo, in their order."""
        for place in array("Q", np.sort(np.frombuffer(self._places, np.uint64)).tobytes()):
            yield self._read(place, None)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _read(self, place: int, is_wanted: Callable[[list[str]], bool] | None) -> list[Row]:
        self._stream.seek(place)
        rows: list[Row] = []
        lines = (line.decode("utf-8", "surrogateescape") for line in self._stream)
        name = None
        for cells in csv.reader(lines):
            if len(cells) != len(self._layout.columns) or (name and self._name(cells) != name):
                break
            name = self._name(cells)
            if is_wanted and not is_wanted(cells):
                break
            try:
                rows.append(self._layout.row(cells))
            except ValueError:
                return []
            if not self._layout.several:
                break
        return rows

    def _name(self, cells: list[str]) -> tuple[str, str]:
        return cells[0], cells[1] if self._layout.times else ""


def _key(path: str, time: str) -> int:
    text = f"{path}\0{time}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
