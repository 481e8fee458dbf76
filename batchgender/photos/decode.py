"""Bytes to pixels: RGB uint8 arrays, upright, on white, within limits of pixels and of memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchgender.errors import NoRoom, UnreadablePhoto
from batchgender.io import first_line
from batchgender.photos import heif, jpeg_xl, pillow_formats, plugins, raw_formats, tiff
from batchgender.photos.colors import rgb_of_cmyk, shown
from batchgender.photos.file_type import HEAD, picture_format
from batchgender.photos.jpeg import UnusualSampling, decode_jpeg
from batchgender.photos.jpeg_segments import read_header
from batchgender.photos.limits import DECODING, check_claim
from batchgender.photos.orientation import UPRIGHT, turned_upright
from batchgender.photos.png import shown_chunks
from batchgender.photos.resize import Size, resize

# Each worker decodes its own photo; OpenCV's threads inside one photo would only fight over the cores.
cv2.setNumThreads(1)
# What it says on stderr names no photo.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# What a pixel takes while Pillow decodes, converts and gives it, and while it is put on white.
_PILLOW_BYTES = 8
_RAW_BYTES = 16
# What a pixel of a HEIC takes while libheif's picture stands beside Pillow's.
_HEIC_BYTES = 12
# What a sample of a JPEG XL takes that can be shown coarse first.
_JPEG_XL_BYTES = 9
# What a sample of a TIFF takes beside its own bytes, as a float and as bytes.
_SAMPLE_BYTES = 12
# Pictures above it are averaged down as they are converted: their pixels would take long, and much memory.
_LARGE_PIXELS = 4_000_000
# Of EXIF's orientations this and those above it exchange the sides.
_TURNED = 5
_NO_ROOM = "too large for the memory of this machine"
_NO_IMAGE = "no image of a format that can be read"


def to_size(data: bytes | NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Decode a file's bytes, or take pixels, to uint8 RGB of `size`, [height, width, 3]; raises UnreadablePhoto."""
    # Twice the size is left for the filter that follows: answers then stay the same (`tests/photos/test_decode.py`).
    image = decode(data, 2 * (size if isinstance(size, int) else max(size)))
    try:
        return resize(image, size)
    except (cv2.error, MemoryError) as error:
        raise NoRoom(_NO_ROOM) from error


def decode(data: bytes | NDArray[np.uint8], smallest: int = 0) -> NDArray[np.uint8]:
    """Decode an image file's bytes to uint8 [height, width, 3] RGB, upright; raises UnreadablePhoto.

    What is pixels already is given back.

    Where `smallest` is given, a large picture may come smaller, never with a side below it.

    The orientation is taken from where the format keeps it (EXIF, XMP, the boxes of AVIF and HEIC). 16-bit, gray,
    palette, CMYK and Lab pictures become 8-bit RGB, what is transparent is shown on white, of several frames the first
    is taken.
    Pictures that claim more pixels than the limit, or more than their bytes can hold, are refused before they are
    decoded; damage is an error as far as the format tells it.
    """
    if not isinstance(data, bytes):
        return data
    if not data:
        raise UnreadablePhoto("empty file")
    kind = picture_format(data[:HEAD])
    try:
        if kind == "JPEG":
            return _decode_jpeg(data, smallest)
        if kind == "PNM" and data.startswith(b"P7"):
            width, height = raw_formats.pam_size(data)
            check_claim(width, height, len(data), pixels_a_byte=1)
            with DECODING.taken(width * height * _RAW_BYTES):
                return shown(raw_formats.decode_pam(data))
        if kind == "BMP" and (size := raw_formats.masked_bmp_size(data)):
            check_claim(*size, len(data), pixels_a_byte=1)
            with DECODING.taken(size[0] * size[1] * _RAW_BYTES):
                return shown(raw_formats.decode_masked_bmp(data))
        if kind == "HEIC":
            return _decode_heic(data, smallest)
        if kind == "JPEG XL":
            return _decode_jpeg_xl(data, smallest)
        if kind in plugins.FORMATS:
            return _decode_by_pillow(data, kind, smallest)
    except (MemoryError, cv2.error) as error:
        raise NoRoom(_NO_ROOM) from error
    raise UnreadablePhoto(_NO_IMAGE)


