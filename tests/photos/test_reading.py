"""Files to bytes: what is no photo's file is not waited for, and what was not written is not read."""

import os
from pathlib import Path

import pytest
from photo_files import encoded

from batchgender.errors import UnreadablePhoto
from batchgender.photos.reading import read_bytes


def test_a_file_that_can_not_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePhoto, match="No such file"):
        read_bytes(str(tmp_path / "gone.jpg"))
    with pytest.raises(UnreadablePhoto, match="directory"):
        read_bytes(str(tmp_path))


def test_a_file_too_large_for_any_picture_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge.jpg", "wb") as stream:
        stream.truncate(3 * 10**9)
    with pytest.raises(UnreadablePhoto, match="larger than the limit of 800 MB"):
        read_bytes(str(tmp_path / "huge.jpg"))


@pytest.mark.skipif(not hasattr(os, "SEEK_HOLE"), reason="this system knows no holes in files")
def test_a_file_that_is_mostly_a_hole_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(encoded("JPEG"))
    os.truncate(file, 500_000_000)
    with pytest.raises(UnreadablePhoto, match="of its 500 MB only 0 MB were written"):
        read_bytes(str(file))
    # A few zeros that a copy left out.
    with open(file, "r+b") as stream:
        os.ftruncate(stream.fileno(), 10_000_000)
        stream.seek(2_000_000)
        stream.write(bytes(range(256)) * 31_250)
    assert len(read_bytes(str(file))) == 10_000_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_that_takes_a_photos_place_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(encoded("JPEG"))
    seen = os.stat(photo)
    photo.unlink()
    os.mkfifo(photo)
    # What was looked at a moment before was a file.
    monkeypatch.setattr(os, "stat", lambda path: seen)
    assert read_bytes(str(photo)) == b""
