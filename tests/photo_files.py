"""Photo files that no library writes, made byte by byte, and what they show."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 - registers itself
from drawn_faces import draw_portrait
from numpy.typing import NDArray
from PIL import Image

pillow_heif.register_heif_opener()
Pixels = NDArray[np.uint8]

# Neither square nor of a whole number of 8 x 8 blocks.
PORTRAIT: Pixels = np.asarray(cv2.GaussianBlur(draw_portrait("female", np.random.default_rng(0)), (0, 0), 2)[:180])
GRAY: Pixels = np.asarray(Image.fromarray(PORTRAIT).convert("L"))
# Transparent at the edges, half in between, and with colours there that are not to be seen.
ALPHA: Pixels = np.clip(
    220 - 2 * np.hypot(*(np.mgrid[: PORTRAIT.shape[0], : PORTRAIT.shape[1]] - np.array([[[90]], [[110]]]))), 0, 255
).astype(np.uint8)
CUT_OUT: Pixels = np.dstack([np.where(ALPHA[..., None] == 0, (30, 200, 10), PORTRAIT), ALPHA]).astype(np.uint8)


def on_white(colors: Pixels, alpha: Pixels) -> Pixels:
    """RGB, or gray, on white."""
    colors = np.dstack([colors] * 3) if colors.ndim == 2 else colors
    share = alpha[..., None] / 255
    return np.round(colors * share + 255 * (1 - share)).astype(np.uint8)


def encoded(format: str, image: Image.Image | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    if format == "HEIF":
        options.setdefault("enc_params", {"preset": "ultrafast"})
    (image or Image.fromarray(PORTRAIT)).save(stream, format, **options)
    return stream.getvalue()


def difference(image: NDArray[Any], expected: NDArray[Any]) -> float:
    """The mean difference of two pictures of one shape."""
    assert image.dtype == np.uint8 and image.shape == expected.shape
    return float(np.abs(image.astype(int) - expected).mean())


def packed(samples: NDArray[Any], bits: int, order: Literal["<", ">"] = ">") -> bytes:
    """Lines of samples of any number of bits; of several bytes in byte order `order`."""
    if bits in (8, 16, 32, 64):
        return samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    lines = samples.reshape(len(samples), -1, 1).astype(np.uint32)
    digits = (lines >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(samples), -1).astype(np.uint8), axis=1).tobytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: NDArray[Any], color_type: int, bits: int, before: bytes = b"", behind: bytes = b"") -> bytes:
    """A PNG of samples [height, width, channels], with more chunks before and behind those of the picture."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    lines = b"".join(b"\0" + packed(line[None], bits) for line in samples)
    chunks = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(lines)) + behind + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(
    samples: NDArray[Any],
    bits: int,
    tags: Mapping[int, Sequence[int]] = {},
    order: Literal["<", ">"] = "<",
    planar: bool = False,
    deflate: bool = False,
) -> bytes:
    """A TIFF of samples [height, width, channels], a strip a plane, with more tags or other values for them."""
    height, width, channels = samples.shape
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    planes = [samples[..., index : index + 1] for index in range(channels)] if planar else [samples]
    strips = [packed(plane, bits, order) for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    values: dict[int, Sequence[int]] = {
        256: [width],
        257: [height],
        258: [bits] * channels,
        259: [8 if deflate else 1],
        262: [2 if channels > 2 else 1],
        273: [0] * len(strips),
        277: [channels],
        278: [height],
        279: [len(strip) for strip in strips],
        284: [2 if planar else 1],
        339: [kind] * channels,
        **tags,
    }
    if 324 in tags:
        # Tiles have no strips beside them.
        values = {tag: items for tag, items in values.items() if tag not in (273, 278, 279)}
    behind = 10 + 12 * len(values) + 4
    first = behind + 4 * sum(len(items) for items in values.values() if len(items) > 1)
    if 273 in values:
        values[273] = [first + sum(map(len, strips[:index])) for index in range(len(strips))]
    entries, data = b"", b""
    for tag, items in sorted(values.items()):
        # All are LONG; one of them stands in its entry.
        numbers = struct.pack(f"{order}{len(items)}I", *items)
        place = numbers if len(items) == 1 else struct.pack(f"{order}I", behind + len(data))
        entries += struct.pack(f"{order}HHI", tag, 4, len(items)) + place
        data += numbers if len(items) > 1 else b""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, len(values))
    return head + entries + bytes(4) + data + b"".join(strips)


def exif(orientation: int, order: str = "<") -> bytes:
    """An EXIF block, from its TIFF header on, that states an orientation."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, 1)
    return head + struct.pack(f"{order}HHIHHI", 0x112, 3, 1, orientation, 0, 0)


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments at its beginning."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]
