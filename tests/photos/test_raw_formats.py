"""BMP with bit masks, PNM and PAM: samples of any range, comments in odd places."""

import struct

import numpy as np
import pytest
from photo_files import ALPHA, CUT_OUT, GRAY, PORTRAIT, difference, on_white

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode

HEIGHT, WIDTH = GRAY.shape
GRAY_RGB = np.dstack([GRAY] * 3)


def masked_bmp(bits: int, masks: tuple[int, ...], header: int, top_down: bool, compression: int = 3) -> bytes:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint64)
    for channel, mask in enumerate(masks):
        lowest = mask & -mask
        pixels |= np.round(CUT_OUT[..., channel] / 255 * (mask // max(lowest, 1))).astype(np.uint64) * np.uint64(lowest)
    lines = (pixels if top_down else pixels[::-1]).astype(f"<u{bits // 8}").view(np.uint8).reshape(HEIGHT, -1)
    body = np.pad(lines, ((0, 0), (0, -lines.shape[1] % 4))).tobytes()
    height = -HEIGHT if top_down else HEIGHT
    info = struct.pack("<IiiHHI20x", header, WIDTH, height, 1, bits, compression) + struct.pack(
        f"<{len(masks)}I", *masks
    )
    info = info.ljust(header, b"\0")
    return b"BM" + struct.pack("<I4xI", 14 + len(info) + len(body), 14 + len(info)) + info + body


@pytest.mark.parametrize(
    ("bits", "masks", "tolerance"),
    [
        (32, (0xFF, 0xFF00, 0xFF0000), 1),
        (32, (0xFF000000, 0xFF0000, 0xFF00), 1),
        (32, (0x3FF00000, 0xFFC00, 0x3FF), 1),
        (16, (0xF800, 0x7E0, 0x1F), 3),
        (16, (0x1F, 0x3E0, 0x7C00), 3),
        (16, (0xF00, 0xF0, 0xF), 6),
    ],
)
@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize("top_down", [False, True])
def test_bmp_masks_of_any_width_and_order(
    bits: int, masks: tuple[int, ...], tolerance: float, header: int, top_down: bool
) -> None:
    data = masked_bmp(bits, masks, header, top_down)
    assert difference(decode(data), CUT_OUT[..., :3]) < tolerance
    with pytest.raises(UnreadablePhoto, match="truncated BMP"):
        decode(data[:-100])


@pytest.mark.parametrize(("header", "compression"), [(56, 3), (124, 3), (40, 6)])
def test_a_bmp_mask_of_alpha_is_put_on_white(header: int, compression: int) -> None:
    data = masked_bmp(32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000), header, False, compression)
    assert difference(decode(data), on_white(PORTRAIT, ALPHA)) < 1


def test_bmp_masks_may_leave_a_color_out_but_not_all() -> None:
    shown = decode(masked_bmp(32, (0xFF, 0, 0xFF0000), 40, False))
    assert difference(shown, CUT_OUT[..., :3] * np.array([1, 0, 1], np.uint8)) < 1
    with pytest.raises(UnreadablePhoto, match="its bit masks are empty"):
        decode(masked_bmp(32, (0, 0, 0), 40, False))


@pytest.mark.parametrize("largest", [1, 3, 15, 100, 254, 255, 256, 1023, 4095, 65_535])
def test_pnm_and_pam_are_scaled_by_their_largest_value(largest: int) -> None:
    kind = ">u2" if largest > 255 else "u1"
    for pixels, plain, raw, depth in ((GRAY, b"P2", b"P5", 1), (PORTRAIT, b"P3", b"P6", 3), (CUT_OUT, b"", b"", 4)):
        samples = np.round(pixels / 255 * largest).astype(kind)
        expected = np.round(samples / largest * 255).astype(np.uint8)
        size = b"WIDTH %d\n# a comment\nHEIGHT %d\nDEPTH %d\n" % (WIDTH, HEIGHT, depth)
        files = [b"P7\n%sMAXVAL %d\nENDHDR\n" % (size, largest) + samples.tobytes()]
        if depth < 4:
            expected = np.dstack([expected] * 3) if depth == 1 else expected
            numbers = b" ".join(b"%d" % value for value in samples.ravel())
            files.append(b"%s #a\n%d\n#b\n%d %d\n" % (plain, WIDTH, HEIGHT, largest) + numbers)
            files.append(b"%s\n#a\n#b\n%d #c\n%d\n%d\n" % (raw, WIDTH, HEIGHT, largest) + samples.tobytes())
        else:
            expected = on_white(expected[..., :3], expected[..., 3])
        for data in files:
            assert difference(decode(data), expected) <= 1, data[:40]


def test_pbm_is_black_on_white() -> None:
    dark = GRAY < 128
    raw = b"P4\n%d %d\n" % (WIDTH, HEIGHT) + np.packbits(dark, axis=1).tobytes()
    plain = b"P1\n# c\n%d %d\n" % (WIDTH, HEIGHT) + b"\n".join(line.astype("S1").tobytes() for line in dark.astype(int))
    for data in (raw, plain):
        assert difference(decode(data), np.dstack([np.where(dark, 0, 255)] * 3)) == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"P7\nWIDTH 9\nHEIGHT 9\nDEPTH 3\nMAXVAL 255\nENDHDR\n" + bytes(242), "truncated PAM"),
        (b"P7\nWIDTH 9\nDEPTH 3\nMAXVAL 255\nENDHDR\n", "does not name width, height"),
        (b"P7\nWIDTH 9\nHEIGHT 9\nDEPTH 3\nMAXVAL 0\nENDHDR\n" + bytes(243), "numbers that no picture has"),
        (b"P7\nWIDTH " + b"9" * 5000 + b"\nHEIGHT 9\nDEPTH 3\nMAXVAL 255\nENDHDR\n", "damaged PAM"),
        (b"P7\nWIDTH 14000\nHEIGHT 14000\nDEPTH 3\nMAXVAL 255\nENDHDR\n", "bytes can hold"),
        (b"P5 9 9 255\n" + bytes(80), "PNM"),
        (b"P2 9 9 255\n1 2 3", "PNM"),
    ],
)
def test_headers_that_no_picture_has_are_an_error(data: bytes, message: str) -> None:
    with pytest.raises(UnreadablePhoto, match=message):
        decode(data)
