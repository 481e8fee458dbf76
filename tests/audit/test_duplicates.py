"""Pictures that stand in several places: the same files, nearly the same pictures, and no others."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_picture
from drawn_faces import draw_portrait

from batchgender.audit.duplicates import SamePictures, photo_prints, same_pictures
from batchgender.io import silent
from batchgender.photos.source import PhotoSource


def found(folder: Path) -> list[SamePictures]:
    return same_pictures(photo_prints(list(PhotoSource([str(folder)])), silent))


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A folder with one portrait among 30 others."""
    rng = np.random.default_rng(0)
    for index in range(31):
        image = draw_portrait(("female", "male")[index % 2], rng)
        cv2.imwrite(str(tmp_path / f"{index:02}.png"), image[..., ::-1])
    return tmp_path / "00.png"


def test_different_portraits_are_different(portrait: Path) -> None:
    assert found(portrait.parent) == []


def test_copies_are_found_whatever_was_done_to_them(portrait: Path) -> None:
    image = cv2.imread(str(portrait))
    assert image is not None
    height, width = image.shape[:2]
    changed = {
        "small.jpg": cv2.resize(image, (90, 90), interpolation=cv2.INTER_AREA),
        "poor.jpg": image,
        "bright.png": cv2.convertScaleAbs(image, alpha=1.15, beta=10),
        "cropped.png": image[3 : height - 3, 3 : width - 3],
    }
    for name, picture in changed.items():
        cv2.imwrite(str(portrait.parent / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 30])
    shutil.copy(portrait, portrait.parent / "zz.png")
    (group,) = found(portrait.parent)
    assert sorted(group.paths) == sorted(["00.png", *changed, "zz.png"]) and not group.exact


def test_the_same_bytes_are_exact_whatever_they_are(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "f/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture at all")
    (tmp_path / "d.jpg").write_bytes(b"no picture either")
    assert found(tmp_path) == [SamePictures(["a.jpg", "b.jpg", "f/c.jpg"], exact=True)]


def test_pictures_of_one_colour_are_compared_by_their_bytes_alone(tmp_path: Path) -> None:
    # A perceptual hash sees no colour, and nothing in them.
    for index, color in enumerate(((255, 0, 0), (0, 0, 255), (0, 0, 255))):
        write_picture(tmp_path / f"{index}.png", color)
    assert found(tmp_path) == [SamePictures(["1.png", "2.png"], exact=True)]


def test_no_photos_have_no_duplicates() -> None:
    assert same_pictures([]) == []
