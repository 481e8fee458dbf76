"""Every format but JPEG, by Pillow: a file opened, its claims checked, its pixels as they are shown, on white."""

import ctypes
import importlib
import io
import logging
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.photos.orientation import UPRIGHT, exif_orientation, xmp_orientation
from batchgender.photos.raw_formats import scaled_to_bytes

# By format: the class that reads it. Opened one by one, so that no other of Pillow's formats is tried.
_PLUGINS = {
    "PNG": "PngImagePlugin.PngImageFile",
    "WebP": "WebPImagePlugin.WebPImageFile",
    "GIF": "GifImagePlugin.GifImageFile",
    "BMP": "BmpImagePlugin.BmpImageFile",
    "TIFF": "TiffImagePlugin.TiffImageFile",
    "AVIF": "AvifImagePlugin.AvifImageFile",
    "JPEG 2000": "Jpeg2KImagePlugin.Jpeg2KImageFile",
    "PNM": "PpmImagePlugin.PpmImageFile",
    "JPEG": "JpegImagePlugin.JpegImageFile",
}
FORMATS = frozenset(_PLUGINS)
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262
_WHITE = (255, 255, 255, 255)
# Boxes of a JPEG 2000 file that hold EXIF, and XMP.
_JP2_EXIF = b"JpgTiffExif->JP2"
_JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CODESTREAM = b"\xff\x4f\xff\x51"
# A tile of JPEG 2000 has a header of so many bytes at least.
_TILE_HEADER = 14
# PNG's ancillary text holds EXIF where ImageMagick wrote it before PNG had a chunk for it.
_PNG_PROFILES = ("Raw profile type exif", "Raw profile type APP1")

# What it warns of on stderr names no photo; what matters of it becomes the photo's error.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _silence_libtiff() -> None:
    """Have the libtiff of Pillow's wheels print nothing; that of a system's own Pillow is not found, and prints."""
    package = Path(PIL.__file__).parent
    for file in (*package.parent.glob("pillow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")):
        # It is loaded already: this is the same one.
        library = ctypes.CDLL(str(file))
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


_silence_libtiff()


class NoMode(Exception):
    """A TIFF whose samples Pillow has no mode for."""


def open_picture(data: bytes, kind: str) -> Image.Image:
    """Read a file's header: its size and mode are known then, its pixels not yet decoded.

    Raises NoMode, and else what Pillow does.
    """
    module, name = _PLUGINS[kind].split(".")
    try:
        picture: Image.Image = getattr(importlib.import_module(f"PIL.{module}"), name)(io.BytesIO(data))
    except SyntaxError as error:
        if str(error) == "unknown pixel mode":
            raise NoMode from error
        raise
    return picture


def claimed_size(data: bytes, kind: str) -> tuple[int, int]:
    """The size that a file claims, where Pillow, or its codec, takes memory for it before it has told; else (0, 0).

    Raises UnreadablePhoto where a JPEG 2000 claims more tiles than its bytes can hold.
    """
    if kind == "WebP":
        return _webp_size(data)
    return _jpeg2000_size(data) if kind == "JPEG 2000" else (0, 0)


