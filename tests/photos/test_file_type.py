import io

import numpy as np
import photo_files  # noqa: F401 - its plugins write HEIC and JPEG XL
import pytest
from drawn_faces import draw_portrait
from PIL import Image

from batchgender.photos.file_type import HEAD, OTHER_ENDINGS, PHOTO_ENDINGS, picture_format

PORTRAIT = Image.fromarray(draw_portrait("male", np.random.default_rng(1)))
SAVED = {
    "JPEG": "JPEG",
    "MPO": "JPEG",
    "PNG": "PNG",
    "WEBP": "WebP",
    "GIF": "GIF",
    "BMP": "BMP",
    "DIB": "",
    "TIFF": "TIFF",
    "AVIF": "AVIF",
    "HEIF": "HEIC",
    "JXL": "JPEG XL",
    "JPEG2000": "JPEG 2000",
    "PPM": "PNM",
    "ICO": "",
    "PDF": "",
    "TGA": "",
    "EPS": "",
}


@pytest.mark.parametrize(("saved", "kind"), SAVED.items())
def test_a_format_is_known_by_its_first_bytes(saved: str, kind: str) -> None:
    stream = io.BytesIO()
    PORTRAIT.save(stream, saved)
    assert picture_format(stream.getvalue()[:HEAD]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", ""),
        (b"\0\0\0\x18ftypqt  \0\0\0\0qt  ", ""),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"P5\n10 10\n255\n", "PNM"),
        (b"P7\nWIDTH 3\n", "PNM"),
        (b"P6 # made by a camera\n10 10\n255\n", "PNM"),
        (b"P6\n10 # wide\n10\n255\n", "PNM"),
        (b"P7 332\n#IMGINFO:80x60\n", ""),
        (b"P1 2 read, P2 3 write", ""),
        (b"P5 is a paper size", ""),
        (b"Paper", ""),
        (b"BM" + bytes(30), ""),
        (b"BMW, a car", ""),
        (b"RIFF\0\0\0\0WAVE", ""),
        (b"<html>", ""),
        (b"", ""),
    ],
)
def test_containers_and_weak_marks_are_looked_at_closely(head: bytes, kind: str) -> None:
    assert picture_format(head) == kind


def test_no_ending_is_a_photos_and_anothers() -> None:
    assert not PHOTO_ENDINGS & OTHER_ENDINGS
    assert all(ending == ending.lower() and ending.startswith(".") for ending in PHOTO_ENDINGS | OTHER_ENDINGS)
