"""Bytes to pixels: RGB uint8 arrays, upright, within limits."""

import os
import stat
import struct

# OpenCV reads its limit once, when it is loaded, so it must stand before the import.
PIXEL_LIMIT = 200_000_000
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(PIXEL_LIMIT))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from batchgender.errors import NoRoom, UnreadablePhoto, os_reason  # noqa: E402
from batchgender.photos.resize import Size, resize  # noqa: E402

# What that many pixels take uncompressed, with transparency.
_BYTE_LIMIT = 4 * PIXEL_LIMIT

_NO_ROOM = "too large for the memory of this machine"

# Each worker decodes its own photo; OpenCV's threads inside one photo would only fight over the cores.
cv2.setNumThreads(1)

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
# SOF0 to SOF15 carry the size; C4, C8 and CC are tables, not frames.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = frozenset({0xDA})
# libjpeg leaves the finer frequencies out, which takes less time than to decode and to shrink; by the factor.
_REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def to_size(data: bytes, size: Size) -> NDArray[np.uint8]:
    """Decode an image file's bytes to uint8 RGB of `size`, [height, width, 3], upright; raises UnreadablePhoto."""
    # Twice the size is left for the filter that follows: answers then stay the same (`tests/test_decode.py`).
    image = decode(data, 2 * (size if isinstance(size, int) else max(size)))
    try:
        return resize(image, size)
    except (cv2.error, MemoryError) as error:
        raise NoRoom(_NO_ROOM) from error


def read_bytes(file: str) -> bytes:
    """Read a file whole; raises UnreadablePhoto."""
    try:
        # A pipe would be waited for, and a device may never end.
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadablePhoto("a directory, pipe or device, not a file")
        if status.st_size > _BYTE_LIMIT:
            raise UnreadablePhoto(f"larger than the limit of {_BYTE_LIMIT // 1_000_000} MB")
        # A pipe may have taken its place since then: do not wait for it.
        with open(file, "rb", opener=_at_once) as stream:
            return stream.read()
    except OSError as error:
        raise UnreadablePhoto(f"can't read the file: {os_reason(error)}") from error


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes, smallest: int = 0) -> NDArray[np.uint8]:
    """Decode an image file's bytes to uint8 [height, width, 3] RGB, upright (EXIF); raises UnreadablePhoto.

    Where `smallest` is given, a JPEG may come at a half, a quarter or an eighth, never with a side below it.

    16-bit, gray, palette and CMYK pictures become 8-bit RGB, transparency is dropped, of several frames the
    first is taken. Pictures that claim more than PIXEL_LIMIT pixels are refused before they are decoded.
    """
    if not data:
        raise UnreadablePhoto("empty file")
    width, height = _claimed_size(data)
    if width * height > PIXEL_LIMIT:
        raise UnreadablePhoto(
            f"claims {width} x {height} pixels, more than the limit of {PIXEL_LIMIT // 1_000_000} megapixels"
        )
    if kind := _truncated(data):
        raise UnreadablePhoto(f"truncated {kind}: the file ends before the picture does")
    try:
        flags = cv2.IMREAD_COLOR_RGB
        if data[:2] == _JPEG_START:
            flags |= _reduction(min(width, height), smallest)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise NoRoom(_NO_ROOM) from error
        if "MAX_IMAGE" in str(error):
            limit = PIXEL_LIMIT // 1_000_000
            raise UnreadablePhoto(f"claims more pixels than the limit of {limit} megapixels") from error
        raise UnreadablePhoto("damaged or no image that OpenCV can decode") from error
    except MemoryError as error:
        raise NoRoom(_NO_ROOM) from error
    if image is None:
        if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
            raise UnreadablePhoto("HEIC is not supported; convert it to JPEG")
        raise UnreadablePhoto("damaged or no image that OpenCV can decode")
    return np.asarray(image, np.uint8)


def _reduction(side: int, smallest: int) -> int:
    """OpenCV's flag for the smallest picture whose shorter side is not below `smallest`; `side` 0 is unknown."""
    return next((flag for factor, flag in _REDUCED.items() if side >= factor * smallest > 0), 0)


def _truncated(data: bytes) -> str:
    """The format's name where a JPEG or PNG lacks its end mark: OpenCV fills up the one, prints about the other."""
    if data[:2] == _JPEG_START:
        scan = _jpeg_marker(data, _SCAN)
        if scan < 0 or data.find(b"\xff\xd9", scan) < 0:
            return "JPEG"
    if data[:8] == _PNG_START and data.rfind(b"IEND") < 0:
        return "PNG"
    return ""


def _claimed_size(data: bytes) -> tuple[int, int]:
    """Width and height that a PNG or JPEG claims; (0, 0) where others claim theirs, which OpenCV checks."""
    if data[:8] == _PNG_START and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:2] == _JPEG_START and (frame := _jpeg_marker(data, _FRAMES)) >= 0:
        height, width = struct.unpack(">HH", data[frame + 5 : frame + 9])
        return width, height
    return 0, 0


def _jpeg_marker(data: bytes, wanted: frozenset[int]) -> int:
    """Where the first of these markers stands, the segments before it skipped (a thumbnail is in one); else -1."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in wanted:
            return at
        if marker == 0xDA:
            return -1
        # 0xFF before a marker is padding.
        at += 1 if marker == 0xFF else 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return -1
