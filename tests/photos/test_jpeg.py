"""JPEG: what is whole is read, whatever stands around it, and what is damaged is an error, not a half gray picture."""

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from photo_files import PORTRAIT, difference, encoded, segment, with_segments
from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.photos.decode import decode

LARGE = Image.fromarray(cv2.resize(PORTRAIT, (448, 360)))
NOISE = np.random.default_rng(0).integers(0, 256, 40_000).astype(np.uint8).tobytes()
# The last is of a sampling that TurboJPEG does not know.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("RGB", {}),
    "progressive": ("RGB", {"progressive": True}),
    "optimized": ("RGB", {"optimize": True}),
    "4:4:4": ("RGB", {"subsampling": 0}),
    "4:1:1": ("RGB", {"subsampling": "4:1:1"}),
    "restarts": ("RGB", {"restart_marker_blocks": 3}),
    "progressive, restarts": ("RGB", {"progressive": True, "restart_marker_rows": 1}),
    "RGB": ("RGB", {"keep_rgb": True}),
    "gray": ("L", {}),
    "CMYK": ("CMYK", {}),
    "unusual": ("CMYK", {"subsampling": 1}),
}
TRAILERS = {
    "none": b"",
    "Samsung's": b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data17000000SEFHk\0\0\0\x01\0\0\0" + NOISE[:60] + b"SEFT",
    "a video": b"\0\0\0\x18ftypmp42" + NOISE,
    "zeros": bytes(3000),
    "text": b"maker note " * 100,
    "another JPEG": encoded("JPEG", Image.fromarray(PORTRAIT[::4, ::4].copy())),
}


def jpeg(kind: str) -> bytes:
    mode, options = KINDS[kind]
    return encoded("JPEG", LARGE.convert(mode), **options)


def pixels_by_pillow(data: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_picture_is_read_whatever_stands_around_it(kind: str) -> None:
    data = jpeg(kind)
    expected = pixels_by_pillow(data)
    scan = data.find(b"\xff\xda")
    thumbnail = encoded("JPEG", LARGE.resize((60, 50)))
    sound = {
        "as it is": data,
        "bytes between segments": data[:scan] + b"abc" + data[scan:],
        "padding before a marker": data[:scan] + b"\xff" * 9 + data[scan:],
        "padding before the end mark": data[:-2] + bytes(6) + data[-2:],
        "a thumbnail with an end mark": with_segments(data, segment(0xE1, b"Exif\0\0II*\0" + bytes(9) + thumbnail)),
        "profiles": with_segments(data, *[segment(0xE2, bytes(65_000))] * 20),
        "an unknown JFIF": data.replace(b"JFIF\0\1", b"JFIF\0\x63", 1),
        **{f"{name} behind it": data + trailer for name, trailer in TRAILERS.items()},
        **{f"{name} for the end mark": data[:-2] + trailer for name, trailer in TRAILERS.items()},
    }
    if "progressive" in kind:
        # Zeros and text are codes to it, and the last scan may take any number of them.
        sound = {name: each for name, each in sound.items() if not name.endswith(("zeros for the end mark",))}
    wrong = {name: difference(decode(each), expected) for name, each in sound.items()}
    assert max(wrong.values()) < 0.5, wrong


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.03, 0.3, 0.75])
def test_a_picture_that_ends_early_is_an_error_whatever_follows(kind: str, share: float) -> None:
    data = jpeg(kind)
    scan = data.find(b"\xff\xda")
    cut = data[: scan + int((len(data) - scan) * share)]
    missing = len(data) - len(cut)
    fillings = [
        b"",
        bytes(missing),
        bytes(10 * missing),
        b"\xff" * missing,
        (b"The quick brown fox. " * 5000)[:missing],
        NOISE,
        encoded("JPEG"),
    ]
    for filling in fillings:
        for end in (b"", b"\xff\xd9"):
            with pytest.raises(UnreadablePhoto, match="damaged JPEG|truncated JPEG"):
                decode(cut + filling + end)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "progressive" not in kind])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_a_hole_is_an_error(kind: str, share: float) -> None:
    data = jpeg(kind)
    scan = data.find(b"\xff\xda")
    place = scan + int((len(data) - scan) * share)
    for hole in (bytes(1000), b"\xff" * 1000, b""):
        with pytest.raises(UnreadablePhoto, match="JPEG"):
            decode(data[:place] + hole + data[place + 1000 :])


def test_scans_that_are_missing_are_an_error() -> None:
    data = jpeg("progressive")
    places = [place for place in range(len(data)) if data.startswith(b"\xff\xda", place)]
    assert len(places) == 10
    for place in places[1:]:
        with pytest.raises(UnreadablePhoto, match="scans of (a colour|the details) are missing"):
            decode(data[:place] + b"\xff\xd9")


def in_single_scans(image: Image.Image) -> bytes:
    """A baseline JPEG with a scan a component: gray ones put together."""
    parts = [encoded("JPEG", band, quality=90) for band in image.convert("YCbCr").split()]
    frame = parts[0].find(b"\xff\xc0")
    head = parts[0][:frame] + segment(0xC0, parts[0][frame + 4 : frame + 9] + b"\3\1\x11\0\2\x11\0\3\x11\0")
    scans = []
    for number, part in enumerate(parts, 1):
        tables, scan = part.find(b"\xff\xc4"), part.find(b"\xff\xda")
        scans.append(part[tables : scan + 5] + bytes((number,)) + part[scan + 6 : -2])
    return head + b"".join(scans) + b"\xff\xd9"


def test_a_baseline_picture_in_several_scans_is_read_and_its_scans_are_counted() -> None:
    data = in_single_scans(LARGE)
    assert difference(decode(data), np.asarray(LARGE)) < 3
    last = data.rfind(b"\xff\xda")
    with pytest.raises(UnreadablePhoto, match="scans of a colour are missing"):
        decode(data[: data.rfind(b"\xff\xc4")] + b"\xff\xd9")
    with pytest.raises(UnreadablePhoto, match="asks for 203 scans"):
        decode(data[:-2] + data[last:-2] * 200 + b"\xff\xd9")


def test_parameters_that_decide_nothing_hide_no_damage() -> None:
    data = bytearray(jpeg("baseline"))
    expected = pixels_by_pillow(bytes(data))
    scan = data.find(b"\xff\xda")
    data[scan + 11 : scan + 14] = b"\0\0\0"
    assert difference(decode(bytes(data)), expected) == 0
    with pytest.raises(UnreadablePhoto, match="damaged JPEG"):
        decode(bytes(data[: len(data) // 2]) + b"\xff\xd9")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (4, b"\x0c", "12 bits a sample can't be read; convert"),
        (5, b"\0\0", "its header gives it no size"),
        (5, struct.pack(">HH", 60_000, 60_000), "60000 x 60000 pixels, more than the limit"),
        (5, struct.pack(">HH", 14_000, 14_000), "more than its [0-9,]* bytes can hold"),
    ],
)
def test_a_frame_that_is_no_photos_is_an_error(offset: int, value: bytes, message: str) -> None:
    data = jpeg("baseline")
    place = data.find(b"\xff\xc0") + offset
    with pytest.raises(UnreadablePhoto, match=message):
        decode(data[:place] + value + data[place + len(value) :])


def test_a_video_behind_a_progressive_picture_is_not_taken_for_its_scans() -> None:
    data = jpeg("progressive")
    assert difference(decode(data + b"\xff\xda" * 500), pixels_by_pillow(data)) == 0
