import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import write_picture

from batchgender.errors import UserError
from batchgender.photos.source import PhotoSource, skipped_text


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


def test_many_kinds_of_files_left_out_are_summed(tmp_path: Path) -> None:
    names = [f"{number}.{ending}" for number, ending in enumerate(["txt"] * 3 + ["log"] * 2 + list("abcdefghijkl"))]
    for name in (*names, "README", "Dr. Smith's notes", "x.a b"):
        (tmp_path / name).touch()
    finder = PhotoSource([str(tmp_path)])
    assert not list(finder)
    said = skipped_text(finder.skipped)
    assert said.startswith(".txt 3, no ending 3, .log 2, ") and said.count(",") == 10
    kinds = dict(part.rsplit(" ", 1) for part in said.split(", "))
    assert sum(map(int, kinds.values())) == len(list(tmp_path.iterdir())) and "others" in kinds


SYSTEM = """
__MACOSX @eaDir #recycle $RECYCLE.BIN $Recycle.Bin @EADIR RECYCLER lost+found LOST.DIR @Recycle @Recently-Snapshot
#snapshot @tmp FOUND.000 found.012 .Trashes .Trash-1000 .thumbnails
"""


@pytest.mark.parametrize("name", [*SYSTEM.split(), "System Volume Information", "Network Trash Folder"])
def test_what_systems_leave_is_no_photo(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "women" / name / "a.jpg")
    write_picture(tmp_path / name / "deep" / "b.jpg")
    write_picture(tmp_path / "women" / "c.jpg")
    assert found(tmp_path) == ["women/c.jpg"]
    for pattern in ("**/*.jpg", "women/**/*.jpg", "w*/**/?.jpg"):
        assert found(tmp_path / pattern) == ["c.jpg"]


@pytest.mark.parametrize("name", ["@eaDir", "lost+found", ".cache"])
def test_who_names_a_folder_of_a_system_means_it(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "women" / name / "a.jpg")
    write_picture(tmp_path / "women" / name / "@tmp" / "b.jpg")
    write_picture(tmp_path / "women" / "c.jpg")
    assert found(tmp_path / "women" / name) == ["a.jpg"]
    assert found(tmp_path / "women" / name / "a.jpg") == ["a.jpg"]
    assert found(tmp_path / "*" / name / "*.jpg") == ["a.jpg"]
    assert found(tmp_path / "*" / name / "**" / "*.jpg") == ["a.jpg"]
    # A walk of the folder above leaves it out, so that its photos are found once.
    both = found(tmp_path / "women", tmp_path / "women" / name)
    assert both == [f"{tmp_path}/women/c.jpg", f"{tmp_path}/women/{name}/a.jpg"]


@pytest.mark.parametrize(
    "name", ["Recycled", "@work", "#summer", "$$$", "snapshot", "tmp", "found", "eaDir", "_MACOSX"]
)
def test_what_people_name_their_folders_is_no_systems(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name / "a.jpg")
    assert found(tmp_path) == [f"{name}/a.jpg"]


def test_a_file_named_as_a_systems_folder_is_a_photo(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg").rename(tmp_path / "recycler")
    assert found(tmp_path) == ["recycler"]


@pytest.mark.parametrize("name", ["photo", "photo.jpg_large", "photo.pjpeg", "photo.bak", "photo.jpg.1", "a.b (2)"])
def test_a_picture_of_an_unknown_ending_is_a_photo(tmp_path: Path, name: str) -> None:
    picture = write_picture(tmp_path / "a.jpg").read_bytes()
    (tmp_path / name).write_bytes(picture)
    (tmp_path / f"not {name}").write_bytes(b"BM no picture" + bytes(60))
    known = name.endswith((".jpg_large", ".pjpeg"))
    assert set(found(tmp_path)) == {"a.jpg", name, *([f"not {name}"] if known else [])}
    assert found(tmp_path / name) == [name]
    assert name in [Path(path).name for path in found(tmp_path / "*")]


@pytest.mark.parametrize(
    "name", ["a.nef", "a.dng", "a.DNG_original", "a.txt", "a.mov", "a.pdf", "a.svg", "a.xmp", "a.part"]
)
def test_a_file_of_a_known_other_ending_is_no_photo_whatever_it_holds(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "a.tif").rename(tmp_path / name)
    assert found(tmp_path) == []


def test_only_files_of_unknown_endings_are_opened(tmp_path: Path) -> None:
    for name in ("a.jpg", "raw.nef", "notes.txt", "list.csv", "unknown", "b.old"):
        write_picture(tmp_path / "new.png").rename(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("nowhere")
    # What a process opens, by its own audit events.
    code = """
import sys
from batchgender.photos.source import PhotoSource
opened = []
sys.addaudithook(lambda event, told: opened.append(told[0]) if event == "open" else None)
print([photo.path for photo in PhotoSource([sys.argv[1]])])
print(sorted({file.rsplit("/", 1)[1] for file in map(str, opened) if file.startswith(sys.argv[1])}))
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["['a.jpg', 'b.old', 'unknown']", "['b.old', 'unknown']"]


def test_a_file_of_an_unknown_ending_that_can_not_be_opened_is_left_out(unprivileged: Path) -> None:
    write_picture(unprivileged / "photo.jpg").rename(unprivileged / "photo")
    write_picture(unprivileged / "closed.jpg").rename(unprivileged / "closed")
    (unprivileged / "closed").chmod(0)
    finder = PhotoSource([str(unprivileged)])
    assert [photo.path for photo in finder] == ["photo"] and finder.skipped["no ending"] == 1


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


def test_the_first_photos_of_a_compressed_archive_hold_little_memory(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "large.tar.gz", "w:gz", compresslevel=1) as archive:
        for index in range(40):
            member = tarfile.TarInfo(f"{index:02}.bmp")
            member.size = 4_000_000
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    source = PhotoSource([str(tmp_path / "large.tar.gz")])
    first = source.first(100)
    assert 1 < len(first) < 40
    assert [photo.path for photo in source][: len(first)] == [photo.path for photo in first]
