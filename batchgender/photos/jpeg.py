"""JPEG: its segments, and its pixels by libjpeg-turbo, which says where the data of a photo is damaged."""

import re
import struct
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto
from batchgender.photos.orientation import UPRIGHT, exif_orientation, xmp_orientation

_END = b"\xff\xd9"
_SCAN_START = b"\xff\xda"
# SOF0 to SOF15; C4, C8 and CC are tables, not frames.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
_SCAN, _RESTART_INTERVAL, _EXIF_OR_XMP = 0xDA, 0xDD, 0xE1
# Segments that may stand between two scans: tables, restart interval, comments, what applications add.
_BETWEEN_SCANS = frozenset({0xC4, 0xCC, _SCAN, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_PADDING = re.compile(rb"\xff+")
# A marker that ends a scan: 0xFF00 is a byte of data, 0xFFD0 to 0xFFD7 are restarts inside the scan.
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
# A warning of a number that decides nothing, after which libjpeg decodes as always.
_HARMLESS = "Invalid SOS parameters"
# Numbers in a header that libjpeg does not know: what it warns of, what they stand behind, how far, and the usual one.
_UNKNOWN_NUMBERS = (("unknown JFIF revision", b"JFIF\0", 5, 1), ("Unknown Adobe color transform", b"Adobe", 11, 1))
_UNUSUAL = "subsampling level"
# So many bytes of filling before the end mark are some encoder's habit.
_FILLING = 16
# A scan codes each block of 8 x 8 pixels in a bit or more, but where one arithmetic code stands for many.
_PIXELS_A_BYTE = 512
# Encoders write up to 20 scans. Each goes over the whole picture.
_SCANS = 100
_PIXELS_OF_SCANS = 4 * 10**9
_TRUNCATED = "truncated JPEG: the file ends before the picture does"


class UnusualSampling(Exception):
    """A JPEG whose colours are sampled as TurboJPEG does not know; libjpeg does."""


@dataclass(frozen=True)
class JpegHeader:
    """What stands before the first scan: the frame (0 where there is none), its size, and which way up it is.

    `samplings` has a byte a component, its samples across and down; `interval` is that of restart marks, 0 for none.
    `scan` is where the first scan begins, -1 where there is none; `cut_short` that the data ends before it.
    """

    frame: int = 0
    width: int = 0
    height: int = 0
    components: int = 0
    orientation: int = UPRIGHT
    samplings: bytes = b""
    interval: int = 0
    scan: int = -1
    cut_short: bool = False

    @property
    def pixels_a_byte(self) -> int | None:
        """How many pixels a byte can hold at most, None where that has no bound."""
        return None if self.frame in _ARITHMETIC else _PIXELS_A_BYTE

    @property
    def bytes_a_pixel(self) -> int:
        """What decoding takes beside the picture: the coefficients of a progressive one, 16 bits each."""
        return 2 * self.components if self.frame in _PROGRESSIVE else 0

    @property
    def restarts(self) -> int:
        """How many restart marks a picture of one scan holds."""
        if not self.interval:
            return 0
        # Of one component a coded unit is a block of 8 x 8, whatever its sampling.
        alone = self.components == 1
        across, down = (1 if alone else max(1, *(s >> shift & 15 for s in self.samplings)) for shift in (4, 0))
        units = -(-self.width // (8 * across)) * -(-self.height // (8 * down))
        return -(-units // self.interval) - 1


def read_header(data: bytes) -> JpegHeader:
    """Read the segments before the first scan; what is no JPEG, or is cut short, gives less."""
    frame = width = height = components = interval = 0
    samplings = b""
    exif: int | None = None
    xmp: int | None = None
    scan, at = -1, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            # Filling before a marker.
            at = _end_of_filling(data, at) - 1
            continue
        if marker == _SCAN:
            scan = at
            break
        length = int.from_bytes(data[at + 2 : at + 4])
        if marker in _FRAMES and at + 10 <= len(data):
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            frame = marker
            samplings = data[at + 11 : at + 2 + length : 3]
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(data[at + 4 : at + 6])
        elif marker == _EXIF_OR_XMP:
            body = data[at + 4 : at + 2 + length]
            if body.startswith(b"Exif\0\0"):
                exif = exif if exif is not None else exif_orientation(body[6:])
            elif body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                xmp = xmp if xmp is not None else xmp_orientation(body)
        at += 2 + length
    cut_short = scan < 0 and at + 4 > len(data)
    orientation = exif or xmp or UPRIGHT
    return JpegHeader(frame, width, height, components, orientation, samplings, interval, scan, cut_short)


def _end_of_filling(data: bytes, at: int) -> int:
    found = _PADDING.match(data, at)
    return found.end() if found else at


def decode_jpeg(data: bytes, header: JpegHeader, factor: int) -> NDArray[np.uint8]:
    """Decode to uint8 [height, width, 3] RGB, or [height, width, 4] CMYK, at a `factor`-th (1, 2, 4, 8) of its size.

    The picture is not turned. Raises UnreadablePhoto where it is cut short or damaged, as far as its codes tell:
    a scan that ends early, codes that mean nothing, data left over, scans that are missing. Raises UnusualSampling,
    of a picture with an end mark at least.
    """
    if header.scan < 0:
        raise UnreadablePhoto(_TRUNCATED if header.cut_short else "damaged JPEG: its segments lead to no picture")
    _check_scans(data, header)
    try:
        image = _pixels(data, header, factor)
    except ValueError as error:
        if _UNUSUAL in str(error) and data.find(_END, header.scan) > 0:
            raise UnusualSampling from error
        data, image = _decode_odd_file(data, header, factor, str(error))
    if reason := _missing_scans(data, header):
        raise UnreadablePhoto(f"truncated JPEG: {reason}")
    return image


def _check_scans(data: bytes, header: JpegHeader) -> None:
    """Raise UnreadablePhoto where the picture is coded in so many scans that it would take many seconds."""
    if header.frame not in _PROGRESSIVE:
        return
    scans, pixels = data.count(_SCAN_START), header.width * header.height
    if scans > _SCANS or scans * pixels > _PIXELS_OF_SCANS:
        raise UnreadablePhoto(f"asks for {scans:,} scans over {pixels / 1e6:,.0f} megapixels, more than photos have")


def _pixels(data: bytes, header: JpegHeader, factor: int, strict: bool = True) -> NDArray[np.uint8]:
    smaller = factor > 1
    return simplejpeg.decode_jpeg(
        data,
        "CMYK" if header.components == 4 else "RGB",
        # libjpeg leaves the finer frequencies out, which takes less time than to decode and to shrink.
        min_height=-(-header.height // factor) if smaller else 0,
        min_width=-(-header.width // factor) if smaller else 0,
        min_factor=factor,
        strict=strict,
    )


def _decode_odd_file(data: bytes, header: JpegHeader, factor: int, problem: str) -> tuple[bytes, NDArray[np.uint8]]:
    """Decode what libjpeg complained of where the picture is whole all the same; else raise UnreadablePhoto.

    Returns the bytes that hold the picture, too.
    """
    for words, name, distance, usual in _UNKNOWN_NUMBERS:
        if words in problem:
            at = data.find(name) + distance
            data = data[:at] + bytes((usual,)) + data[at + 1 :]
    end = _end_of_scans(data, header.scan)
    if data[end : end + 2] == _END:
        found = _EXTRANEOUS.search(problem)
        filled = found and int(found[1]) <= _FILLING and _has_restarts(data[:end], header)
        lenient = _HARMLESS in problem or filled
        try:
            return data, _pixels(data, header, factor, strict=not lenient)
        except ValueError as error:
            raise UnreadablePhoto(_damage(str(error))) from error
    # No end mark where the scans end: the file is cut short, or something else stands in the place of the mark.
    picture = data[:end] + _END
    try:
        return picture, _pixels(picture, header, factor)
    except ValueError as error:
        problem = str(error)
    found = _EXTRANEOUS.search(problem)
    if found and not _is_filling(data[: end - int(found[1])]) and _has_restarts(data[:end], header):
        # A maker's data behind the picture.
        return picture, _pixels(picture, header, factor, strict=False)
    raise UnreadablePhoto(_TRUNCATED if found or "remature end" in problem else _damage(problem))


def _is_filling(data: bytes) -> bool:
    """Whether the last bytes that a scan took are none of a scan: zeros or text, which it takes for codes."""
    return max(data[-_FILLING * 2 :], default=0) < 0x80


def _has_restarts(data: bytes, header: JpegHeader) -> bool:
    """Whether all restart marks are there: behind a missing one libjpeg goes on in gray."""
    return len(_RESTART.findall(data, header.scan)) >= header.restarts


def _damage(problem: str) -> str:
    """The row's error for what libjpeg says."""
    return f"damaged JPEG: {problem.removeprefix('Corrupt JPEG data: ').rstrip('.')}"


def _end_of_scans(data: bytes, scan: int) -> int:
    """Where the last scan ends: before the first marker that does not stand between scans, or at the data's end."""
    at = scan
    while True:
        length = int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == _SCAN:
            found = _AFTER_SCAN.search(data, at + 2 + length)
            if not found:
                return len(data)
            end = at = found.end() - 2
        else:
            at += 2 + length
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] not in _BETWEEN_SCANS:
            return end


def _missing_scans(data: bytes, header: JpegHeader) -> str:
    """What is missing of a picture that is coded in several scans, "" where nothing is.

    libjpeg takes any number of them: without the last ones colours or details are missing, and it says nothing.
    """
    progressive = header.frame in _PROGRESSIVE
    if not progressive and data[header.scan + 4] == header.components:
        return ""
    # By component and frequency: the lowest bit that was sent.
    lowest: dict[tuple[int, int], int] = {}
    at, end = header.scan, max(data.find(_END, header.scan), header.scan + 1)
    while 0 <= at < end:
        count = data[at + 4] if at + 4 < len(data) else 0
        parameters = data[at + 5 + 2 * count : at + 8 + 2 * count]
        if len(parameters) == 3:
            first, last, bits = parameters if progressive else (0, 63, 0)
            for component in data[at + 5 : at + 5 + 2 * count : 2]:
                lowest.update(dict.fromkeys(((component, k) for k in range(first, min(last, 63) + 1)), bits & 15))
        at = data.find(_SCAN_START, at + 2)
    if len({component for component, _ in lowest}) < header.components:
        return "scans of a colour are missing"
    if any(lowest.values()) or not any(frequency for _, frequency in lowest):
        return "scans of the details are missing"
    return ""
