"""HEIC: the primary picture, upright, whatever stands beside it; what it claims; what is missing; several threads."""

import io
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from heif_files import Item, box, coded, container, full_box, grid, size_property
from numpy.typing import NDArray
from photo_files import ALPHA, CUT_OUT, GRAY, PORTRAIT, difference, encoded, exif, on_white
from PIL import Image, ImageOps

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode, to_size
from batchgender.photos.limits import DECODING
from batchgender.photos.resize import resize

PICTURE = Image.fromarray(PORTRAIT)
OTHER = Image.fromarray(255 - PORTRAIT)
LOSSLESS: dict[str, Any] = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
FLAT = coded(Image.new("RGB", (2048, 2048), (90, 20, 20)))
SMALL = coded(Image.new("RGB", (64, 64), (90, 20, 20)))
ALPHA_PROPERTY = full_box(b"auxC", 0, b"urn:mpeg:hevc:2015:auxid:1\0")


def upright(orientation: int) -> NDArray[Any]:
    turned = Image.open(io.BytesIO(encoded("PNG", exif=exif(orientation))))
    return np.asarray(ImageOps.exif_transpose(turned))


def tiles() -> list[Item]:
    """Six tiles of 64 x 64 pixels, the portrait's upper left corner."""
    return [coded(PICTURE.crop((x, y, x + 64, y + 64)), **LOSSLESS) for y in (0, 64) for x in (0, 64, 128)]


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        (LOSSLESS, 0),
        ({"quality": 95}, 1),
        ({"quality": 90, "chroma": 420}, 1),
        ({"quality": 50}, 2),
        ({**LOSSLESS, "tile_size": 64}, 0),
    ],
)
def test_a_heic_shows_what_was_drawn(options: dict[str, Any], tolerance: float) -> None:
    image = decode(encoded("HEIF", **options))
    assert difference(image, PORTRAIT) <= tolerance and image.flags.writeable


def test_gray_and_more_bits_become_8_bit_rgb() -> None:
    gray = np.dstack([GRAY] * 3)
    assert difference(decode(encoded("HEIF", Image.fromarray(GRAY), quality=-1)), gray) == 0
    ten = encoded("HEIF", Image.fromarray(GRAY.astype(np.uint16) * 257), quality=-1)
    assert difference(decode(ten), gray) < 1
    import pillow_heif

    for bits in (10, 12):
        pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
        samples = (PORTRAIT.astype(np.uint16) * 257).tobytes()
        stream = io.BytesIO()
        pillow_heif.encode("RGB;16", PICTURE.size, samples, stream, quality=-1, chroma=444)
        assert difference(decode(stream.getvalue()), PORTRAIT) < 1
    pillow_heif.options.SAVE_HDR_TO_12_BIT = False


@pytest.mark.parametrize("mode", ["RGBA", "RGBa"])
def test_what_is_transparent_is_shown_on_white(mode: str) -> None:
    data = encoded("HEIF", Image.fromarray(CUT_OUT).convert(mode), quality=-1, chroma=444)
    assert difference(decode(data), on_white(PORTRAIT, ALPHA)) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_once_though_its_boxes_and_its_exif_say_so(orientation: int) -> None:
    data = encoded("HEIF", exif=exif(orientation), xmp=f'<x tiff:Orientation="{orientation}"/>'.encode(), **LOSSLESS)
    assert struct.pack("<HHIH", 0x112, 3, 1, orientation) in data
    assert difference(decode(data), upright(orientation)) == 0


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("axis", [0, 1])
def test_its_boxes_turn_and_mirror_it(quarters: int, axis: int) -> None:
    item = coded(PICTURE, **LOSSLESS)
    boxes = (box(b"irot", bytes((quarters,))), box(b"imir", bytes((axis,))))
    turned = np.rot90(PORTRAIT, quarters)
    expected = turned[::-1] if axis == 0 else turned[:, ::-1]
    assert difference(decode(container([replace(item, properties=[*item.properties, *boxes])])), expected) == 0


def test_exif_alone_turns_no_heic() -> None:
    block = Item(b"Exif", bytes(4) + exif(6), references={b"cdsc": [1]})
    assert difference(decode(container([coded(PICTURE, **LOSSLESS), block])), PORTRAIT) == 0


@pytest.mark.parametrize("primary", [0, 1, 2])
def test_of_several_pictures_the_primary_one_is_taken(primary: int) -> None:
    pictures = [OTHER, OTHER, OTHER]
    pictures[primary] = PICTURE
    first, *others = pictures
    data = encoded("HEIF", first, save_all=True, append_images=others, primary_index=primary, **LOSSLESS)
    assert difference(decode(data), PORTRAIT) == 0


def test_thumbnails_depth_and_brightness_are_not_the_picture() -> None:
    thumbnail = replace(coded(OTHER.resize((64, 64))), references={b"thmb": [3]})
    parts = [
        replace(coded(Image.fromarray(GRAY)), references={b"auxl": [3]}),
        replace(coded(Image.fromarray(255 - GRAY)), references={b"auxl": [3]}),
    ]
    kinds = (b"urn:mpeg:hevc:2015:auxid:2\0", b"urn:com:apple:photo:2020:aux:hdrgainmap\0")
    auxiliary = [
        replace(part, properties=[*part.properties, full_box(b"auxC", 0, kind)])
        for part, kind in zip(parts, kinds, strict=True)
    ]
    data = container([*auxiliary, coded(PICTURE, **LOSSLESS), thumbnail], primary=3)
    assert difference(decode(data), PORTRAIT) == 0
    assert difference(decode(encoded("HEIF", thumbnails=[64, 128], **LOSSLESS)), PORTRAIT) == 0


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_every_brand_is_read(brand: bytes) -> None:
    assert difference(decode(container([coded(PICTURE, **LOSSLESS)], brand=brand)), PORTRAIT) == 0


