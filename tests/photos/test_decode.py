import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import FACES
from numpy.typing import NDArray
from photo_files import PORTRAIT, difference, encoded
from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode, to_size
from batchgender.photos.resize import Size, resize

FORMATS = {
    "JPEG": 6.0,
    "PNG": 0.0,
    "WEBP": 6.0,
    "BMP": 0.0,
    "TIFF": 0.0,
    "GIF": 8.0,
    "JPEG2000": 2.0,
    "AVIF": 6.0,
    "HEIF": 6.0,
    "JXL": 6.0,
    "PPM": 0.0,
}


@pytest.mark.parametrize(("format", "tolerance"), FORMATS.items())
def test_a_picture_of_each_format_comes_back_in_rgb(format: str, tolerance: float) -> None:
    image = decode(encoded(format))
    assert difference(image, PORTRAIT) <= tolerance
    # PyTorch warns of arrays that can't be written to.
    assert image.flags.writeable


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_gray_and_palette_become_rgb(mode: str) -> None:
    image = Image.fromarray(PORTRAIT).convert(mode)
    assert difference(decode(encoded("PNG", image)), np.asarray(image.convert("RGB"))) < 1


def test_16_bit_pictures_become_8_bit() -> None:
    for ending in (".png", ".tiff"):
        data = cv2.imencode(ending, PORTRAIT[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
        assert difference(decode(data), PORTRAIT) == 0


def test_cmyk_jpegs_become_rgb() -> None:
    image = Image.fromarray(PORTRAIT).convert("CMYK")
    assert difference(decode(encoded("JPEG", image, quality=95)), PORTRAIT) < 6


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO"])
def test_of_several_frames_the_first_is_taken(format: str) -> None:
    second = Image.fromarray(255 - PORTRAIT)
    data = encoded(format, save_all=True, append_images=[second])
    assert difference(decode(data), PORTRAIT) <= FORMATS.get(format, FORMATS["JPEG"])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_a_truncated_picture_is_an_error_in_every_format(format: str, share: float) -> None:
    data = encoded(format)
    with pytest.raises(UnreadablePhoto):
        decode(data[: int(len(data) * share)])


def test_a_truncated_jpeg_is_known_behind_its_whole_thumbnail() -> None:
    thumbnail = encoded("JPEG", Image.fromarray(PORTRAIT[::8, ::8].copy()))
    whole = encoded("JPEG")
    segment = b"Exif\0\0" + thumbnail
    data = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + whole[2:]
    assert difference(decode(data), PORTRAIT) <= FORMATS["JPEG"]
    with pytest.raises(UnreadablePhoto, match="truncated JPEG"):
        decode(data[:-200])


def huge_png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def test_a_picture_that_claims_too_many_pixels_is_refused_with_the_limit() -> None:
    with pytest.raises(UnreadablePhoto, match="60000 x 60000 pixels, more than the limit of 200 megapixels"):
        decode(huge_png(60_000))
    bmp = bytearray(encoded("BMP"))
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    with pytest.raises(UnreadablePhoto, match="60000 x 60000 pixels, more than the limit of 200 megapixels"):
        decode(bytes(bmp))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"<html>no picture</html>", "no image"),
        (b"\xff\xd8", "truncated JPEG"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "damaged HEIC"),
    ],
)
def test_what_is_no_picture_is_said_to_be_none(data: bytes, message: str) -> None:
    with pytest.raises(UnreadablePhoto, match=message):
        decode(data)


def off_by(image: NDArray[Any], size: Size) -> NDArray[Any]:
    """How far our resize lies from PyTorch's."""
    import torch
    import torch.nn.functional as F

    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = F.interpolate(pixels, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    return resize(image, size) - (expected + 1.5e-4).round()


@pytest.mark.parametrize(
    "shape", [(200, 200), (60, 50), (1000, 700), (100, 900), (900, 100), (1, 300), (1700, 2500), (224, 224)]
)
def test_resizing_is_that_of_pytorch(shape: tuple[int, int]) -> None:
    image = cv2.resize(PORTRAIT, shape[::-1])
    # The second is no multiple of what is computed at once.
    for size in (224, 101, (64, 48), (101, 300), (300, 8)):
        off = off_by(image, size)
        assert np.abs(off).max() <= 1 and (off != 0).mean() < 1e-3


@pytest.mark.parametrize("shape", [(9, 40_000), (40_000, 9)])
def test_a_strip_is_resized_as_well_as_bytes_allow(shape: tuple[int, int]) -> None:
    assert np.abs(off_by(cv2.resize(PORTRAIT, shape[::-1]), 224)).max() <= 1


def large_jpeg(image: NDArray[Any], width: int, height: int, **options: Any) -> bytes:
    return encoded("JPEG", Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS), **options)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (4000, 3000, (750, 1000)),  # A quarter; an eighth would leave 375 for the shorter side.
        (3000, 4000, (1000, 750)),
        (900, 896, (448, 450)),
        (895, 2000, (2000, 895)),
        (3584, 8000, (1000, 448)),
        (200, 180, (180, 200)),
    ],
)
def test_a_large_jpeg_is_decoded_smaller_but_never_below_what_is_asked(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    data = large_jpeg(PORTRAIT, width, height)
    assert decode(data, 448).shape[:2] == expected
    assert decode(data).shape[:2] == (height, width)


def test_a_large_jpeg_on_its_side_is_decoded_smaller_and_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = large_jpeg(PORTRAIT, 1800, 1600, exif=exif)
    assert decode(data, 448).shape == (900, 800, 3)
    assert difference(to_size(data, 64), resize(decode(data), 64)) < 2


def test_other_formats_are_decoded_whole() -> None:
    assert decode(encoded("PNG", Image.fromarray(PORTRAIT).resize((1000, 1000))), 200).shape == (1000, 1000, 3)


def test_decoding_smaller_changes_no_answer(portraits: Path) -> None:
    from batchgender.model.open_model import PACKAGED_MODEL, open_model

    model = open_model(PACKAGED_MODEL)
    size = model.info.input_size
    real = sorted((FACES / "train").rglob("*.jpg"))[::1200]
    files = real or sorted((portraits / "train").rglob("*.jpg"))
    whole, smaller = [], []
    for file in files:
        data = large_jpeg(decode(file.read_bytes()), 1900, 1800, quality=90)
        whole.append(resize(decode(data), size))
        smaller.append(to_size(data, size))
    before, after = (model.predict(np.stack(images)) for images in (whole, smaller))
    # No more than its 8-bit rounding makes of a byte here and there.
    assert len(files) > 15 and np.abs(before - after).max() < 0.06 and np.median(np.abs(before - after)) < 0.005
    assert (before.argmax(1) == after.argmax(1)).all()
