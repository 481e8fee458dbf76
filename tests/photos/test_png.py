"""PNG: transparency of every kind and depth, chunks that lie, text that unpacks to much."""

import struct
import zlib

import numpy as np
import pytest
from photo_files import ALPHA, CUT_OUT, GRAY, PORTRAIT, chunk, difference, encoded, on_white, png
from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_gray_is_white_at_every_depth(bits: int) -> None:
    largest = 2**bits - 1
    samples = np.round(GRAY / 255 * largest).astype(np.uint16)
    samples = samples if bits > 8 else samples.astype(np.uint8)
    key = int(samples[90, 110])
    shown = np.where(samples == key, 255, np.round(samples / largest * 255)).astype(np.uint8)
    data = png(samples[..., None], 0, bits, chunk(b"tRNS", struct.pack(">H", key)))
    assert difference(decode(data), np.dstack([shown] * 3)) < 0.5


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_color_is_white_and_its_neighbours_are_not(bits: int) -> None:
    samples = PORTRAIT.astype(np.uint16) * 257 if bits == 16 else PORTRAIT.copy()
    samples[:60] = samples[90, 110]
    key = tuple(int(value) for value in samples[90, 110])
    # In the last bit alone.
    samples[:30] ^= 1
    shown = np.where((samples == key).all(2)[..., None], 255, samples >> (bits - 8)).astype(np.uint8)
    data = png(samples, 2, bits, chunk(b"tRNS", struct.pack(">3H", *key)))
    assert difference(decode(data), shown) < 0.5


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_put_on_white(bits: int) -> None:
    scale = 257 if bits == 16 else 1
    samples = CUT_OUT.astype(np.uint16 if bits == 16 else np.uint8) * np.array(scale).astype(np.uint16)
    samples = samples.astype(np.uint16 if bits == 16 else np.uint8)
    assert difference(decode(png(samples, 6, bits)), on_white(PORTRAIT, ALPHA)) < 0.6
    gray = np.dstack([GRAY, ALPHA]).astype(samples.dtype) * np.array(scale, samples.dtype)
    assert difference(decode(png(gray, 4, bits)), on_white(GRAY, ALPHA)) < 0.6


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_places_of_a_palette_are_white(bits: int) -> None:
    picture = Image.fromarray(PORTRAIT).quantize(2**bits)
    places = np.asarray(picture)
    colors = np.asarray(picture.convert("RGB"))
    alpha = np.append([0, 100], np.full(254, 255)).astype(np.uint8)
    palette = bytes((picture.getpalette() or [])[: 3 * 2**bits]).ljust(3 * 2**bits, b"\0")
    data = png(places[..., None], 3, bits, chunk(b"PLTE", palette) + chunk(b"tRNS", bytes(alpha[:2])))
    assert difference(decode(data), on_white(colors, alpha[places])) < 0.6


SOUND = encoded("PNG")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SOUND[:33] + b"\xff\xff\xff\xf0IDAT" + SOUND[41:], "a chunk of 4,294,967,280 bytes in a file of"),
        (SOUND[:33] + b"\x7f\xff\xff\xfftEXt" + SOUND[41:], "a chunk of 2,147,483,647 bytes in a file of"),
        (SOUND[:500] + bytes(50) + SOUND[550:], "the check sum of its IDAT is wrong"),
        (SOUND[:-12], "truncated PNG"),
        (SOUND[:33] + chunk(b"IDAT", b"") * 100_001 + SOUND[33:], "more than 100,000 chunks"),
    ],
)
def test_chunks_that_lie_are_an_error(data: bytes, message: str) -> None:
    with pytest.raises(UnreadablePhoto, match=message):
        decode(data)


@pytest.mark.parametrize(("kind", "name"), [(b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")])
def test_text_and_profiles_are_not_unpacked(kind: bytes, name: bytes) -> None:
    bomb = chunk(kind, name + zlib.compress(bytes(10**8)))
    assert difference(decode(SOUND[:33] + bomb + SOUND[33:]), PORTRAIT) == 0
