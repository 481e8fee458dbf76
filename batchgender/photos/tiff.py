"""TIFF by its tags: what it claims, and the samples that Pillow has no mode for, or reads wrongly."""

import io
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.photos.colors import rgb_of_cmyk, rgb_of_lab
from batchgender.photos.orientation import UPRIGHT, xmp_orientation
from batchgender.photos.samples import scaled_to_bytes

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK, _LAB, _ICC_LAB = 0, 1, 2, 5, 8, 9
# Samples of a pixel that make its colour; all others are alpha, or nothing that is shown.
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4, _LAB: 3, _ICC_LAB: 3}
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Compressions of bytes, whatever the bytes mean, and how many one byte stands for at most (Zstandard, LZMA: no bound).
_BYTE_CODECS = {1: 1, 5: 2800, 8: 1032, 32773: 64, 32946: 1032, 34925: 10_000, 50000: 10_000}
_FORMATS = {1: "u", 2: "i", 3: "f"}
# More of them a pixel has no photo.
_SAMPLES = 16
# Samples of so many bytes cost nothing, whatever the file's size.
_CHEAP = 2**26
_UNKNOWN = "a TIFF of a kind that can't be read; convert it to 8 or 16 bits"


@dataclass(frozen=True)
class TiffHeader:
    """The first directory of a TIFF: the tags that say what its samples are, and where they stand.

    `chunk` is the width and height of a tile, or of a strip. `extra` is the meaning of each sample beyond the colour.
    """

    order: str
    width: int
    height: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    samples: int
    photometric: int
    compression: int
    predictor: int
    fill_order: int
    planes: int
    chunk: tuple[int, int]
    tiled: bool
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    extra: tuple[int, ...]
    orientation: int

    @property
    def for_pillow(self) -> bool:
        """Whether Pillow reads such samples rightly, or nobody does."""
        if self.compression not in _BYTE_CODECS or self.photometric not in _COLORS:
            return True
        usual_bits = set(self.bits) == {8} or (self.samples == 1 and self.bits[0] < 8)
        usual = usual_bits and self.planes == 1 and set(self.formats) == {1} and self.photometric != _ICC_LAB
        return usual and self.samples in (1, 3, 4)

    @property
    def row(self) -> int:
        """Bytes of a line of a strip or tile."""
        return -(-self.chunk[0] * (self.samples // self.planes) * self.bits[0] // 8)

    @property
    def rows(self) -> int:
        """Lines of all strips, or of all tiles one below the other, of one plane."""
        if not self.tiled:
            return self.height
        width, height = self.chunk
        return height * -(-self.width // width) * -(-self.height // height)

    @property
    def decoded(self) -> int:
        """Bytes of all samples."""
        return self.row * self.rows * self.planes


def read_header(data: bytes) -> TiffHeader:
    """Read the first directory; raises what Pillow does, and UnreadablePhoto where it names no picture."""
    big = 43 in data[2:4]
    if big and data[:2] == b"MM":
        raise UnreadablePhoto(_UNKNOWN)  # Pillow reads no BigTIFF of this byte order.
    from PIL import TiffImagePlugin

    directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if big else 8])
    stream = io.BytesIO(data)
    stream.seek(directory.next)
    directory.load(stream)

    def numbers(tag: int, *default: int) -> tuple[int, ...]:
        value = directory.get(tag, default)
        return value if isinstance(value, tuple) else (value,)

    width, height, samples = numbers(256, 0)[0], numbers(257, 0)[0], numbers(277, 1)[0]
    tiled = 322 in directory
    chunk = (numbers(322, 0)[0], numbers(323, 0)[0]) if tiled else (width, min(numbers(278, height)[0], height))
    if min(width, height, samples, *chunk) < 1 or samples > _SAMPLES:
        raise UnreadablePhoto("damaged TIFF: its header names no picture")
    xmp = directory.get(700, b"")
    stated = numbers(274)[0] if 274 in directory else xmp_orientation(xmp if isinstance(xmp, bytes) else b"")
    return TiffHeader(
        order="<" if data[:2] == b"II" else ">",
        width=width,
        height=height,
        bits=numbers(258, 1),
        formats=numbers(339, 1),
        samples=samples,
        photometric=numbers(262, _BLACK_IS_ZERO)[0],
        compression=numbers(259, 1)[0],
        predictor=numbers(317, 1)[0],
        fill_order=numbers(266, 1)[0],
        planes=samples if numbers(284, 1) == (2,) else 1,
        chunk=chunk,
        tiled=tiled,
        offsets=numbers(324 if tiled else 273),
        counts=numbers(325 if tiled else 279),
        extra=numbers(338),
        orientation=stated or UPRIGHT,
    )


def check_samples(header: TiffHeader, size: int) -> None:
    """Raise UnreadablePhoto where a file of `size` bytes can't hold its samples, or they are of no kind known."""
    if len({*header.bits}) != 1 or len({*header.formats}) != 1 or header.samples < _COLORS[header.photometric]:
        raise UnreadablePhoto(_UNKNOWN)
    if header.decoded > _CHEAP and header.decoded > size * _BYTE_CODECS[header.compression]:
        raise UnreadablePhoto(f"claims {header.decoded / 1e6:,.0f} MB, more than its {size:,} bytes can hold")


def decode_tiff(data: bytes, header: TiffHeader) -> NDArray[np.uint8]:
    """Decode the samples to uint8 [height, width, 1 to 4]: gray or RGB, and alpha behind it; not turned.

    Raises UnreadablePhoto, and what Pillow does where the data is damaged.
    """
    planes = [_plane(data, header, index) for index in range(header.planes)]
    samples = planes[0] if header.planes == 1 else np.concatenate(planes, axis=2)
    number = _COLORS[header.photometric]
    image = scaled_to_bytes(samples, header.bits[0], number)
    colors, alpha = image[..., :number], image[..., number : number + 1]
    if header.photometric == _WHITE_IS_ZERO:
        colors = 255 - colors
    elif header.photometric == _CMYK:
        colors = rgb_of_cmyk(np.ascontiguousarray(colors))
    elif header.photometric in (_LAB, _ICC_LAB):
        # The one has a and b from -128 on, the other from 0 on.
        zero = np.array((0, 128, 128) if header.photometric == _ICC_LAB else (0, 0, 0), np.uint8)
        colors = np.asarray(rgb_of_lab(Image.fromarray(colors ^ zero, "LAB")))
    meaning = header.extra[0] if header.extra else _UNASSOCIATED
    if meaning == _ASSOCIATED and alpha.size:
        # The colour is multiplied by it already.
        colors = np.minimum(colors + (255 - alpha.astype(np.uint16)), 255).astype(np.uint8)
    return np.concatenate([colors, alpha], axis=2) if meaning == _UNASSOCIATED and alpha.size else colors


def _plane(data: bytes, header: TiffHeader, index: int) -> NDArray[np.generic]:
    """The samples of one plane, as they are stored: [height, width, samples of the plane]."""
    per_pixel = header.samples // header.planes
    width, height = header.chunk
    numbers = _numbers(_decompressed(data, header, index), header, width * per_pixel)
    if header.predictor == 2:
        # Differences of the bits, whatever they mean.
        lines = numbers.view(f"u{numbers.dtype.itemsize}").reshape(len(numbers), width, per_pixel)
        numbers = np.cumsum(lines, axis=1, dtype=lines.dtype).view(numbers.dtype)
    if not header.tiled:
        return numbers.reshape(header.height, header.width, per_pixel)
    across = -(-header.width // width)
    tiles = numbers.reshape(-1, across, height, width, per_pixel)
    whole = tiles.swapaxes(1, 2).reshape(len(tiles) * height, across * width, per_pixel)
    return whole[: header.height, : header.width]


def _decompressed(data: bytes, header: TiffHeader, index: int) -> NDArray[np.uint8]:
    """The bytes of a plane's strips, or tiles one below the other: [lines, bytes of a line].

    libtiff is given a directory that calls them a gray picture, one strip a tile: it decompresses them alike.
    """
    number = len(header.offsets) // header.planes
    strips = slice(index * number, (index + 1) * number)
    at = len(data) + len(data) % 2
    tags = (
        (256, (header.row,)),
        (257, (header.rows,)),
        (258, (8,)),
        (259, (header.compression,)),
        (262, (_BLACK_IS_ZERO,)),
        (266, (header.fill_order,)),
        (273, header.offsets[strips]),
        (277, (1,)),
        (278, (header.chunk[1],)),
        (279, header.counts[strips]),
    )
    # Values that don't fit their four bytes stand behind the directory.
    behind = at + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, items in tags:
        packed = struct.pack(f"<{len(items)}I", *items)
        entries += struct.pack("<HHI", tag, 4, len(items))
        entries += packed if len(items) == 1 else struct.pack("<I", behind + len(values))
        values += packed if len(items) != 1 else b""
    directory = struct.pack("<H", len(tags)) + entries + bytes(4) + values
    head = b"II*\0" + struct.pack("<I", at)
    from PIL import TiffImagePlugin

    picture = TiffImagePlugin.TiffImageFile(io.BytesIO(b"".join((head, data[8:], bytes(at - len(data)), directory))))
    picture.load()
    return np.asarray(picture)


def _numbers(rows: NDArray[np.uint8], header: TiffHeader, count: int) -> NDArray[np.generic]:
    """The first `count` numbers of each line of bytes: [lines, count]."""
    bits, kind = header.bits[0], _FORMATS.get(header.formats[0], "u")
    if bits in (8, 16, 32, 64) and (kind, bits) != ("f", 8):
        if header.predictor == 3 and kind == "f":
            # Differences of bytes; a line holds the highest byte of each number first.
            lines = rows.reshape(len(rows), -1, header.samples // header.planes)
            summed = np.cumsum(lines, axis=1, dtype=np.uint8).reshape(len(rows), bits // 8, count)
            return np.ascontiguousarray(summed.swapaxes(1, 2)).view(f">f{bits // 8}")[..., 0]
        numbers = rows.view(f"{header.order}{kind}{bits // 8}")
        return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    if kind != "u" or bits > 32:
        raise UnreadablePhoto(_UNKNOWN)
    numbers = np.empty((len(rows), count), np.uint16 if bits <= 16 else np.uint32)
    powers = (1 << np.arange(bits - 1, -1, -1)).astype(numbers.dtype)
    if bits == 24:
        # The one depth of whole bytes without a type; it follows the byte order.
        parts = rows.reshape(len(rows), count, 3)[..., :: -1 if header.order == ">" else 1].astype(np.uint32)
        return parts @ np.array([1, 1 << 8, 1 << 16], np.uint32)
    for index, row in enumerate(rows):
        numbers[index] = np.unpackbits(row)[: count * bits].reshape(count, bits) @ powers
    return numbers
