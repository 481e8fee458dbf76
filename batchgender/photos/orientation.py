"""Which way up a picture is: what EXIF and XMP say, and turning it."""

import re
import struct

import cv2
import numpy as np
from numpy.typing import NDArray

# EXIF's orientations, by what makes the picture upright.
_TURNS = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    4: lambda image: cv2.flip(image, 0),
    5: lambda image: cv2.transpose(image),
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.rotate(cv2.transpose(image), cv2.ROTATE_180),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
UPRIGHT = 1
_TAG = 0x0112
_PREFIX = b"Exif\0\0"
# The prefix of TIFF's names in XMP is "tiff", where the packet does not say another one.
_XMP_PREFIX = re.compile(rb"xmlns:([\w.-]{1,64})\s*=\s*[\"']http://ns\.adobe\.com/tiff/1\.0/[\"']")
_XMP = rb":Orientation(?:\s*=\s*[\"']|\s*>)\s*([1-8])"


def turned_upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn uint8 [height, width, channels] as EXIF's `orientation` (1 to 8) asks; other numbers ask for nothing."""
    turn = _TURNS.get(orientation)
    return np.asarray(turn(image), np.uint8) if turn else image


def exif_orientation(exif: bytes) -> int | None:
    """The orientation that an EXIF block states; None where it states none, or is damaged."""
    # Some programs keep the prefix of JPEG's segments in other formats, and Pillow adds it to what it finds.
    exif = exif.removeprefix(_PREFIX).removeprefix(_PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, first)
        for at in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, at)
            if tag == _TAG:
                # A SHORT, which stands at the beginning of its four bytes; some programs write a LONG.
                return int(struct.unpack_from(order + ("I" if kind == 4 else "H"), exif, at + 8)[0])
    except struct.error:
        return None
    return None


def xmp_orientation(xmp: bytes) -> int | None:
    """The orientation that an XMP packet states as `tiff:Orientation`, None where it states none."""
    named = _XMP_PREFIX.search(xmp)
    found = re.search(rb"\b" + re.escape(named[1] if named else b"tiff") + _XMP, xmp)
    return int(found[1]) if found else None
