"""TIFF: samples of every kind, and claims."""

from typing import Any, Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from photo_files import ALPHA, CUT_OUT, GRAY, PORTRAIT, difference, encoded, on_white, tiff
from PIL import Image, ImageCms

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode

GRAY_RGB = np.dstack([GRAY] * 3)
BITS, PHOTOMETRIC, PREDICTOR, EXTRA = 258, 262, 317, 338
ASSOCIATED, UNASSOCIATED, UNSPECIFIED = 1, 2, 0


def unsigned(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    return np.round(pixels / 255 * (2**bits - 1)).astype(
        np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    )


def floats(kind: str, largest: float) -> NDArray[Any]:
    return (PORTRAIT.astype(np.float64) / 255 * largest).astype(kind)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16, 32])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
def test_unsigned_samples_are_scaled_by_their_bits(bits: int, order: Literal["<", ">"], deflate: bool) -> None:
    gray, colors = unsigned(GRAY[..., None], bits), unsigned(PORTRAIT, bits)
    largest = 2**bits - 1
    expected_gray, expected = (np.round(each / largest * 255).astype(np.uint8) for each in (gray, colors))
    shown = np.dstack([expected_gray[..., 0]] * 3)
    assert difference(decode(tiff(gray, bits, order=order, deflate=deflate)), shown) < 1
    inverted = (largest - gray).astype(gray.dtype)
    assert difference(decode(tiff(inverted, bits, {PHOTOMETRIC: [0]}, order, deflate=deflate)), shown) < 1
    for planar in (False, True):
        assert difference(decode(tiff(colors, bits, order=order, planar=planar, deflate=deflate)), expected) < 1


@pytest.mark.parametrize(
    ("samples", "bits"),
    [
        (floats("f2", 1), 16),
        (floats("f4", 1), 32),
        (floats("f4", 255), 32),
        (floats("f4", 65_535), 32),
        (floats("f8", 1), 64),
        (floats("f8", 255), 64),
        ((PORTRAIT >> 1).astype(np.int8), 8),
        (PORTRAIT.astype(np.int16), 16),
        (PORTRAIT.astype(np.int16) * 128, 16),
        ((PORTRAIT.astype(np.int32) * 257 - 32_768).astype(np.int16), 16),
        (PORTRAIT.astype(np.int32), 32),
        (PORTRAIT.astype(np.uint32) * 257, 32),
    ],
)
def test_other_samples_are_scaled_by_what_they_are(samples: NDArray[Any], bits: int) -> None:
    assert difference(decode(tiff(samples, bits)), PORTRAIT) < 2
    assert difference(decode(tiff(samples, bits, planar=True, order=">")), PORTRAIT) < 2


def test_what_is_brighter_than_white_is_white() -> None:
    samples = floats("f4", 1)
    samples[:20] *= 50
    expected = PORTRAIT.copy()
    expected[:20] = np.minimum(PORTRAIT[:20].astype(int) * 50, 255)
    assert difference(decode(tiff(samples, 32)), expected) < 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -1])
def test_floats_that_are_no_picture_are_an_error(value: float) -> None:
    with pytest.raises(UnreadablePhoto, match="numbers that no picture has"):
        decode(tiff(np.full((9, 9, 3), value, np.float32), 32))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("deflate", [False, True])
def test_alpha_is_put_on_white(bits: int, planar: bool, deflate: bool) -> None:
    def shown(pixels: NDArray[Any], extra: int) -> NDArray[Any]:
        return decode(tiff(unsigned(pixels, bits), bits, {EXTRA: [extra]}, planar=planar, deflate=deflate))

    share = ALPHA[..., None] / 255
    colors, gray = CUT_OUT[..., :3], np.dstack([GRAY, ALPHA])
    assert difference(shown(CUT_OUT, UNASSOCIATED), on_white(PORTRAIT, ALPHA)) < 1
    assert difference(shown(np.dstack([colors * share, ALPHA]), ASSOCIATED), on_white(PORTRAIT, ALPHA)) < 1
    assert difference(shown(CUT_OUT, UNSPECIFIED), colors) < 1
    assert difference(shown(gray, UNASSOCIATED), on_white(GRAY, ALPHA)) < 1
    assert difference(shown(np.dstack([GRAY[..., None] * share, ALPHA]), ASSOCIATED), on_white(GRAY, ALPHA)) < 1


