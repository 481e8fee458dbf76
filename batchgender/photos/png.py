"""PNG's chunks: their lengths and check sums, which decoders don't look at, and those that show nothing left out."""

import struct
import zlib

from batchgender.errors import UnreadablePhoto

_SIGNATURE_LENGTH = 8
# Chunks that make the picture.
_SHOWN = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_END, _EXIF = b"IEND", b"eXIf"
# Text that may say which way up the picture is.
_ORIENTATION = (
    b"XML:com.adobe.xmp\0",
    b"Raw profile type exif\0",
    b"Raw profile type APP1\0",
    b"Raw profile type xmp\0",
)
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# Encoders write data in chunks of 8 KB and more; each costs some steps of Python.
_CHUNKS = 100_000


def shown_chunks(data: bytes) -> bytes:
    """The PNG with those chunks alone that decide what is shown: no profile, no other text, no further frames.

    A profile or a text of a few bytes may unpack to gigabytes. Raises UnreadablePhoto where a chunk is longer than the
    file, one that is shown is damaged, or the end is missing.
    """
    kept, others = [data[:_SIGNATURE_LENGTH]], False
    at = _SIGNATURE_LENGTH
    for _ in range(_CHUNKS):
        if at + 12 > len(data):
            raise UnreadablePhoto("truncated PNG: the file ends before the picture does")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise UnreadablePhoto(f"truncated or damaged PNG: a chunk of {length:,} bytes in a file of {len(data):,}")
        if kind in _SHOWN and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise UnreadablePhoto(f"damaged PNG: the check sum of its {kind.decode()} is wrong")
        if kind in _SHOWN or kind in (_END, _EXIF) or (kind in _TEXT and data.startswith(_ORIENTATION, at + 8)):
            kept.append(data[at:end])
        else:
            others = True
        if kind == _END:
            return b"".join(kept) if others else data
        at = end
    raise UnreadablePhoto(f"damaged PNG: more than {_CHUNKS:,} chunks")
