"""The boxes that HEIF and JPEG XL files are made of."""

import struct
from collections.abc import Iterator


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box of a file, or of a part of it, and where its content begins and ends.

    A box whose length is none is the last; what is longer than the part ends with it.
    """
    end = len(data) if end is None else end
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if length == 1:
            length, content = int.from_bytes(data[content : content + 8]), content + 8
        # A length of 0: up to the end.
        stop = start + length if length else end
        if stop < content:
            return
        yield kind, content, min(stop, end)
        start = stop
