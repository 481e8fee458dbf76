import os
from pathlib import Path

import pytest
from conftest import write_picture

from batchgender.errors import UserError
from batchgender.photos.source import PhotoSource


def found(*inputs: Path | str, warnings: list[str] | None = None) -> list[str]:
    warn = [] if warnings is None else warnings
    return [photo.path for photo in PhotoSource([str(i) for i in inputs], warn.append)]


def test_photos_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.png", "a.jpg", "a-b/c.webp", "é.jpg", "Z.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = found(tmp_path)
    assert paths == sorted(paths) and len(paths) == 6


def test_other_files_are_counted_and_hidden_ones_left_alone(tmp_path: Path) -> None:
    for name in ("a.jpg", "notes.txt", "b.mp4", "c.mp4", ".hidden.jpg", "README"):
        (tmp_path / name).touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "d.jpg").touch()
    finder = PhotoSource([str(tmp_path)], print)
    assert [photo.path for photo in finder] == ["a.jpg"]
    assert finder.skipped == {".txt": 1, ".mp4": 2, "no ending": 1}


SYSTEM = ("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@Recycle")


@pytest.mark.parametrize("name", [*SYSTEM, "$Recycle.Bin", "@EADIR", ".Trashes"])
def test_what_systems_leave_is_no_photo(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "women" / name / "a.jpg")
    write_picture(tmp_path / name / "deep" / "b.jpg")
    write_picture(tmp_path / "women" / "c.jpg")
    assert found(tmp_path) == ["women/c.jpg"]
    assert found(tmp_path / "**" / "*.jpg") == ["c.jpg"]
    # Who names such a folder means it.
    assert found(tmp_path / name) == ["deep/b.jpg"] and len(found(tmp_path / name / "*" / "*.jpg")) == 1


@pytest.mark.parametrize("name", ["photo", "photo.jpg_large", "photo.pjpeg", "photo.bak", "photo.jpg.1", "a.b (2)"])
def test_a_picture_of_an_unknown_ending_is_a_photo(tmp_path: Path, name: str) -> None:
    picture = write_picture(tmp_path / "a.jpg").read_bytes()
    (tmp_path / name).write_bytes(picture)
    (tmp_path / f"not {name}").write_bytes(b"BM no picture" + bytes(60))
    known = name.endswith((".jpg_large", ".pjpeg"))
    assert set(found(tmp_path)) == {"a.jpg", name, *([f"not {name}"] if known else [])}


def test_only_files_of_unknown_endings_are_opened(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.jpg").read_bytes()
    for name in ("raw.nef", "notes.txt", "list.csv"):
        (tmp_path / name).write_bytes(picture)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) == ["a.jpg"]


def test_a_path_is_relative_to_the_only_folder_and_prefixed_with_one_of_several(tmp_path: Path) -> None:
    write_picture(tmp_path / "one" / "a.jpg")
    write_picture(tmp_path / "two" / "a.jpg")
    assert found(tmp_path / "one") == ["a.jpg"]
    assert found(tmp_path / "one", tmp_path / "two") == [f"{tmp_path}/one/a.jpg", f"{tmp_path}/two/a.jpg"]


def test_a_photo_given_twice_or_inside_a_folder_given_has_one_row(tmp_path: Path) -> None:
    write_picture(tmp_path / "one" / "a.jpg")
    assert len(found(tmp_path / "one", tmp_path / "one", tmp_path / "one" / "a.jpg", tmp_path)) == 1


def test_a_pattern_gives_the_photos_that_match(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.png", "a.txt"):
        (tmp_path / name).touch()
    assert [Path(path).name for path in found(tmp_path / "*.jpg")] == ["a.jpg", "b.jpg"]
    with pytest.raises(UserError, match="no photo matches"):
        found(tmp_path / "*.gif")


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        found(tmp_path / "nowhere")


def test_a_loop_of_links_ends_with_a_warning_and_no_photo_twice(tmp_path: Path) -> None:
    write_picture(tmp_path / "deep" / "a.jpg")
    (tmp_path / "deep" / "back").symlink_to(tmp_path)
    warnings: list[str] = []
    assert found(tmp_path, warnings=warnings) == ["deep/a.jpg"]
    assert len(warnings) == 1 and "link back" in warnings[0]


def test_a_link_to_itself_hides_no_other_photo(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    warnings: list[str] = []
    assert found(tmp_path, warnings=warnings) == ["a.jpg", "self.jpg"] and not warnings
    assert len(found(tmp_path / "a.jpg", tmp_path / "self.jpg")) == 2


def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    write_picture(tmp_path / "elsewhere" / "a.jpg")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "linked").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "given") == ["linked/a.jpg"]


def test_a_folder_that_goes_away_while_others_are_read_is_warned_of(tmp_path: Path) -> None:
    write_picture(tmp_path / "a" / "1.jpg")
    write_picture(tmp_path / "b" / "1.jpg")
    warnings: list[str] = []
    photos = iter(PhotoSource([str(tmp_path)], warnings.append))
    assert next(photos).path == "a/1.jpg"
    (tmp_path / "b" / "1.jpg").unlink()
    (tmp_path / "b").rmdir()
    assert list(photos) == []
    assert len(warnings) == 1 and "can't list this folder" in warnings[0]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX names files in bytes")
def test_bytes_that_are_no_utf8_are_shown_escaped(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    try:
        open(name, "wb").close()
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    assert found(tmp_path) == ["caf\\xe9.jpg"]
