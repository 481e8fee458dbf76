"""JPEG XL: what it shows, which way up, what it claims, and that a moving one is no picture."""

import base64
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from photo_files import ALPHA, CUT_OUT, GRAY, PORTRAIT, difference, encoded, exif, on_white
from PIL import Image, ImageOps

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode, to_size
from batchgender.photos.jpeg_xl import read_header
from batchgender.photos.resize import resize

ROWS, COLUMNS = np.mgrid[:6, :9]
RAMP = np.dstack([ROWS * 40, COLUMNS * 28, np.full_like(ROWS, 90)]).astype(np.uint8)
# RAMP, by cjxl 0.7: with orientation 6, in a container; and followed by its negative.
ON_ITS_SIDE = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAA+anhsY/8KKEALBBSXBAgCAQCcAEsYEy8HB7GleIljDG50DKY0BreTB7CJ0hsArE4"
    "XbX7oOb1nnAd3BQ=="
)
MOVING = base64.b64decode(
    "/wooQMEAAopLAggCkgkAAJwASxgTLwcHsaV4iWMMbnQMpjQGt5MHsInSGwCsThdtfug5vWecB3cFCAKSBQCkAEsYEy8HB/EB6N8xBhc6BlMagbv"
    "EA/j0D7EFSqiZNHwlX2qXd1qeP3Qr"
)
CODESTREAM = ON_ITS_SIDE[ON_ITS_SIDE.index(b"jxlc") + 4 :]
CONTAINER = ON_ITS_SIDE[: ON_ITS_SIDE.index(b"jxlc") - 4]
# Behind a signature of 16 bits, the size of 15 (its ratio has a number), and 2 more.
ORIENTATION = 16 + 15 + 2


def turned(orientation: int) -> bytes:
    """The codestream of RAMP with another orientation."""
    bits = int.from_bytes(CODESTREAM, "little") & ~(7 << ORIENTATION)
    return (bits | (orientation - 1) << ORIENTATION).to_bytes(len(CODESTREAM), "little")


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[Any]:
    picture = Image.fromarray(image)
    picture.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"lossless": True}, 0),
        ({"lossless": True, "use_container": True}, 0),
        ({"quality": 95}, 1),
        ({"quality": 90, "use_container": True}, 1),
    ],
)
def test_a_jpeg_xl_shows_what_was_drawn(options: dict[str, Any], tolerance: float) -> None:
    image = decode(encoded("JXL", **options))
    assert difference(image, PORTRAIT) <= tolerance and image.flags.writeable


def test_gray_16_bits_and_floats_become_8_bit_rgb() -> None:
    gray = np.dstack([GRAY] * 3)
    for samples in (GRAY, GRAY.astype(np.uint16) * 257, GRAY.astype(np.float32) / 255):
        assert difference(decode(encoded("JXL", Image.fromarray(samples), lossless=True)), gray) < 1


def test_what_is_transparent_is_shown_on_white() -> None:
    picture = Image.fromarray(CUT_OUT)
    assert difference(decode(encoded("JXL", picture, lossless=True)), on_white(PORTRAIT, ALPHA)) < 1
    assert difference(decode(encoded("JXL", picture.convert("LA"), lossless=True)), on_white(GRAY, ALPHA)) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_its_header_turns_it_and_its_exif_does_not(orientation: int, tmp_path: Path) -> None:
    assert difference(decode(turned(orientation)), upright(RAMP, orientation)) == 0
    in_boxes = encoded("JXL", exif=exif(orientation), lossless=True)
    assert b"Exif" in in_boxes and difference(decode(in_boxes), PORTRAIT) == 0
    # A JPEG inside is given as it is stored: it is turned by its own EXIF.
    jpeg = tmp_path / "a.jpg"
    jpeg.write_bytes(encoded("JPEG", quality=95, exif=b"Exif\0\0" + exif(orientation)))
    with Image.open(jpeg) as picture:
        data = encoded("JXL", picture, lossless_jpeg=True)
    assert b"jbrd" in data and difference(decode(data), upright(PORTRAIT, orientation)) < 2


@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (8, 8),
        (256, 248),
        (257, 255),
        (9, 9000),
        (120, 100),
        (400, 300),
        (150, 100),
        (160, 90),
        (125, 100),
        (62, 31),
    ],
)
def test_its_size_is_known_before_it_is_decoded(size: tuple[int, int]) -> None:
    for mode, extra in (("RGB", 0), ("RGBA", 1)):
        header = read_header(encoded("JXL", Image.new(mode, size), effort=1))
        assert (header.width, header.height, header.extra_channels, header.animated) == (*size, extra, False)


def test_its_codestream_may_lie_in_parts() -> None:
    parts = (CODESTREAM[:5], CODESTREAM[5:6], CODESTREAM[6:])
    data = CONTAINER
    for index, part in enumerate(parts):
        last = 1 << 31 if index == len(parts) - 1 else 0
        data += struct.pack(">I4sI", len(part) + 12, b"jxlp", index | last) + part
    assert difference(decode(data), upright(RAMP, 6)) == 0


def test_a_large_one_is_averaged_to_the_same() -> None:
    data = encoded("JXL", Image.fromarray(PORTRAIT).resize((2500, 2100), Image.Resampling.BICUBIC), effort=1)
    assert np.abs(to_size(data, 192).astype(int) - resize(decode(data), 192)).mean() < 1.5


def claiming(side: int) -> bytes:
    """The codestream of a JPEG XL that is as wide as it is high."""
    bits = 3 << 1 | side - 1 << 3 | 1 << 33
    return b"\xff\x0a" + bits.to_bytes(5, "little") + CODESTREAM[6:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (claiming(30_000), "claims 30000 x 30000 pixels, more than the limit of 200 megapixels"),
        (claiming(14_000), "claims 14000 x 14000 pixels, more than its 55 bytes can hold"),
        (CONTAINER + struct.pack(">I4s", 0, b"jxlc") + claiming(30_000), "claims 30000 x 30000 pixels"),
        (MOVING, "an animated JPEG XL is not supported; convert it to JPEG"),
        (CONTAINER, "damaged JPEG XL: it holds no picture"),
        (b"\xff\x0a", "truncated JPEG XL"),
        (b"\xff\x0a" + bytes(60), "truncated or damaged JPEG XL"),
    ],
)
def test_what_it_claims_is_held_against_its_bytes_before_it_is_decoded(data: bytes, message: str) -> None:
    with pytest.raises(UnreadablePhoto, match=message):
        decode(data)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 90, "use_container": True}])
def test_one_that_is_cut_short_is_an_error(options: dict[str, Any], share: float) -> None:
    data = encoded("JXL", **options)
    with pytest.raises(UnreadablePhoto, match="(truncated|damaged) JPEG XL"):
        decode(data[: int(len(data) * share)])


def test_several_threads_decode_at_once() -> None:
    files = [encoded("JXL", Image.fromarray(np.roll(PORTRAIT, 9 * index, 1)), lossless=True) for index in range(8)]
    every = list(range(8)) * 10
    with ThreadPoolExecutor(8) as threads:
        images = list(threads.map(lambda index: decode(files[index]), every))
    assert all(difference(image, np.roll(PORTRAIT, 9 * i, 1)) == 0 for image, i in zip(images, every, strict=True))
