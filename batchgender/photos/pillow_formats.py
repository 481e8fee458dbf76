"""What Pillow and its plugins decode: claims before it, and the pixels as they are shown, on white."""

import ctypes
import logging
import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile

from batchgender.errors import UnreadablePhoto
from batchgender.photos.colors import displayed, on_white
from batchgender.photos.orientation import UPRIGHT, exif_orientation, xmp_orientation
from batchgender.photos.plugins import open_picture
from batchgender.photos.samples import scaled_to_bytes

# Boxes of a JPEG 2000 file that hold EXIF, by two programs, and XMP.
_JP2_EXIF = (b"JpgTiffExif->JP2", bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e"))
_JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CODESTREAM = b"\xff\x4f\xff\x51"
_JPEG_END = b"\xff\xd9"
# Bytes that libjpeg reads ahead of what it decodes, and more than an encoder pads with.
_READ_AHEAD, _LEFT = 16, 64
# Pixels that are averaged at one time.
_BAND = 2**22
# Pixels of a PNG that OpenCV decodes, to 8 bytes each.
_LARGEST_16_BITS = 16_000_000
# Where a PNG says how many bits a sample has.
_PNG_BITS = 24
# A tile of JPEG 2000 has a header of so many bytes at least.
_TILE_HEADER = 14
# PNG's text holds EXIF, and XMP, where ImageMagick wrote them before PNG had a chunk for it.
_PNG_EXIF = ("Raw profile type exif", "Raw profile type APP1")
_PNG_XMP = "Raw profile type xmp"

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
    info = picture.info
    if kind == "TIFF":
        return UPRIGHT  # Pillow has turned it.
    if kind == "JPEG 2000":
        exif = next(filter(None, (_box(data, name) for name in _JP2_EXIF)), b"")
        xmp = _box(data, _JP2_XMP)
    else:
        profile = next((info[name] for name in _PNG_EXIF if name in info), "")
        exif = info.get("exif") or _profile_bytes(profile)
        xmp = info.get("xmp") or _profile_bytes(info.get(_PNG_XMP, ""))
    stated = exif_orientation(exif)
    return stated if stated is not None else xmp_orientation(xmp) or UPRIGHT


def _box(data: bytes, identifier: bytes) -> bytes:
    at = data.find(identifier)
    return data[at + len(identifier) :] if at >= 0 else b""


def _profile_bytes(profile: str) -> bytes:
    """The bytes of ImageMagick's text: a name, a count, and the bytes in hex."""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return b""


def load(picture: Image.Image, kind: str, data: bytes) -> Image.Image:
    """Decode the pixels of a picture just opened; raises what Pillow does."""
    box = picture.tile[0][1] if isinstance(picture, ImageFile.ImageFile) and kind == "GIF" and picture.tile else None
    picture.load()
    if box and box != (0, 0, *picture.size):
        # What the first frame does not cover is transparent; Pillow gives it the first colour.
        frame = displayed(picture.crop(box)).convert("RGBA")
        picture = Image.new("RGBA", picture.size, (255, 255, 255, 0))
        picture.paste(frame, box[:2])
    key = picture.info.get("transparency")
    if kind == "PNG" and key is not None and picture.mode != "P":
        picture = _with_transparent_color(picture, key, data)
    return picture


def _with_transparent_color(picture: Image.Image, key: Any, data: bytes) -> Image.Image:
    """The PNG, one of whose colours is transparent: Pillow compares it with samples of 8 bits, whatever theirs are."""
    bits = data[_PNG_BITS]
    if bits == 16 and picture.mode == "RGB":
        if picture.width * picture.height > _LARGEST_16_BITS:
            raise UnreadablePhoto("a large PNG of 16 bits with a transparent colour; convert it to 8 bits")
        samples = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), np.uint16)
        return Image.fromarray((samples[..., [2, 1, 0, 3]] >> 8).astype(np.uint8))
    if bits in (2, 4):
        picture.info["transparency"] = key * 255 // (2**bits - 1)
    return picture


def pixels_of(picture: Image.Image, kind: str, factors: tuple[int, int] = (1, 1)) -> NDArray[np.uint8]:
    """The pixels of a loaded picture as uint8 [height, width, 3] RGB, on white where it is transparent, not turned.

    They are averaged over `factors` pixels, across and down, in bands, so that only the picture as it is stored and
    the small one take memory.
    """
    if picture.mode == "F":
        # What range it has is seen in all of it.
        picture = Image.fromarray(scaled_to_bytes(np.asarray(picture)[..., None], 32)[..., 0])
    if factors == (1, 1):
        return on_white(_displayed(picture, kind, factors))
    width, height = picture.size
    lines = factors[1] * max(_BAND // (width * factors[1]), 1)
    boxes = ((0, top, width, min(top + lines, height)) for top in range(0, height, lines))
    return np.concatenate([on_white(_displayed(picture.crop(box), kind, factors)) for box in boxes])


def _displayed(picture: Image.Image, kind: str, factors: tuple[int, int]) -> Image.Image:
    """A picture of any mode but F in RGB, or in RGBA where a part of it is transparent."""
    if picture.mode.startswith("I"):
        # Pillow scales a PNM's integers to 16 bits.
        samples = np.asarray(picture).astype(np.uint16)
        gray = scaled_to_bytes(samples, 16)
        key = picture.info.get("transparency") if kind == "PNG" else None
        alpha = None if key is None else np.where(samples == key, np.uint8(0), np.uint8(255))
        picture = Image.fromarray(gray if alpha is None else np.dstack([gray, alpha]))
    if picture.mode == "1":
        picture = picture.convert("L")
    # Gray takes a quarter of the memory as long as it is gray.
    gray_alone = picture.mode == "L" and not picture.has_transparency_data
    shown = picture if gray_alone else displayed(picture)
    return displayed(shown.reduce(factors) if factors != (1, 1) else shown)


def decode_jpeg(data: bytes, scans_end: int, several_scans: bool, factor: int) -> NDArray[np.uint8]:
    """Decode a JPEG to uint8 [height, width, 3] RGB at a `factor`-th of its size (1, 2, 4, 8), not turned.

    Raises UnreadablePhoto where a single scan has too few codes, or too many, and what Pillow raises.
    """
    if several_scans:
        return _decode_jpeg(data[:scans_end] + _JPEG_END, factor)
    # Before an end mark libjpeg would go on in gray; without one it waits for what is missing, and Pillow says so.
    image = _decode_jpeg(data[:scans_end] + bytes(_READ_AHEAD), factor)
    if not data.startswith(_JPEG_END, scans_end):
        return image  # A maker's data may stand in the place of the end mark.
    try:
        _decode_jpeg(data[: scans_end - _LEFT], 8)
    except Exception:
        return image
    raise UnreadablePhoto("damaged JPEG: data is left over behind the picture")


def _decode_jpeg(data: bytes, factor: int) -> NDArray[np.uint8]:
    picture = open_picture(data, "JPEG")
    width, height = picture.size
    picture.draft("", (width // factor, height // factor))
    return pixels_of(picture, "JPEG")
