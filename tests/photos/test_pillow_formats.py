"""What Pillow decodes: transparency, first frames, ranges, and that nothing reaches stderr."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import ALPHA, CUT_OUT, GRAY, PORTRAIT, chunk, difference, encoded, on_white, tiff
from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode, to_size
from batchgender.photos.resize import resize

RGBA = Image.fromarray(CUT_OUT)


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("PNG", {}, 1),
        ("WEBP", {"lossless": True, "exact": True}, 1),
        ("WEBP", {"quality": 95}, 4),
        ("TIFF", {"compression": "tiff_lzw"}, 1),
        ("AVIF", {"quality": 95}, 6),
        ("JPEG2000", {}, 1),
        ("PNG", {"save_all": True, "append_images": [RGBA.rotate(180)]}, 1),
        ("WEBP", {"save_all": True, "append_images": [RGBA.rotate(180)], "lossless": True}, 1),
    ],
)
def test_what_is_transparent_is_shown_on_white(format: str, options: dict[str, Any], tolerance: float) -> None:
    assert difference(decode(encoded(format, RGBA, **options)), on_white(PORTRAIT, ALPHA)) < tolerance
    if format in ("PNG", "JPEG2000") and not options:
        assert difference(decode(encoded(format, RGBA.convert("LA"))), on_white(GRAY, ALPHA)) < 2


@pytest.mark.parametrize("transparent", [None, 7])
@pytest.mark.parametrize("box", [(0, 0, 224, 180), (30, 20, 130, 110)])
def test_a_gif_is_white_where_its_first_frame_is_not(transparent: int | None, box: tuple[int, int, int, int]) -> None:
    picture = Image.fromarray(PORTRAIT).quantize(200)
    left, top, right, bottom = box
    data = bytearray(encoded("GIF", picture.crop(box), optimize=False))
    frame = data.find(b"\x2c", 13 + 768)
    struct.pack_into("<HH", data, 6, *picture.size)
    struct.pack_into("<HH", data, frame + 1, left, top)
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, transparent is not None, 0, transparent or 0, 0)
    places = np.asarray(picture)[top:bottom, left:right]
    expected = np.full_like(PORTRAIT, 255)
    colors = np.asarray(picture.convert("RGB"))[top:bottom, left:right]
    expected[top:bottom, left:right] = np.where((places == transparent)[..., None], 255, colors)
    assert difference(decode(bytes(data[: 13 + 768]) + control + bytes(data[frame:])), expected) == 0


@pytest.mark.parametrize("options", [{"tile_size": (64, 64)}, {"no_jp2": True}, {"irreversible": True}])
def test_every_kind_of_jpeg_2000(options: dict[str, Any]) -> None:
    assert difference(decode(encoded("JPEG2000", **options)), PORTRAIT) < 3


def test_gray_of_16_bits_is_scaled() -> None:
    gray = Image.fromarray(GRAY.astype(np.uint16) * 257)
    for format in ("PNG", "JPEG2000"):
        assert difference(decode(encoded(format, gray)), np.dstack([GRAY] * 3)) < 1


@pytest.mark.parametrize(
    ("mode", "format"), [("RGB", "PNG"), ("L", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("1", "PNG")]
)
def test_a_large_picture_is_averaged_to_the_same(mode: str, format: str) -> None:
    large = Image.fromarray(PORTRAIT).resize((2500, 2100), Image.Resampling.BICUBIC).convert(mode)
    data = encoded(format, large)
    assert np.abs(to_size(data, 192).astype(int) - resize(decode(data), 192)).mean() < 1.5
    assert min(decode(data, 300).shape[:2]) >= 300


def test_nothing_of_a_damaged_picture_reaches_stderr(tmp_path: Path) -> None:
    options: dict[str, list[dict[str, Any]]] = {
        "JPEG": [{}, {"progressive": True}, {"subsampling": 1}],
        "PNG": [{}],
        "WEBP": [{}, {"lossless": True}],
        "GIF": [{}],
        "BMP": [{}],
        "AVIF": [{}],
        "HEIF": [{}, {"tile_size": 64}, {"thumbnails": [64]}],
        "JXL": [{}, {"lossless": True, "use_container": True}],
        "JPEG2000": [{}, {"irreversible": True}],
        "TIFF": [{"compression": each} for each in ("tiff_lzw", "tiff_deflate", "packbits", "zstd", "jpeg", "lzma")],
    }
    files = [encoded(format, **each) for format, kinds in options.items() for each in kinds]
    files.append(tiff(PORTRAIT.astype(np.uint16) * 257, 16, deflate=True))
    sixteen = encoded("PNG", Image.fromarray(GRAY.astype(np.uint16) * 257))
    files += [sixteen, sixteen[:33] + chunk(b"iCCP", b"bad") + chunk(b"tIME", b"") + sixteen[33:]]
    random = np.random.default_rng(0)
    for index in range(500):
        data = bytearray(files[index % len(files)])
        for _ in range(3):
            data[random.integers(len(data) if index % 2 else 200)] = random.integers(256)
        (tmp_path / f"{index}").write_bytes(data[: random.integers(200, len(data))] if index % 5 == 0 else data)
    code = """
import sys
from pathlib import Path
from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import to_size
for file in Path(sys.argv[1]).iterdir():
    try:
        to_size(file.read_bytes(), 64)
    except UnreadablePhoto as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert len(done.stdout.splitlines()) > 100


def claims(format: str, marker: bytes, offset: int, size: bytes) -> bytes:
    data = encoded(format, Image.fromarray(PORTRAIT[:64, :64].copy()))
    place = data.find(marker) + offset
    return data[:place] + size + data[place + len(size) :]


@pytest.mark.parametrize(
    "data",
    [
        claims("GIF", b"GIF", 6, struct.pack("<HH", 14_000, 14_000)),
        claims("BMP", b"BM", 18, struct.pack("<ii", 14_000, 14_000)),
        claims("AVIF", b"ispe", 8, struct.pack(">II", 14_000, 14_000)),
        claims("JPEG2000", b"\xff\x4f", 8, struct.pack(">8I", 14_000, 14_000, 0, 0, 14_000, 14_000, 0, 0)),
        claims("WEBP", b"VP8 ", 14, struct.pack("<HH", 14_000, 14_000)),
        b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + struct.pack("<I", 13_999 | 13_999 << 14) + bytes(9),
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + struct.pack("<I", 13_999)[:3] * 2 + bytes(9),
        b"P6 14000 14000 255\n",
        b"P4 14000 14000\n",
    ],
)
def test_a_claim_of_pixels_is_held_against_the_bytes(data: bytes) -> None:
    with pytest.raises(UnreadablePhoto, match="claims 14000 x 14000 pixels, more than its [0-9,]* bytes can hold"):
        decode(data)


def test_tiles_of_jpeg_2000_are_held_against_the_bytes() -> None:
    with pytest.raises(UnreadablePhoto, match="claims 4,096 tiles, more than its"):
        decode(claims("JPEG2000", b"\xff\x4f", 24, struct.pack(">II", 1, 1)))
