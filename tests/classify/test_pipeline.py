import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from conftest import BLUE, RED, write_picture

from batchgender import UserError, load_classifier
from batchgender.photos.labels import LabelNames
from batchgender.photos.photo import Photo
from batchgender.photos.source import PhotoSource


def test_every_photo_has_one_row_in_the_order_of_the_paths(red_or_blue: Path, photos: Path) -> None:
    rows = list(load_classifier(red_or_blue).classify(photos))
    expected = sorted(str(file.relative_to(photos)) for file in photos.rglob("*.*"))
    assert [row.path for row in rows] == expected
    for row in rows:
        assert sum(row.probabilities) == pytest.approx(1, abs=1e-5)
        assert row.confidence == max(row.probabilities)
        wrong = row.path[-6:-4] in ("00", "01")
        assert row.label == ("Female" if row.path.startswith("female/") else "Male")
        assert (row.prediction != row.label) == wrong


def test_a_caller_names_what_folders_call_the_classes(red_or_blue: Path, photos: Path) -> None:
    (photos / "female").rename(photos / "mujer")
    names = LabelNames({"female": ["mujer"]})
    rows = list(load_classifier(red_or_blue).classify(photos, label_names=names))
    assert [row.label for row in rows] == [{"mujer": "Female", "male": "Male"}[row.path.split("/")[0]] for row in rows]


def test_unreadable_photos_are_rows_between_the_others(red_or_blue: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", RED)
    (tmp_path / "b.jpg").touch()
    (tmp_path / "c.jpg").write_text("no picture")
    write_picture(tmp_path / "d.jpg", BLUE)
    whole = write_picture(tmp_path / "e.jpg", BLUE, (300, 300)).read_bytes()
    (tmp_path / "e.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "f.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "g.heic").write_bytes(b"\0\0\0\x18ftypheic")
    os.mkfifo(tmp_path / "h.jpg")
    rows = list(load_classifier(red_or_blue).classify(tmp_path))
    assert [row.prediction for row in rows] == ["Female", "", "", "Male", "", "", "", ""]
    assert [bool(row.error) for row in rows] == [not row.prediction for row in rows]
    assert all(row.probabilities == () and row.confidence is None for row in rows if row.error)
    assert "empty" in rows[1].error and "truncated" in rows[4].error and "No such file" in rows[5].error
    assert "HEIC" in rows[6].error and "pipe" in rows[7].error


def test_a_folder_of_only_unreadable_photos_gives_their_rows(red_or_blue: Path, tmp_path: Path) -> None:
    for index in range(40):
        (tmp_path / f"{index:02}.jpg").touch()
    rows = list(load_classifier(red_or_blue).classify(tmp_path))
    assert len(rows) == 40 and all(row.error == "empty file" for row in rows)


def test_a_photo_or_folder_that_may_not_be_read_is_said(unprivileged: Path) -> None:
    photos = unprivileged / "photos"
    write_picture(photos / "a.jpg").chmod(0)
    write_picture(photos / "closed" / "b.jpg")
    write_picture(photos / "open" / "c.jpg")
    (photos / "closed").chmod(0)
    warnings: list[str] = []
    rows = list(load_classifier(unprivileged / "model.onnx").classify(photos, notify=warnings.append))
    assert [row.path for row in rows] == ["a.jpg", "open/c.jpg"]
    assert "Permission denied" in rows[0].error and rows[1].prediction == "Female"
    (warning,) = warnings
    assert "closed: can't list this folder (Permission denied), its photos are missing" in warning


def test_photos_that_vanish_between_listing_and_reading_are_rows(red_or_blue: Path, photos: Path) -> None:
    listed = list(PhotoSource([str(photos)], print))
    (photos / "female" / "05.jpg").unlink()
    rows = list(load_classifier(red_or_blue).rows(listed))
    assert [row.path for row in rows if row.error] == ["female/05.jpg"] and len(rows) == 80


def test_rows_stream_and_a_caller_may_stop_early(red_or_blue: Path, photos: Path) -> None:
    taken: list[str] = []
    classifier = load_classifier(red_or_blue, workers=2)

    def listing() -> Iterator[Photo]:
        for _ in range(100):
            for photo in PhotoSource([str(photos)], print):
                taken.append(photo.path)
                yield photo

    assert len(list(islice(classifier.rows(listing()), 5))) == 5
    # Of 8,000 photos only the few batches ahead were asked for.
    assert len(taken) < 1000


def test_library_errors_are_user_errors(red_or_blue: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        list(load_classifier(red_or_blue).classify(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no such model file"):
        load_classifier(tmp_path / "none.onnx")
