"""The segments of a JPEG: what stands before its first scan, and where its scans begin and end."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from batchgender.photos.orientation import UPRIGHT, exif_orientation, xmp_orientation

END = b"\xff\xd9"
SCAN = 0xDA
# SOF0 to SOF15; C4, C8 and CC are tables, not frames.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
_RESTART_INTERVAL, _EXIF_OR_XMP, _JFIF, _ADOBE = 0xDD, 0xE1, 0xE0, 0xEE
_TABLES = frozenset({0xC4, 0xCC, 0xDB, _RESTART_INTERVAL})
# Segments that may stand between two scans: tables, comments, what applications add.
_BETWEEN_SCANS = frozenset({SCAN, 0xDC, 0xFE, *range(0xE0, 0xF0), *_TABLES})
# Markers that stand alone, without a length.
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_END_MARKER = 0xD9
# A marker: any number of 0xFF before it are filling, and 0xFF00 is none.
_MARKER = re.compile(rb"(?<!\xff)\xff++[^\x00\xff]")
# One that ends a scan: 0xFFD0 to 0xFFD7 are restarts inside the scan.
_AFTER_SCAN = re.compile(rb"(?<!\xff)\xff++[^\x00\xff\xd0-\xd7]")
# A scan codes each block of 8 x 8 pixels in a bit or more, but where one arithmetic code stands for many.
_PIXELS_A_BYTE = 512
# Photos have up to some hundred segments, each of which costs some steps of Python.
_SEGMENTS = 10_000


@dataclass(frozen=True)
class JpegHeader:
    """What stands before the first scan: the frame (0 where there is none), its size, and which way up it is.

    `identifiers` and `samplings` have a byte a component: its number, and its samples across and down; `interval` is
    that of restart marks, 0 for none. `scan` is where the first scan begins, -1 where there is none, and `first` how
    many components it holds; `cut_short` says that the data ends before it.
    """

    frame: int = 0
    precision: int = 8
    width: int = 0
    height: int = 0
    components: int = 0
    orientation: int = UPRIGHT
    identifiers: bytes = b""
    samplings: bytes = b""
    interval: int = 0
    scan: int = -1
    first: int = 0
    cut_short: bool = False

    @property
    def progressive(self) -> bool:
        return self.frame in _PROGRESSIVE

    @property
    def several_scans(self) -> bool:
        """Whether the picture is coded in more scans than one."""
        return self.progressive or self.first < self.components

    @property
    def pixels_a_byte(self) -> int | None:
        """How many pixels a byte can hold at most, None where that has no bound."""
        return None if self.frame in _ARITHMETIC else _PIXELS_A_BYTE

    @property
    def bytes_a_pixel(self) -> int:
        """What decoding takes beside the picture: the coefficients of one in several scans, 16 bits each."""
        return 2 * self.components if self.several_scans else 0

    def restarts(self, components: bytes, interval: int) -> int:
        """How many restart marks a scan of these components holds, where they have this interval."""
        samplings = dict(zip(self.identifiers, self.samplings, strict=False))
        if not interval or not samplings.keys() >= set(components):
            return 0
        units = 1
        for side, shift in ((self.width, 4), (self.height, 0)):
            largest = max(1, *(sampling >> shift & 15 for sampling in self.samplings))
            # A scan of one component codes blocks of 8 x 8 of it, one of several the blocks that lie together.
            samples = -(-side * (samplings[components[0]] >> shift & 15) // largest) if len(components) == 1 else side
            units *= -(-samples // (8 if len(components) == 1 else 8 * largest))
        return -(-units // interval) - 1


@dataclass(frozen=True)
class Scans:
    """Where each scan's segment starts, its interval of restart marks (0 for none), and where the last scan ends."""

    starts: list[int]
    intervals: list[int]
    end: int


def read_header(data: bytes) -> JpegHeader:
    """Read the segments before the first scan; what is no JPEG, or is cut short, gives less."""
    frame = width = height = components = interval = first = 0
    precision, identifiers, samplings = 8, b"", b""
    exif: int | None = None
    xmp: int | None = None
    scan, end = -1, 2
    for marker, at, end in _segments(data):
        if marker == SCAN:
            scan, first = at, data[at + 4] if at + 4 < len(data) else 0
        elif marker in _FRAMES and at + 10 <= len(data):
            precision, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            frame = marker
            identifiers, samplings = data[at + 10 : end : 3], data[at + 11 : end : 3]
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(data[at + 4 : at + 6])
        elif marker == _EXIF_OR_XMP:
            body = data[at + 4 : end]
            if body.startswith(b"Exif\0\0"):
                exif = exif if exif is not None else exif_orientation(body)
            elif body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                xmp = xmp if xmp is not None else xmp_orientation(body)
    cut_short = scan < 0 and end + 4 > len(data)
    orientation = exif if exif is not None else xmp or UPRIGHT
    return JpegHeader(
        frame,
        precision,
        width,
        height,
        components,
        orientation,
        identifiers,
        samplings,
        interval,
        scan,
        first,
        cut_short,
    )


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, begin and end of each segment up to the first scan's, that one too.

    As libjpeg does, it goes on behind bytes that belong to no segment; it ends where there are more than any photo has.
    """
    at, marker = 2, 0
    for _ in range(_SEGMENTS):
        if marker == SCAN or at + 4 > len(data):
            return
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0xFF):
            found = _MARKER.search(data, at)
            if not found:
                return
            at = found.end() - 2
            marker = data[at + 1]
        if marker == _END_MARKER:
            return
        end = at + 2 if marker in _ALONE else at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield marker, at, end
        at = end


def sound_header(data: bytes, header: JpegHeader) -> bytes:
    """The header again, of the segments alone that make the picture, with usual numbers where they decide nothing."""
    parts = [b"\xff\xd8"]
    for marker, at, end in _segments(data):
        segment = data[at:end]
        if marker == _JFIF and segment[4:9] == b"JFIF\0":
            parts.append(b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0")
        elif marker == _ADOBE and segment[4:9] == b"Adobe" and len(segment) >= 16:
            # Of colour transforms libjpeg knows 0 to 2, and takes others for the usual one.
            usual = 2 if header.components == 4 else 1
            parts.append(segment[:15] + bytes((segment[15] if segment[15] <= 2 else usual,)) + segment[16:])
        elif marker in _TABLES or marker in _FRAMES:
            parts.append(segment)
    return b"".join(parts)


def scans_of(data: bytes, header: JpegHeader) -> Scans:
    """Find the scans, up to the first marker that does not stand between scans, or more segments than photos have."""
    at = end = header.scan
    starts, intervals, interval = [], [], header.interval
    for _ in range(_SEGMENTS):
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] not in _BETWEEN_SCANS:
            break
        behind = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == _RESTART_INTERVAL:
            interval = int.from_bytes(data[at + 4 : at + 6])
        elif data[at + 1] == SCAN:
            starts.append(at)
            intervals.append(interval)
            found = _AFTER_SCAN.search(data, behind)
            if not found:
                return Scans(starts, intervals, len(data))
            end = behind = found.end() - 2
        at = behind
    return Scans(starts, intervals, end)