def test_a_grid_of_tiles_is_put_together_as_phones_write_it() -> None:
    data = container([*tiles(), grid(170, 100, 3, 2, range(1, 7))], primary=7)
    assert difference(decode(data), PORTRAIT[:100, :170]) == 0


def test_a_large_one_is_averaged_to_the_same() -> None:
    data = encoded("HEIF", PICTURE.resize((2500, 2100), Image.Resampling.BICUBIC))
    assert np.abs(to_size(data, 192).astype(int) - resize(decode(data), 192)).mean() < 1.5
    assert 300 <= min(decode(data, 300).shape[:2]) < 700


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98, 0.999])
def test_one_that_is_cut_short_is_an_error(share: float) -> None:
    whole = [
        encoded("HEIF", quality=90),
        encoded("HEIF", quality=90, tile_size=64),
        container([*tiles(), grid(170, 100, 3, 2, range(1, 7))], primary=7),
    ]
    for data in whole:
        error = "truncated HEIC: the file ends before the picture does" if 0.1 < share < 0.99 else "(damaged|truncated)"
        with pytest.raises(UnreadablePhoto, match=error):
            decode(data[: int(len(data) * share)])


def test_one_that_is_whole_is_read_though_what_stands_behind_it_is_missing() -> None:
    data = encoded("HEIF", thumbnails=[64, 128], **LOSSLESS)
    assert difference(decode(data[:-300]), PORTRAIT) == 0
    assert difference(decode(data + b"a maker's film"), PORTRAIT) == 0


@pytest.mark.parametrize("options", [{}, {"tile_size": 64}])
def test_a_hole_of_zeros_is_an_error(options: dict[str, Any]) -> None:
    data = encoded("HEIF", quality=90, **options)
    start = data.index(b"mdat") + 4
    for at in np.linspace(start, len(data) - 600, 20, dtype=int):
        with pytest.raises(UnreadablePhoto, match="damaged HEIC: a part of the picture is missing"):
            decode(data[:at] + bytes(600) + data[at + 600 :])


TOO_LARGE = replace(SMALL, properties=[size_property(30_000, 30_000), SMALL.properties[1]])
BEHIND = replace(FLAT, properties=[size_property(64, 64), FLAT.properties[1]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (container([TOO_LARGE]), "claims 900,000,000 pixels, more than the limit of 200 megapixels"),
        (
            container([replace(SMALL, properties=[size_property(14_000, 14_000), SMALL.properties[1]])]),
            "claims 196,000,000 pixels, more than its [0-9,]* bytes can hold",
        ),
        # One tile many times, in its place and behind the edge.
        (
            container([SMALL, grid(30_000, 30_000, 250, 250, [1] * 60_000)], primary=2),
            "damaged HEIC .*60000.* exceeds the security limits",
        ),
        (
            container([FLAT, grid(64, 64, 30, 30, [1] * 900)], primary=2),
            "claims 3,774,873,600 pixels in 900 tiles, more than the limit of 400 megapixels",
        ),
        # Grids of grids.
        (
            container([FLAT, grid(64, 64, 30, 30, [1] * 900), grid(64, 64, 30, 30, [2] * 900)], primary=3),
            "claims 3,397,386,240,000 pixels in 810,000 tiles",
        ),
        (
            container(
                [
                    SMALL,
                    replace(TOO_LARGE, properties=[*TOO_LARGE.properties, ALPHA_PROPERTY], references={b"auxl": [1]}),
                ]
            ),
            "claims 900,004,096 pixels in 2 tiles, more than the limit",
        ),
        # The picture inside is larger than its box says.
        (container([BEHIND]), "damaged HEIC .*2048x2048 exceeds the maximum"),
        (container([FLAT, Item(b"iden", b"", [size_property(64, 64)], {b"dimg": [1]})], primary=2), "damaged HEIC"),
        (container([grid(64, 64, 1, 1, [1])]), "made of pictures without an end"),
        (container([SMALL], primary=9), "it has no primary picture"),
        (container([grid(64, 64, 1, 1, [7])]), "a tile of its picture is missing"),
        (container([replace(SMALL, kind=b"av01")]), "not coded as HEVC, but as 'av01'"),
        (
            container([replace(SMALL, properties=SMALL.properties[:1]), coded(OTHER)]),
            "its primary picture can't be read",
        ),
        (container([SMALL])[:110], "damaged HEIC: its boxes hold less than they say"),
        (container([SMALL] * 1200), "more pictures and pieces than a photo has"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "a sequence alone: it has no primary picture"),
    ],
)
def test_what_it_claims_is_held_against_its_bytes_before_it_is_decoded(data: bytes, message: str) -> None:
    with pytest.raises(UnreadablePhoto, match=message):
        decode(data)


def test_it_waits_for_the_memory_that_all_threads_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgender.photos.memory.memory_left", lambda: 30e6)
    monkeypatch.setattr("batchgender.photos.memory._ALWAYS_THERE", 10**6)
    assert DECODING.unasked < 2048 * 2048 * 12
    with pytest.raises(UnreadablePhoto, match="needs 50 MB of memory, and 30 MB are left here"):
        decode(container([FLAT]))


def test_several_threads_decode_at_once() -> None:
    files = [encoded("HEIF", Image.fromarray(np.roll(PORTRAIT, 9 * index, 1)), **LOSSLESS) for index in range(8)]
    every = list(range(8)) * 25
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            images = list(threads.map(lambda index: decode(files[index]), every))
    finally:
        sys.setswitchinterval(interval)
    assert all(difference(image, np.roll(PORTRAIT, 9 * i, 1)) == 0 for image, i in zip(images, every, strict=True))
