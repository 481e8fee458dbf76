from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from photo_files import encoded, exif, segment, with_segments
from PIL import Image
from tiny_detectors import CELL, picture_of_cells

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.faces.cutting import cut_aligned, cut_square
from batchgender.faces.detector import FaceDetector, open_detector
from batchgender.faces.face import Face
from batchgender.faces.face_finder import FaceFinder, Look
from batchgender.photos.decode import decode

Picture = NDArray[np.uint8]
RED, BLUE = (250, 20, 20), (20, 20, 250)


@pytest.fixture(scope="module")
def cells(cell_detector: Path) -> FaceDetector:
    return open_detector(str(cell_detector))


def boxes_of(faces: Sequence[tuple[Face, Picture]]) -> list[tuple[int, int, int, int]]:
    return [(face.x, face.y, face.width, face.height) for face, _ in faces]


def test_every_face_is_found_where_it_is(cells: FaceDetector) -> None:
    picture = picture_of_cells({(0, 0): RED, (2, 3): BLUE})
    found = FaceFinder(cells, margin=0, every=True).cut(picture, 24)
    assert sorted(boxes_of(found)) == [(0, 0, CELL, CELL), (3 * CELL, 2 * CELL, CELL, CELL)]
    assert [face.number for face, _ in found] == [1, 2]
    # What is cut is the face and nothing else.
    for face, cut in found:
        assert cut.shape == (24, 24, 3)
        assert (cut == (RED if face.x == 0 else BLUE)).all()


def test_the_largest_alone_is_one_face(cells: FaceDetector) -> None:
    picture = picture_of_cells({(0, 0): RED, (2, 3): BLUE})
    assert len(FaceFinder(cells, margin=0).cut(picture, 24)) == 1
    assert FaceFinder(cells, margin=0).cut(np.zeros((128, 128, 3), np.uint8), 24) == []


def test_boxes_are_in_pixels_of_the_whole_photo_however_large_it_is(cells: FaceDetector) -> None:
    small = picture_of_cells({(1, 2): RED})
    for factor in (3, 17, 30):
        large = np.kron(small, np.ones((factor, factor, 1), np.uint8))
        jpeg = encoded("JPEG", Image.fromarray(large))
        for data in (large, jpeg):
            ((face, cut),) = FaceFinder(cells, margin=0).cut(data, 64)
            expected = np.array([2, 1, 1, 1]) * CELL * factor
            assert np.abs(np.array([face.x, face.y, face.width, face.height]) - expected).max() <= 2 * factor
            assert np.abs(cut.astype(int) - RED).mean() < 8


def test_a_photo_that_exif_turns_is_looked_at_upright(cells: FaceDetector) -> None:
    jpeg = encoded("JPEG", Image.fromarray(picture_of_cells({(0, 3): RED})))
    turned = with_segments(jpeg, segment(0xE1, exif(6)))
    ((face, _),) = FaceFinder(cells, margin=0).cut(turned, 24)
    shown = decode(turned)
    centre = shown[face.y + face.height // 2, face.x + face.width // 2]
    assert np.abs(centre.astype(int) - RED).max() < 12


def test_a_small_face_in_a_large_photo_is_cut_from_all_its_pixels(cells: FaceDetector) -> None:
    # A checkerboard in the face: of a smaller copy it would be gray.
    large = np.kron(picture_of_cells({(1, 1): RED}), np.ones((8, 8, 1), np.uint8))
    face = large[256:512, 256:512]
    face[::2, ::2], face[1::2, 1::2] = (255, 255, 255), (255, 255, 255)
    ((_, cut),) = FaceFinder(cells, margin=0).cut(encoded("JPEG", Image.fromarray(large), quality=95), 256)
    assert cut[..., 1].std() > 80


def test_faces_below_the_smallest_are_none(cells: FaceDetector) -> None:
    picture = picture_of_cells({(1, 1): RED})
    assert FaceFinder(cells, margin=0, min_face=CELL).cut(picture, 24)
    assert not FaceFinder(cells, margin=0, min_face=CELL + 2).cut(picture, 24)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (20_000, 50), (31, 33)])
def test_pictures_of_odd_shapes_show_no_face_and_are_no_error(cells: FaceDetector, shape: tuple[int, int]) -> None:
    for every in (False, True):
        assert FaceFinder(cells, margin=0.1, every=every).cut(np.zeros((*shape, 3), np.uint8), 24) == []


def test_what_is_no_picture_is_an_unreadable_photo(cells: FaceDetector) -> None:
    with pytest.raises(UnreadablePhoto):
        FaceFinder(cells, margin=0).cut(b"no picture", 24)


def test_beyond_the_edge_the_edge_is_repeated() -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:, :5], picture[:, 5:] = RED, BLUE
    cut = cut_square(picture, np.array([-4, 2, 10, 10], np.float32), margin=0.5)
    assert cut.shape == (20, 20, 3)
    # The square is from -9 to 11: columns left of 5 and beyond are the left edge's, those right of it the right one's.
    assert (cut[:, :14] == RED).all() and (cut[:, 14:] == BLUE).all()


def test_a_tilted_face_is_turned_until_its_eyes_are_level() -> None:
    upright = np.zeros((200, 200, 3), np.uint8)
    cv2.circle(upright, (80, 90), 6, RED, -1)
    cv2.circle(upright, (120, 90), 6, BLUE, -1)
    turn = cv2.getRotationMatrix2D((100, 100), 25, 1)
    tilted = np.asarray(cv2.warpAffine(upright, turn, (200, 200)), np.uint8)
    eyes = np.array([turn @ (80, 90, 1), turn @ (120, 90, 1)], np.float32)
    cut = cut_aligned(tilted, np.array([50, 50, 100, 100], np.float32), 0, eyes)
    rows = [np.nonzero(cut[..., channel] > 150)[0].mean() for channel in (0, 2)]
    assert abs(rows[0] - rows[1]) < 1
    assert abs(rows[0] - 40) < 1


def test_what_is_no_detector_is_refused_in_one_line(red_or_blue: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no face detector of this kind .*fetch-detector"):
        open_detector(str(red_or_blue))
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    with pytest.raises(UserError, match="text.onnx"):
        open_detector(str(text))


def test_the_real_detector_finds_the_face_in_each_real_photo(faces: Path, yunet: Path) -> None:
    finder = FaceFinder(open_detector(str(yunet)), margin=0.04)
    found = [finder.cut(file.read_bytes(), 64) for file in sorted((faces / "test" / "female").glob("celeba_*"))[:50]]
    assert sum(len(each) == 1 for each in found) >= 49
    for ((face, _),) in filter(None, found):
        # CelebA has the face in the middle, about half as wide as the picture.
        assert 25 <= face.width <= 60 and abs(face.x + face.width / 2 - 44) < 12


def test_a_crowd_is_found_whole(faces: Path, yunet: Path) -> None:
    heads = [decode(file.read_bytes()) for file in sorted((faces / "test" / "male").glob("celeba_*"))[:200]]
    crowd = np.vstack(
        [np.hstack([cv2.resize(head, (89, 109)) for head in heads[at : at + 20]]) for at in range(0, 200, 20)]
    )
    found = FaceFinder(open_detector(str(yunet)), margin=0.04, every=True).find(Look(np.asarray(crowd, np.uint8)))
    assert 195 <= len(found) <= 205