def decode_copy(data: bytes | NDArray[np.uint8], smallest: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode as `decode` does, in its aspect ratio, and give the height and width of the whole picture, too."""
    if isinstance(data, bytes) and picture_format(data[:HEAD]) == "JPEG":
        image = decode(data, smallest)
        header = read_header(data)
        turned = header.orientation >= _TURNED
        return image, (header.width, header.height) if turned else (header.height, header.width)
    image = decode(data)
    return image, (image.shape[0], image.shape[1])


def _decode_jpeg(data: bytes, smallest: int) -> NDArray[np.uint8]:
    header = read_header(data)
    width, height = header.width, header.height
    check_claim(width, height, len(data), header.pixels_a_byte)
    factor = next((each for each in (8, 4, 2) if min(width, height) >= each * smallest > 0), 1)
    with DECODING.taken(width * height * header.bytes_a_pixel + width * height * header.components // factor**2):
        try:
            image = decode_jpeg(data, header, factor)
            if header.components == 4:
                # JPEG holds what the paper shows, not the ink.
                image = rgb_of_cmyk(255 - image)
        except UnusualSampling as unusual:
            with _errors_of_pillow("JPEG"):
                image = pillow_formats.decode_jpeg(data, unusual.scans_end, header.several_scans, factor)
    return turned_upright(image, header.orientation)


def _decode_by_pillow(data: bytes, kind: str, smallest: int) -> NDArray[np.uint8]:
    if kind == "PNG":
        data = shown_chunks(data)
    check_claim(*pillow_formats.claimed_size(data, kind), len(data))
    with _errors_of_pillow(kind):
        if kind == "TIFF" and not (header := tiff.read_header(data)).for_pillow:
            return _decode_tiff(data, header)
        picture = plugins.open_picture(data, kind)
        width, height = picture.size
        check_claim(width, height, len(data), pillow_formats.pixels_a_byte(picture, kind))
        factors = _factors(width, height, smallest)
        with DECODING.taken(width * height * (_PILLOW_BYTES if factors == (1, 1) else _PILLOW_BYTES // 2)):
            image = pillow_formats.pixels_of(pillow_formats.load(picture, kind, data), kind, factors)
        return turned_upright(image, pillow_formats.orientation_of(picture, kind, data))


def _factors(width: int, height: int, smallest: int) -> tuple[int, int]:
    """Over how many pixels, across and down, a picture is averaged."""
    large = smallest > 0 and width * height > _LARGE_PIXELS
    return (max(width // smallest, 1), max(height // smallest, 1)) if large else (1, 1)


def _decode_heic(data: bytes, smallest: int) -> NDArray[np.uint8]:
    coded = heif.coded_pixels(data)
    with _errors_of_pillow("HEIC"):
        picture = plugins.open_picture(data, "HEIC")
        width, height = picture.size
        check_claim(width, height, len(data))
        # Where its codec is missing, another one is given in its place.
        if not picture.info.get("primary"):
            raise UnreadablePhoto("damaged HEIC: its primary picture can't be read")
        with DECODING.taken(max(width * height, coded) * _HEIC_BYTES):
            picture.load()
            # libheif turns it as its boxes say; what its EXIF says is for other formats.
            return pillow_formats.pixels_of(picture, "HEIC", _factors(width, height, smallest))


def _decode_jpeg_xl(data: bytes, smallest: int) -> NDArray[np.uint8]:
    header = jpeg_xl.read_header(data)
    width, height = header.width, header.height
    check_claim(width, height, len(data))
    if header.animated:
        # Its plugin gives the last picture.
        raise UnreadablePhoto("an animated JPEG XL is not supported; convert it to JPEG")
    with _errors_of_pillow("JPEG XL"), DECODING.taken(width * height * (3 + header.extra_channels) * _JPEG_XL_BYTES):
        picture = plugins.open_picture(data, "JPEG XL")
        image = pillow_formats.pixels_of(picture, "JPEG XL", _factors(*picture.size, smallest))
        # The decoder turns it, but not the JPEG that a file may hold.
        jpeg = getattr(picture, "jpeg", False)
        return turned_upright(image, pillow_formats.orientation_of(picture, "JPEG", data) if jpeg else UPRIGHT)


def _decode_tiff(data: bytes, header: tiff.TiffHeader) -> NDArray[np.uint8]:
    check_claim(header.width, header.height, len(data))
    tiff.check_samples(header, len(data))
    with DECODING.taken(len(data) + header.decoded + header.width * header.height * header.samples * _SAMPLE_BYTES):
        return turned_upright(shown(tiff.decode_tiff(data, header)), header.orientation)


@contextmanager
def _errors_of_pillow(kind: str) -> Iterator[None]:
    """Turn what Pillow raises, each of its formats its own, into UnreadablePhoto."""
    try:
        yield
    except (UnreadablePhoto, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise UnreadablePhoto("claims more pixels than can be read") from error
    except Exception as error:
        if any(words in str(error).lower() for words in ("truncated", "end of file")):
            raise UnreadablePhoto(f"truncated {kind}: the file ends before the picture does") from error
        if kind == "JPEG XL":  # Its plugin has one text for all.
            raise UnreadablePhoto("truncated or damaged JPEG XL") from error
        raise UnreadablePhoto(f"damaged {kind} ({first_line(error)})") from error
