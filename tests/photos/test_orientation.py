"""Which way up: wherever a format keeps it, still and animated."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from photo_files import PORTRAIT, chunk, difference, encoded, exif, segment, tiff, with_segments
from PIL import Image, ImageOps, PngImagePlugin

from batchgender.photos.decode import decode

XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'
JPEG, PNG, JPEG_2000 = (encoded(format) for format in ("JPEG", "PNG", "JPEG2000"))


def animated(format: str, **options: Any) -> bytes:
    return encoded(format, save_all=True, append_images=[Image.fromarray(255 - PORTRAIT)], **options)


def upright(orientation: int) -> NDArray[Any]:
    turned = Image.open(io.BytesIO(encoded("PNG", exif=exif(orientation))))
    return np.asarray(ImageOps.exif_transpose(turned))


def with_text(name: str, text: str, zipped: bool = False) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(name, text, zip=zipped)
    return encoded("PNG", pnginfo=info)


def with_xmp(xmp: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    return encoded("PNG", pnginfo=info)


def profile(kind: str, data: bytes) -> str:
    """As ImageMagick writes it."""
    return f"\n{kind}\n{len(data):8}\n{data.hex()}\n"


def with_box(data: bytes, behind: bool) -> bytes:
    """A JPEG 2000 with one more box, before or behind the picture."""
    box = struct.pack(">I", len(data) + 8) + b"uuid" + data
    if not behind:
        return JPEG_2000[:32] + box + JPEG_2000[32:]
    start = JPEG_2000.find(b"jp2c") - 4
    return JPEG_2000[:start] + struct.pack(">I", len(JPEG_2000) - start) + JPEG_2000[start + 4 :] + box


def in_xmp(text: str) -> bytes:
    return with_segments(JPEG, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + text.encode()))


def avif(irot: int, imir: int) -> bytes:
    """An AVIF whose own boxes turn it by `irot` quarters to the left, and mirror it then about axis `imir`."""
    # Pillow writes both boxes for this orientation: here their values are replaced.
    data = encoded("AVIF", exif=exif(5), quality=90)
    place = data.find(b"irot") + 4
    data = data[:place] + bytes((irot,)) + data[place + 1 :]
    place = data.find(b"imir")
    return data[: place + 4] + bytes((imir,)) + data[place + 5 :]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_and_xmp_turn_every_format(orientation: int) -> None:
    xmp = XMP.format(orientation)
    block = exif(orientation)
    files = {
        "JPEG": encoded("JPEG", exif=b"Exif\0\0" + block),
        "MPO": animated("MPO", exif=b"Exif\0\0" + block),
        **{f: encoded(f, exif=block) for f in ("PNG", "WEBP", "TIFF", "AVIF")},
        **{f"{f} of several frames": animated(f, exif=block) for f in ("PNG", "WEBP")},
        **{f"{f} by XMP": encoded(f, xmp=xmp.encode()) for f in ("JPEG", "WEBP", "AVIF")},
        "JPEG, the other byte order": with_segments(JPEG, segment(0xE1, b"Exif\0\0" + exif(orientation, ">"))),
        "JPEG, XMP of another prefix": in_xmp(
            f"<x xmlns:t='http://ns.adobe.com/tiff/1.0/'><t:Orientation> {orientation} </t:Orientation>"
        ),
        "PNG, behind the picture": PNG[:-12] + chunk(b"eXIf", block) + PNG[-12:],
        "PNG, JPEG's prefix": PNG[:33] + chunk(b"eXIf", b"Exif\0\0" + block) + PNG[33:],
        "PNG by XMP": with_xmp(xmp),
        "PNG, ImageMagick's EXIF": with_text("Raw profile type exif", profile("exif", b"Exif\0\0" + block), True),
        "PNG, ImageMagick's APP1": with_text("Raw profile type APP1", profile("generic", b"Exif\0\0" + block)),
        "PNG, ImageMagick's XMP": with_text("Raw profile type xmp", profile("xmp", xmp.encode()), True),
        "TIFF by XMP": encoded("TIFF", tiffinfo={700: xmp.encode()}),
        "TIFF of 16 bits": tiff(PORTRAIT.astype(np.uint16) * 257, 16, {274: [orientation]}),
        "TIFF of floats": tiff((PORTRAIT / 255).astype(np.float32), 32, {274: [orientation]}),
        "TIFF, first page": animated("TIFF", tiffinfo={274: orientation}),
        "JPEG 2000": with_box(b"JpgTiffExif->JP2" + block, False),
        "JPEG 2000, behind": with_box(b"JpgTiffExif->JP2Exif\0\0" + block, True),
        "JPEG 2000, Photoshop's": with_box(bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e") + block, False),
        "JPEG 2000 by XMP": with_box(bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + xmp.encode(), False),
    }
    wrong = {name: difference(decode(data), upright(orientation)) for name, data in files.items()}
    assert max(wrong.values()) < 8, wrong


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("axis", [0, 1])
def test_the_boxes_of_an_avif_turn_and_mirror_it(quarters: int, axis: int) -> None:
    turned = np.rot90(PORTRAIT, quarters)
    # Axis 0 exchanges top and bottom, axis 1 left and right.
    expected = turned[::-1] if axis == 0 else turned[:, ::-1]
    assert difference(decode(avif(quarters, axis)), expected) < 6


@pytest.mark.parametrize(
    ("name", "data", "orientation"),
    [
        ("EXIF goes before XMP", with_segments(in_xmp(XMP.format(6)), segment(0xE1, b"Exif\0\0" + exif(3))), 3),
        ("upright, too", with_segments(in_xmp(XMP.format(6)), segment(0xE1, b"Exif\0\0" + exif(1))), 1),
        ("damaged EXIF says nothing", with_segments(in_xmp(XMP.format(6)), segment(0xE1, b"Exif\0\0abc")), 6),
        ("no such orientation", with_segments(JPEG, segment(0xE1, b"Exif\0\0" + exif(0))), 1),
        ("nor this one", with_segments(JPEG, segment(0xE1, b"Exif\0\0" + exif(9))), 1),
        ("another name's number", in_xmp('<x foo:Orientation="6"/>'), 1),
        ("damaged EXIF in a PNG", PNG[:33] + chunk(b"eXIf", b"garbage") + PNG[33:], 1),
        ("damaged EXIF in a WebP", encoded("WEBP", exif=b"garbage"), 1),
        ("a damaged profile", with_text("Raw profile type exif", "\nexif\n  4\nzzzz"), 1),
        ("EXIF that points behind itself", with_segments(JPEG, segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f")), 1),
    ],
)
def test_which_orientation_holds(name: str, data: bytes, orientation: int) -> None:
    assert difference(decode(data), upright(orientation)) < 8, name
