"""Formats of plain samples that Pillow does not read, or not in full: BMP with bit masks, and PAM."""

import re
import struct

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto

_BITFIELDS = (3, 6)
_PAM_HEADER = re.compile(rb"P7\s(?:.*\n)*?ENDHDR\r?\n")
# Wider masks are looked at in their highest bits alone.
_MASK_BITS = 16


def masked_bmp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a BMP whose pixels are split by bit masks; None of other BMPs."""
    if len(data) < 54 or struct.unpack_from("<I", data, 14)[0] < 40:
        return None
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    return (abs(width), abs(height)) if compression in _BITFIELDS and bits in (16, 32) else None


def decode_masked_bmp(data: bytes) -> NDArray[np.uint8]:
    """Decode a BMP of 16 or 32 bits a pixel by its masks to uint8 [height, width, 3 or 4]; raises UnreadablePhoto."""
    start, header = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    # Behind the header of 40 bytes, and within the longer ones: red, green, blue, and alpha where there is one.
    count = 4 if header >= 56 or compression == _BITFIELDS[1] else 3
    line = (width * bits + 31) // 32 * 4
    if width <= 0 or not height or len(data) < 54 + 4 * count or start + line * abs(height) > len(data):
        raise UnreadablePhoto("truncated BMP: the file ends before the picture does")
    masks = struct.unpack_from(f"<{count}I", data, 54)
    if not any(masks[:3]):
        raise UnreadablePhoto("damaged BMP: its bit masks are empty")
    lines = np.frombuffer(data, np.uint8, line * abs(height), start).reshape(abs(height), line)
    pixels = lines[:, : width * bits // 8].view(f"<u{bits // 8}")
    # A negative height: the first line is the top one.
    pixels = pixels if height < 0 else pixels[::-1]
    image = np.empty((*pixels.shape, 4 if count == 4 and masks[3] else 3), np.uint8)
    for channel, mask in enumerate(masks[: image.shape[2]]):
        shift = max((mask & -mask).bit_length() - 1, mask.bit_length() - _MASK_BITS, 0)
        largest = mask >> shift
        levels = (np.arange(largest + 1) / max(largest, 1) * 255 + 0.5).astype(np.uint8)
        for row, values in zip(image[..., channel], pixels, strict=True):
            row[:] = levels[values >> shift & largest]
    return image


def pam_size(data: bytes) -> tuple[int, int]:
    """Width and height of a PAM (P7); raises UnreadablePhoto."""
    width, height, _, _, _ = _pam_header(data)
    return width, height


def decode_pam(data: bytes) -> NDArray[np.uint8]:
    """Decode a PAM (P7) to uint8 [height, width, 1 to 4], scaled by its largest value; raises UnreadablePhoto."""
    width, height, depth, largest, start = _pam_header(data)
    kind = np.dtype(">u2" if largest > 255 else "u1")
    if len(data) - start < width * height * depth * kind.itemsize:
        raise UnreadablePhoto("truncated PAM: the file ends before the picture does")
    image = np.empty((height, width, depth), np.uint8)
    levels = (np.arange(largest + 1) / largest * 255 + 0.5).astype(np.uint8)
    samples = np.frombuffer(data, kind, width * height * depth, start).reshape(height, width * depth)
    for row, values in zip(image.reshape(height, -1), samples, strict=True):
        row[:] = levels[np.minimum(values, largest)]
    return image


def _pam_header(data: bytes) -> tuple[int, int, int, int, int]:
    """Width, height, depth and largest value, and where the samples begin."""
    found = _PAM_HEADER.match(data)
    words = dict(line.split(None, 1) for line in (found[0] if found else b"").splitlines() if line.count(b" "))
    try:
        width, height, depth, largest = (int(words[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError) as error:
        raise UnreadablePhoto("damaged PAM: its header does not name width, height, depth and maxval") from error
    if not (found and width > 0 and height > 0 and 1 <= depth <= 4 and 0 < largest < 65536):
        raise UnreadablePhoto("damaged PAM: its header holds numbers that no picture has")
    return width, height, depth, largest, found.end()
