"""What is dropped on the page, as photos: names, zips, and what is too much."""

import zipfile
from pathlib import Path

import pytest
from conftest import write_picture

from batchgender.errors import UserError
from batchgender.ui.uploads import Limits, uploaded_photos

DEFAULTS = Limits()


def paths(*files: Path, limits: Limits = DEFAULTS) -> list[str]:
    return [photo.path for photo in uploaded_photos(list(map(str, files)), limits)[0]]


def test_photos_of_one_name_are_numbered_and_other_files_counted(tmp_path: Path) -> None:
    files = [write_picture(tmp_path / folder / "a.png") for folder in "xyz"]
    other = write_picture(tmp_path / "a (2).png")
    note = tmp_path / "note.txt"
    note.write_text("no photo")
    found, left_out = uploaded_photos(list(map(str, [*files[:2], other, files[2], note])), Limits())
    assert [photo.path for photo in found] == ["a.png", "a (2).png", "a (2) (2).png", "a (3).png"]
    assert left_out == "Left out, not photos: .txt 1."


def test_a_zip_keeps_its_folders_and_nothing_steps_out_of_it(tmp_path: Path) -> None:
    photo = write_picture(tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("../../male/a.png", photo)
        archive.writestr("/female/b.png", photo)
    found, _ = uploaded_photos([str(tmp_path / "z.zip")], Limits())
    assert [photo.path for photo in found] == ["z.zip/female/b.png", "z.zip/male/a.png"]
    assert [photo.label_among(["Female", "Male"]) for photo in found] == ["Female", "Male"]


def test_what_is_too_much_or_nothing_is_said(tmp_path: Path) -> None:
    photo = write_picture(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(3):
            archive.writestr(f"{index}.jpg", b"\xff\xd8\xff" + bytes(1_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 10_000
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 broken")
    for files, limits, message in [
        ([photo, photo], Limits(photos=1), "more than 1 photos"),
        ([tmp_path / "bomb.zip"], Limits(megabytes=2), "more than 2 MB, unpacked"),
        ([tmp_path / "empty.zip"], Limits(), "no photos"),
        ([tmp_path / "broken.zip"], Limits(), "^broken.zip: no zip archive"),
    ]:
        with pytest.raises(UserError, match=message):
            paths(*files, limits=limits)
    assert len(paths(tmp_path / "bomb.zip")) == 3
