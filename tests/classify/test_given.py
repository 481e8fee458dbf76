"""What a program gives to `Classifier.classify`: a source of its own, of names and bytes."""

import threading
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BLUE, RED, picture

from batchgender import Row, UserError, load_classifier
from batchgender.photos.labels import LabelNames


def answers(rows: Iterator[Row]) -> list[tuple[str, str, str]]:
    return [(row.path, row.prediction, row.label) for row in rows]


@pytest.fixture
def jpeg(photos: Path) -> dict[str, bytes]:
    """A red and a blue photo, as the bytes of their files."""
    return {"red": (photos / "female" / "05.jpg").read_bytes(), "blue": (photos / "male" / "05.png").read_bytes()}


def test_a_source_gives_bytes_pixels_and_functions_in_its_own_order(red_or_blue: Path, jpeg: dict[str, bytes]) -> None:
    source = [
        ("z.jpg", jpeg["red"]),
        ("women/a.jpg", bytearray(jpeg["blue"])),
        ("pixels", picture(RED)),
        ("view", memoryview(jpeg["blue"])),
        (Path("men") / "b.jpg", lambda: jpeg["red"]),
        ("read", lambda: picture(BLUE), "female"),
        ("men/c.jpg", jpeg["blue"], ""),
    ]
    expected = [
        ("z.jpg", "Female", ""),
        ("women/a.jpg", "Male", "Female"),
        ("pixels", "Female", ""),
        ("view", "Male", ""),
        ("men/b.jpg", "Female", "Male"),
        ("read", "Male", "Female"),
        ("men/c.jpg", "Male", ""),
    ]
    classifier = load_classifier(red_or_blue)
    for given in (source, tuple(source), iter(source)):
        assert answers(classifier.classify(given)) == expected
    assert answers(classifier.classify(*source)) == expected
    assert {row.label for row in classifier.classify(source, labelled=False)} == {""}


def test_names_of_classes_hold_for_the_labels_of_a_source(red_or_blue: Path, jpeg: dict[str, bytes]) -> None:
    source = [("a", jpeg["red"], "Frau"), ("b", jpeg["red"], "Mann"), ("c", jpeg["red"], None)]
    rows = load_classifier(red_or_blue).classify(source, label_names=LabelNames({"female": ["frau"]}))
    assert [row.label for row in rows] == ["Female", "", ""]


def test_a_source_is_an_object_that_anyone_writes(red_or_blue: Path, photos: Path, tmp_path: Path) -> None:
    class Archive:
        """Reads on the threads that ask, each member by a handle of its own."""

        def __init__(self) -> None:
            self.threads: set[int] = set()

        def __iter__(self) -> Iterator[tuple[str, Any]]:
            with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
                for name in archive.namelist():
                    yield name, lambda name=name: self.read(name)

        def read(self, name: str) -> bytes:
            self.threads.add(threading.get_ident())
            with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
                return archive.read(name)

    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in sorted(photos.rglob("*.*")):
            archive.write(file, file.relative_to(photos))
    classifier = load_classifier(red_or_blue, workers=2)
    source = Archive()
    expected = list(classifier.classify(photos))
    assert list(classifier.classify(source)) == list(classifier.classify(source)) == expected
    assert threading.get_ident() not in source.threads and len(source.threads) > 1


def test_an_endless_source_is_read_a_few_batches_ahead(red_or_blue: Path, jpeg: dict[str, bytes]) -> None:
    taken: list[None] = []

    def endless() -> Iterator[tuple[str, bytes]]:
        while True:
            taken.append(None)
            yield f"{len(taken)}", jpeg["red"]

    rows = list(islice(load_classifier(red_or_blue, workers=1).classify(endless()), 50))
    assert [row.path for row in rows] == [str(number) for number in range(1, 51)] and len(taken) < 1000


def test_what_a_source_gives_that_is_no_photo_is_a_row(red_or_blue: Path, jpeg: dict[str, bytes]) -> None:
    def fails() -> bytes:
        raise KeyError("no such object")

    source: list[Any] = [
        ("a", b"no picture"),
        ("b", fails),
        ("c", lambda: None),
        ("d", np.zeros((4, 4), np.float32)),
        ("e", lambda: np.zeros((4, 4), np.uint8)),
        ("f", b""),
        ("g", jpeg["blue"]),
    ]
    rows = list(load_classifier(red_or_blue).classify(source))
    assert [row.path for row in rows] == list("abcdefg") and rows[-1].prediction == "Male"
    reasons = ("no image", "KeyError: 'no such object'", "NoneType: neither bytes", "float32 [4, 4]", "[4, 4]", "empty")
    for row, reason in zip(rows, reasons, strict=False):
        assert reason in row.error and not row.prediction


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("a", b""), "b.jpg"], "a source gave str; a photo is"),
        ([("a", b""), (1, b"")], r"a source gave \(int, bytes\)"),
        ([b"\xff\xd8"], "bytes: no photo; give paths, arrays, or tuples"),
        (b"\xff\xd8", "bytes: no photo"),
        (3, "int: no photo"),
        ([[("a", b"")]], "bytes: no photo"),
    ],
)
def test_what_is_no_source_is_refused_in_a_line(red_or_blue: Path, given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(load_classifier(red_or_blue).classify(given))


def test_paths_and_arrays_are_taken_as_before(red_or_blue: Path, photos: Path) -> None:
    classifier = load_classifier(red_or_blue)
    female, male = photos / "female", photos / "male"
    expected = list(classifier.classify(female, male))
    for given in ([female, male], (str(female), str(male)), iter([female, [male]])):
        assert list(classifier.classify(given)) == expected
    arrays = [picture(RED), picture(BLUE)]
    for pixels in (arrays, np.stack(arrays), iter(arrays)):
        assert answers(classifier.classify(pixels)) == [("0", "Female", ""), ("1", "Male", "")]
    assert list(classifier.classify([])) == []
