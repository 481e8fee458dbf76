"""Check sums of a file that grows: what a bad disk or a power cut changes in it is noticed when it is read back."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from batchgender.io import not_a_link

_CHUNK = 1 << 20
# A line: up to which byte, and the CRC-32 of the bytes since the line before.
_LINE = "{} {:08x}\n"
_LONGEST_LINE = 40


class CheckSums:
    """The check sums of each piece that was written to a file, in a file beside it.

    What was written without one, as a kill between the two leaves it, has none: nothing is known of it. Methods raise
    OSError.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stream: BinaryIO | None = None
        self._end = 0

    def begin(self) -> None:
        """Start with an empty file."""
        self.file.unlink(missing_ok=True)
        self._stream = open(self.file, "xb", buffering=0)  # noqa: SIM115
        self._end = 0

    def sound_size(self, stream: BinaryIO) -> int | None:
        """Up to which byte of a file, open at its beginning, it agrees with the sums; None where it does as a whole."""
        size = os.fstat(stream.fileno()).st_size
        start = 0
        for end, expected in self._lines():
            # Cut short: what is left of a piece is not known to be wrong.
            if end > size:
                break
            if _crc(stream, end - start) != expected:
                return start
            start = end
        return None

    def go_on(self, stream: BinaryIO) -> None:
        """Have sums of all bytes of a file, open at its beginning, of which the rest was cut off."""
        size = os.fstat(stream.fileno()).st_size
        start = 0
        # Synced later, with what is written then: a power cut before that costs no more than the check.
        anew = self.file.with_name(self.file.name + ".tmp")
        anew.unlink(missing_ok=True)
        with open(anew, "xb") as kept:
            for end, crc in self._lines():
                if end > size:
                    break
                kept.write(_LINE.format(end, crc).encode())
                start = end
            if start < size:
                stream.seek(start)
                kept.write(_LINE.format(size, _crc(stream, size - start)).encode())
        os.replace(anew, self.file)
        self._stream = open(self.file, "ab", buffering=0, opener=not_a_link)  # noqa: SIM115
        self._end = size

    def add(self, piece: bytes) -> None:
        """Note a piece that was written at the end of the file."""
        assert self._stream
        self._end += len(piece)
        self._stream.write(_LINE.format(self._end, zlib.crc32(piece)).encode())

    def sync(self) -> None:
        """Have them on the disk."""
        if self._stream:
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file, which stays."""
        if self._stream:
            self._stream.close()

    def _lines(self) -> Iterator[tuple[int, int]]:
        """Yield the lines as they were written, up to the first that was not."""
        try:
            stream = open(self.file, "rb", opener=not_a_link)  # noqa: SIM115
        except FileNotFoundError:
            return
        before = 0
        with stream:
            while line := stream.readline(_LONGEST_LINE):
                try:
                    end, crc = line.split()
                    found = int(end), int(crc, 16)
                except ValueError:
                    return
                if found[0] <= before or _LINE.format(*found).encode() != line:
                    return
                yield found
                before = found[0]


def _crc(stream: BinaryIO, size: int) -> int:
    crc = 0
    while size > 0 and (chunk := stream.read(min(size, _CHUNK))):
        crc = zlib.crc32(chunk, crc)
        size -= len(chunk)
    return crc
