"""Formats of plain samples that Pillow does not read, or not in full: BMP with bit masks, PAM, TIFF of numbers."""

import re
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto

_BITFIELDS = (3, 6)
_PAM_HEADER = re.compile(rb"P7\s(?:.*\n)*?ENDHDR\n")
_TWO_POWERS = (255.0, 65535.0)


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
    masks = [mask for mask in struct.unpack_from(f"<{count}I", data, 54) if mask] if len(data) >= 70 else []
    line = (width * bits + 31) // 32 * 4
    if width <= 0 or not height or len(masks) < 3 or start + line * abs(height) > len(data):
        raise UnreadablePhoto("truncated BMP: the file ends before the picture does")
    lines = np.frombuffer(data, np.uint8, line * abs(height), start).reshape(abs(height), line)
    pixels = lines[:, : width * bits // 8].copy().view(f"<u{bits // 8}")
    # A negative height: the first line is the top one.
    pixels = pixels if height < 0 else pixels[::-1]
    image = np.empty((*pixels.shape, len(masks)), np.uint8)
    for channel, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        largest = mask >> shift
        image[..., channel] = ((pixels & mask) >> shift) / largest * 255 + 0.5
    return image


def decode_pam(data: bytes) -> NDArray[np.uint8]:
    """Decode a PAM (P7) to uint8 [height, width, 1 to 4], scaled by its largest value; raises UnreadablePhoto."""
    found = _PAM_HEADER.match(data)
    words = dict(line.split(None, 1) for line in (found[0] if found else b"").splitlines() if line.count(b" "))
    try:
        width, height, depth, largest = (int(words[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError) as error:
        raise UnreadablePhoto("damaged PAM: its header does not name width, height, depth and maxval") from error
    kind = np.dtype(">u2" if largest > 255 else "u1")
    if not (found and width > 0 and height > 0 and 1 <= depth <= 4 and 0 < largest < 65536):
        raise UnreadablePhoto("damaged PAM: its header holds numbers that no picture has")
    if len(data) - found.end() < width * height * depth * kind.itemsize:
        raise UnreadablePhoto("truncated PAM: the file ends before the picture does")
    samples = np.frombuffer(data, kind, width * height * depth, found.end()).reshape(height, width, depth)
    return np.asarray(samples if largest == 255 else samples / largest * 255 + 0.5, np.uint8)


def decode_tiff_of_numbers(data: bytes) -> NDArray[np.uint8]:
    """Decode a TIFF of samples that Pillow has no mode for to uint8 [height, width, 1 or 3]; raises UnreadablePhoto."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise UnreadablePhoto("damaged TIFF, or one of a kind that can't be read; convert it to 8 or 16 bits")
    return scaled_to_bytes(image[..., ::-1] if image.ndim == 3 else image[..., None])


def scaled_to_bytes(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale samples to uint8: integers of 16 bits by their range, other numbers by what they are on average.

    A mean of up to 1 is that of samples in 0..1, of up to 255 in 0..255, else in 0..65535; what lies outside is cut.
    Raises UnreadablePhoto where a sample is no number, or none is above 0 but all below.
    """
    if samples.dtype == np.uint8:
        return np.ascontiguousarray(samples, np.uint8)
    if samples.dtype == np.uint16:
        return np.asarray(samples >> 8, np.uint8)
    values = np.asarray(samples, np.float32)
    mean = float(values.mean(dtype=np.float64))
    if not np.isfinite(mean) or mean < 0:
        raise UnreadablePhoto("its samples are numbers that no picture has (NaN, infinite or below 0)")
    largest = 1.0 if mean <= 1 else next((power for power in _TWO_POWERS if mean <= power), 2.0**32 - 1)
    return np.asarray((values / largest).clip(0, 1) * 255 + 0.5, np.uint8)