@pytest.mark.parametrize("bits", [8, 16])
def test_ink_and_lab_become_rgb(bits: int) -> None:
    ink = Image.fromarray(PORTRAIT).convert("CMYK")
    for planar in (False, True):
        data = tiff(unsigned(np.asarray(ink), bits), bits, {PHOTOMETRIC: [5]}, planar=planar)
        assert difference(decode(data), np.asarray(ink.convert("RGB"))) < 2
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    turned = ImageCms.profileToProfile(Image.fromarray(PORTRAIT), srgb, lab, outputMode="LAB")
    assert turned
    for photometric, zero in ((8, 0), (9, 128)):
        samples = (np.asarray(turned) ^ np.array([0, zero, zero], np.uint8)).astype(np.uint16) << (bits - 8)
        samples = samples.astype(np.uint8 if bits == 8 else np.uint16)
        assert difference(decode(tiff(samples, bits, {PHOTOMETRIC: [photometric]})), PORTRAIT) < 3


@pytest.mark.parametrize(
    ("kind", "predictor"),
    [*((kind, predictor) for kind in ("u1", "u2", "f4") for predictor in (1, 2)), ("f4", 3), ("f8", 1), ("f8", 3)],
)
def test_differences_are_summed(kind: str, predictor: int) -> None:
    scale = {"u1": 1, "u2": 257}.get(kind, 1 / 255)
    samples: NDArray[Any] = (PORTRAIT[..., ::-1].astype(np.float64) * scale).astype(kind)
    # OpenCV by libtiff: LZW, strips of 17 lines.
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 5, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    data = cv2.imencode(".tiff", samples, [*options, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 17])[1].tobytes()
    assert difference(decode(data), PORTRAIT) < 1


@pytest.mark.parametrize("bits", [8, 16])
def test_tiles_are_put_together(bits: int) -> None:
    samples = unsigned(PORTRAIT, bits)
    tile = 64
    down, across = (-(-side // tile) for side in PORTRAIT.shape[:2])
    padded = np.pad(samples, ((0, down * tile - len(samples)), (0, across * tile - samples.shape[1]), (0, 0)))
    tiles = padded.reshape(down, tile, across, tile, 3).swapaxes(1, 2).reshape(-1, tile, 3)
    count, size = down * across, tile * tile * 3 * bits // 8
    tags = {256: [PORTRAIT.shape[1]], 257: [PORTRAIT.shape[0]], 322: [tile], 323: [tile], 325: [size] * count}
    start = len(tiff(tiles, bits, {**tags, 324: [0] * count})) - count * size
    data = tiff(tiles, bits, {**tags, 324: [start + size * index for index in range(count)]})
    assert difference(decode(data), PORTRAIT) < 1


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "zstd", "lzma", "packbits", "jpeg", "group4"])
def test_what_is_cut_short_is_an_error(compression: str) -> None:
    image = Image.fromarray(PORTRAIT).convert("1" if compression == "group4" else "RGB")
    data = encoded("TIFF", image, compression=compression)
    decode(data)
    with pytest.raises(UnreadablePhoto, match="TIFF"):
        decode(data[: len(data) // 2])
    with pytest.raises(UnreadablePhoto, match="TIFF"):
        decode(tiff(unsigned(PORTRAIT, 16), 16, deflate=True)[:-1000])


ONE = np.zeros((1, 1, 3), np.float32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiff(ONE, 32, {256: [60_000], 257: [60_000]}), "60000 x 60000 pixels, more than the limit"),
        (tiff(ONE, 32, {256: [14_000], 257: [14_000]}), "more than its [0-9,]* bytes can hold"),
        (tiff(ONE, 32, {256: [4000], 257: [3000], 278: [3000]}, deflate=True), "claims 144 MB, more than its"),
        (tiff(ONE, 32, {322: [60_000], 323: [60_000], 324: [8], 325: [8]}), "claims 43,200 MB, more than its"),
        (tiff(ONE, 32, {256: [0]}), "its header names no picture"),
        (tiff(ONE, 32, {BITS: [32, 16, 32]}), "of a kind that can't be read"),
        (b"MM\0\x2b\0\x08\0\0" + bytes(60), "of a kind that can't be read"),
    ],
)
def test_claims_that_no_photo_makes_are_an_error(data: bytes, message: str) -> None:
    with pytest.raises(UnreadablePhoto, match=message):
        decode(data)