def _webp_size(data: bytes) -> tuple[int, int]:
    head = data[12:30].ljust(18, b"\0")
    if head.startswith(b"VP8X"):
        return int.from_bytes(head[12:15], "little") + 1, int.from_bytes(head[15:18], "little") + 1
    if head.startswith(b"VP8L"):
        bits = int.from_bytes(head[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", head, 14)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg2000_size(data: bytes) -> tuple[int, int]:
    """The largest size that a codestream in the file claims."""
    sizes = [(0, 0)]
    at = data.find(_CODESTREAM)
    while 0 <= at <= len(data) - 40:
        right, lower, left, upper, *tile = struct.unpack_from(">8I", data, at + 8)
        tiles = -(-(right - tile[2]) // max(tile[0], 1)) * -(-(lower - tile[3]) // max(tile[1], 1))
        if tiles * _TILE_HEADER > len(data) + _TILE_HEADER:
            raise UnreadablePhoto(f"claims {tiles:,} tiles, more than its {len(data):,} bytes can hold")
        sizes.append((right - left, lower - upper))
        at = data.find(_CODESTREAM, at + 4)
    return max(sizes, key=lambda size: size[0] * size[1])


def pixels_a_byte(picture: Image.Image, kind: str) -> float | None:
    """How many pixels a byte of the file can hold at most, None where that has no bound."""
    if kind == "PNG":
        # Deflate makes up to 1,032 bytes of one.
        return 1032 * 8 / _png_bits(picture)
    # A GIF's code of 12 bits stands for up to 4,000 pixels.
    return {"GIF": 3000, "PNM": 8}.get(kind)


def _png_bits(picture: Image.Image) -> int:
    return {"1": 1, "L": 1, "P": 1, "I;16": 16, "RGB": 24, "LA": 16, "RGBA": 32}.get(picture.mode, 8)


def orientation_of(picture: Image.Image, kind: str, data: bytes) -> int:
    """Which way up a loaded picture is, EXIF's numbers, wherever its format keeps it."""
    if kind == "TIFF":
        return UPRIGHT  # Pillow has turned it.
    if kind == "JPEG 2000":
        found = (exif_orientation(_box(data, _JP2_EXIF)), xmp_orientation(_box(data, _JP2_XMP)))
        return next(filter(None, found), UPRIGHT)
    profile = next((picture.info[name] for name in _PNG_PROFILES if name in picture.info), None)
    if profile and "exif" not in picture.info:
        # A name, a count, and the bytes in hex.
        block = bytes.fromhex("".join(str(profile).split("\n")[3:]))
        picture.info["exif"] = block
    return int(picture.getexif().get(_ORIENTATION, UPRIGHT))


def _box(data: bytes, identifier: bytes) -> bytes:
    at = data.find(identifier)
    return data[at + len(identifier) :] if at >= 0 else b""


def pixels_of(picture: Image.Image, kind: str, factor: int) -> NDArray[np.uint8]:
    """The pixels of a loaded picture as uint8 [height, width, 3] RGB, on white where it is transparent, not turned.

    They are averaged over squares of `factor` pixels.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = Image.fromarray(_bytes_of_numbers(picture, kind))
    if picture.mode == "1":
        picture = picture.convert("L")
    # Gray takes a quarter of the memory as long as it is gray.
    shown = picture if picture.mode == "L" and not picture.has_transparency_data else _displayed(picture)
    if factor > 1:
        shown = shown.reduce(factor)
    if shown.mode == "L":
        shown = shown.convert("RGB")
    if shown.mode == "RGBA":
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, _WHITE), shown).convert("RGB")
    return np.asarray(shown)


def shown(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Samples uint8 [height, width, 1 to 4] (gray, gray and alpha, RGB, RGB and alpha) as RGB on white."""
    return pixels_of(Image.fromarray(samples.squeeze(2) if samples.shape[2] == 1 else samples), "", 1)


def rgb_of_cmyk(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Samples uint8 [height, width, 4] of a JPEG, where inks are stored the other way round, as RGB."""
    return np.asarray(Image.fromarray(255 - samples, "CMYK").convert("RGB"))


def decode_jpeg(data: bytes, factor: int) -> NDArray[np.uint8]:
    """Decode a JPEG to uint8 [height, width, 3] RGB at a `factor`-th of its size (1, 2, 4, 8), not turned.

    Raises what Pillow does. Of damage it tells a file that is cut short, no more.
    """
    picture = open_picture(data, "JPEG")
    width, height = picture.size
    picture.draft("", (width // factor, height // factor))
    return pixels_of(picture, "JPEG", 1)


def _bytes_of_numbers(picture: Image.Image, kind: str) -> NDArray[np.uint8]:
    """Gray samples of more than 8 bits as uint8 [height, width]."""
    samples = np.asarray(picture)
    tags: Any = getattr(picture, "tag_v2", {})
    if kind == "PNM":
        # Pillow scales them to 16 bits.
        samples = samples.astype(np.uint16)
    elif picture.mode.startswith("I;16") and (bits := tags.get(_BITS, (16,))[0]) < 16:
        samples = samples << (16 - bits)
    gray = scaled_to_bytes(samples)
    # TIFF's "white is zero".
    return 255 - gray if tags.get(_PHOTOMETRIC) == 0 else gray


def _displayed(picture: Image.Image) -> Image.Image:
    """The picture in RGB, or in RGBA where a part of it is transparent."""
    if picture.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
        assert turned
        return turned
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)
