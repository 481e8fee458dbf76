"""JPEG: its segments, and its pixels by libjpeg-turbo, which says where the data of a photo is damaged."""

import re

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto
from batchgender.photos.jpeg_segments import END, JpegHeader, Scans, scans_of, sound_header

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_UNUSUAL = "subsampling level"
_PADDING = 16
# Bytes that are looked at before and behind the end of the last scan, where libjpeg has read up to 8 ahead.
_SAMPLE, _AHEAD = 32, 8
_TEXT = re.compile(rb"[\t\n\r -~]*")
# Encoders write up to 20 scans. Each goes over the whole picture.
_SCANS = 100
_PIXELS_OF_SCANS = 4 * 10**9
_TRUNCATED = "truncated JPEG: the file ends before the picture does"


class UnusualSampling(Exception):
    """A JPEG whose colours are sampled as TurboJPEG does not know, but libjpeg; `scans_end` is where its scans end."""

    def __init__(self, scans_end: int) -> None:
        super().__init__(scans_end)
        self.scans_end = scans_end


def decode_jpeg(data: bytes, header: JpegHeader, factor: int) -> NDArray[np.uint8]:
    """Decode to uint8 [height, width, 3] RGB, or [height, width, 4] CMYK, at a `factor`-th (1, 2, 4, 8) of its size.

    The picture is not turned. Raises UnreadablePhoto where it is cut short or damaged, as far as its codes tell:
    a scan that ends early, codes that mean nothing, data left over, scans that are missing. Raises UnusualSampling.
    """
    if header.scan < 0:
        raise UnreadablePhoto(_TRUNCATED if header.cut_short else "damaged JPEG: its segments lead to no picture")
    if not header.height or not header.width:
        raise UnreadablePhoto("damaged JPEG: its header gives it no size")
    if header.precision != 8:
        raise UnreadablePhoto(f"a JPEG of {header.precision} bits a sample can't be read; convert it to 8 bits")
    scans = scans_of(data, header) if header.several_scans else None
    if scans:
        _check_scans(data, header, scans)
    try:
        return _pixels(data, header, factor)
    except ValueError as error:
        scans = scans or scans_of(data, header)
        if _UNUSUAL in str(error):
            raise UnusualSampling(scans.end) from error
        return _decode_odd_file(data, header, scans, factor)


def _check_scans(data: bytes, header: JpegHeader, scans: Scans) -> None:
    """Raise UnreadablePhoto where scans are missing, or are so many that they would take many seconds."""
    number, pixels = len(scans.starts), header.width * header.height
    if number > _SCANS or number * pixels > _PIXELS_OF_SCANS:
        raise UnreadablePhoto(f"asks for {number:,} scans over {pixels / 1e6:,.0f} megapixels, more than photos have")
    if reason := _missing_scans(data, header, scans):
        raise UnreadablePhoto(f"truncated JPEG: {reason}")


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


def _decode_odd_file(data: bytes, header: JpegHeader, scans: Scans, factor: int) -> NDArray[np.uint8]:
    """Decode what libjpeg complained of where the picture is whole all the same; else raise UnreadablePhoto."""
    ended = data[scans.end : scans.end + 2] == END
    # What stands between the segments, or is unknown in them, does not matter; nor does what stands behind the scans.
    picture = sound_header(data, header) + _sound_scans(data, header, scans) + END
    try:
        return _pixels(picture, header, factor)
    except ValueError as error:
        problem = str(error)
    found = _EXTRANEOUS.search(problem)
    # Behind a missing restart mark libjpeg goes on in gray.
    if found and _has_restarts(data, header, scans):
        last = scans.end - int(found[1])
        left, taken = data[last : scans.end], data[max(last - _AHEAD - _SAMPLE, header.scan) : last - _AHEAD]
        # With no end mark where the scans end the file is cut short, or a maker's data stands in its place.
        if _is_padding(left) if ended else not _is_filling(taken, left):
            return _pixels(picture, header, factor, strict=False)
    if not ended and (found or "remature end" in problem):
        raise UnreadablePhoto(_TRUNCATED)
    raise UnreadablePhoto(f"damaged JPEG: {problem.removeprefix('Corrupt JPEG data: ').rstrip('.')}")


def _has_restarts(data: bytes, header: JpegHeader, scans: Scans) -> bool:
    """Whether all restart marks of all scans are there."""
    for start, end, interval in zip(scans.starts, (*scans.starts[1:], scans.end), scans.intervals, strict=True):
        components = data[start + 5 : start + 5 + 2 * data[start + 4] : 2]
        if len(_RESTART.findall(data, start, end)) < header.restarts(components, interval):
            return False
    return True


def _is_padding(left: bytes) -> bool:
    """Whether the bytes between the last code and the end mark are what some encoders pad with."""
    return len(left) <= _PADDING and len(set(left)) == 1


def _is_filling(taken: bytes, left: bytes) -> bool:
    """Whether the last bytes that a scan took are none of a scan: zeros, and more behind them, or text."""
    if not any(taken[-_AHEAD:]):
        return not any(left[:_SAMPLE])
    return bool(_TEXT.fullmatch(taken))


def _sound_scans(data: bytes, header: JpegHeader, scans: Scans) -> bytes:
    """The scans, of a sequential picture with the parameters that decide nothing there as they should be."""
    if header.progressive:
        return data[header.scan : scans.end]
    copy = bytearray(data[header.scan : scans.end])
    for start in scans.starts:
        at = start - header.scan + 5 + 2 * data[start + 4]
        copy[at : at + 3] = bytes((0, 63, 0))
    return bytes(copy)


def _missing_scans(data: bytes, header: JpegHeader, scans: Scans) -> str:
    """What is missing of a picture that is coded in several scans, "" where nothing is.

    libjpeg takes any number of them: without the last ones colours or details are missing, and it says nothing.
    """
    # By component and frequency: the lowest bit that was sent.
    lowest: dict[tuple[int, int], int] = {}
    for at in scans.starts:
        count = data[at + 4] if at + 4 < len(data) else 0
        parameters = data[at + 5 + 2 * count : at + 8 + 2 * count]
        if len(parameters) == 3:
            first, last, bits = parameters if header.progressive else (0, 63, 0)
            for component in data[at + 5 : at + 5 + 2 * count : 2]:
                lowest.update(dict.fromkeys(((component, k) for k in range(first, min(last, 63) + 1)), bits & 15))
    if len({component for component, _ in lowest}) < header.components:
        return "scans of a colour are missing"
    if any(lowest.values()) or not any(frequency for _, frequency in lowest):
        return "scans of the details are missing"
    return ""
