"""Zip archives as a place of photos."""

import struct
import tracemalloc
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archive_files import DOS, Zipped, contents, pack, write_zip, zeros
from conftest import write_picture

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.photo import Photo
from batchgender.photos.source import PhotoSource

CLASSES = ["Female", "Male"]
JPEG = b"\xff\xd8\xff\xe0 no more than its beginning"


def found(*inputs: Path | str, said: list[str] | None = None) -> list[Photo]:
    return list(PhotoSource([str(each) for each in inputs], ([] if said is None else said).append))


def paths(*inputs: Path | str) -> list[str]:
    return [photo.path for photo in found(*inputs)]


def error(photo: Photo) -> str:
    with pytest.raises(UnreadablePhoto) as raised:
        photo.read()
    return str(raised.value)


def labels(*inputs: Path | str) -> list[str]:
    return [photo.names.label_of(photo.path, CLASSES, photo.root) for photo in found(*inputs) if photo.names]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of photos and of much else."""
    for name in ("b.jpg", "a/z.png", "a.jpg", "a-b/c.webp", "é.jpg", "Z.JPG", "women/1.jpg", "women/men/2.jpg"):
        write_picture(tmp_path / "album" / name)
    for name in ("photo.bak", "no ending", "women/3.jpg.1"):
        write_picture(tmp_path / "new.png").rename(tmp_path / "album" / name)
    for name in (".hidden.jpg", "__MACOSX/a.jpg", "a/.cache/b.jpg", "@eaDir/c.jpg", "LOST.DIR/d.jpg"):
        write_picture(tmp_path / "album" / name)
    for name in ("notes.txt", "README", "other.bak", "more.zip", "a.nef"):
        (tmp_path / "album" / name).write_bytes(b"not a picture, but some text")
    return tmp_path / "album"


@pytest.mark.parametrize("ending", ["zip", "ZIP", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_an_archive_has_the_photos_of_the_folder_that_it_was_made_of(album: Path, tmp_path: Path, ending: str) -> None:
    archive = pack(album, tmp_path / f"x.{ending.lower()}").rename(tmp_path / f"album.{ending}")
    before = contents(tmp_path)
    folder, packed = PhotoSource([str(album)]), PhotoSource([str(archive)])
    expected, got = list(folder), list(packed)
    if "." in ending or ending == "tgz":
        # In the order of the archive, which `pack` sorted.
        got.sort(key=lambda photo: photo.path)
    assert [photo.path for photo in got] == [photo.path for photo in expected]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(Photo.read, got)) == [photo.read() for photo in expected]
    assert packed.skipped == folder.skipped and folder.skipped[".zip"] == 1
    assert packed.count_up_to(100) == packed.total() == len(expected)
    assert labels(archive) == labels(album) and set(labels(album)) == {"Female", "Male", ""}
    assert contents(tmp_path) == before


def test_an_archive_is_a_folder_of_its_name(tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "1.jpg")
    for name in ("men.zip", "women.tar", "females.tgz", "girls.tar.gz"):
        pack(tmp_path / "photos", tmp_path / name)
    assert labels(tmp_path / "men.zip") == ["Male"] and labels(tmp_path / "women.tar") == ["Female"]
    assert labels(tmp_path / "girls.tar.gz") == ["Female"] and labels(tmp_path / "females.tgz") == [""]
    both = (tmp_path / "men.zip", tmp_path / "girls.tar.gz")
    assert paths(*both) == [f"{tmp_path}/girls.tar.gz/1.jpg", f"{tmp_path}/men.zip/1.jpg"]
    assert labels(*both) == ["Female", "Male"]


def test_archives_are_opened_where_they_are_given_and_left_out_of_folders(album: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "a.jpg")
    archive = pack(album, tmp_path / "photos" / "album.zip")
    source = PhotoSource([str(tmp_path / "photos")])
    assert [photo.path for photo in source] == ["a.jpg"] and source.skipped == {".zip": 1}
    inside = paths(album)
    assert paths(tmp_path / "photos" / "*.zip") == inside
    given = [f"{archive}/{path}" for path in inside]
    assert paths(tmp_path / "photos", archive) == [f"{tmp_path}/photos/a.jpg", *given]
    assert paths(tmp_path / "photos" / "*") == [f"{tmp_path}/photos/a.jpg", *given]
    assert paths(archive, archive) == inside


def test_names_are_read_as_they_were_written(tmp_path: Path) -> None:
    unicode = "žena.jpg".encode()
    in_cp437 = b"\x82t\x82.jpg"
    field = struct.pack("<2HBL", 0x7075, 5 + len(unicode), 1, zlib.crc32(b"_ena.jpg")) + unicode
    outdated = struct.pack("<2HBL", 0x7075, 5 + len(unicode), 1, zlib.crc32(b"renamed")) + unicode
    members = [
        Zipped("ñ.jpg".encode(), JPEG, flags=0x800, system=DOS),
        Zipped(in_cp437, JPEG, system=DOS),
        Zipped(b"u" + in_cp437, JPEG),
        Zipped(b"_ena.jpg", JPEG, extra=field, system=DOS),
        Zipped(b"other.jpg", JPEG, extra=outdated, system=DOS),
        # As macOS writes them: UTF-8, and not said so.
        Zipped("mac é.jpg".encode(), JPEG, system=19),
        Zipped(b"\xff\xfe.jpg", JPEG, flags=0x800),
        Zipped(b"nul.jpg\0.exe", JPEG),
    ]
    expected = {"ñ.jpg", "été.jpg", "uété.jpg", "žena.jpg", "other.jpg", "mac é.jpg", "\\xff\\xfe.jpg", "nul.jpg"}
    assert set(paths(write_zip(tmp_path / "a.zip", members))) == expected


def test_names_that_lead_out_of_the_archive_are_shown_without_that(tmp_path: Path) -> None:
    names = [b"../../out.jpg", b"/etc/root.jpg", b"a/../b/./c.jpg", b"//server//share.jpg", b"..", b"../.."]
    members = [
        *(Zipped(name, JPEG) for name in names),
        Zipped(b"C:\\album\\1.jpg", JPEG, system=DOS),
        Zipped(b"..\\..\\2.jpg", JPEG, system=DOS),
        Zipped(b"a\\b.jpg", JPEG),
    ]
    file = write_zip(tmp_path / "a.zip", members)
    shown = ["2.jpg", "C:/album/1.jpg", "a/b/c.jpg", "a\\b.jpg", "etc/root.jpg", "out.jpg", "server/share.jpg"]
    assert paths(file) == shown
    assert {photo.read() for photo in found(file)} == {JPEG}
    assert list(tmp_path.iterdir()) == [file]


def test_directories_are_no_photos(tmp_path: Path) -> None:
    members = [Zipped(b"a.jpg/", b"", mode=0o040755), Zipped(b"a.jpg/b.jpg", JPEG), Zipped(b"c.jpg/", JPEG)]
    assert paths(write_zip(tmp_path / "a.zip", members)) == ["a.jpg/b.jpg"]


def test_of_members_of_one_name_the_last_counts_and_that_is_said_once(tmp_path: Path) -> None:
    members = [Zipped(b"a.jpg", JPEG + b"1"), Zipped(b"b.jpg", JPEG), Zipped(b"./a.jpg", JPEG + b"2")]
    file = write_zip(tmp_path / "a.zip", members)
    said: list[str] = []
    source = PhotoSource([str(file)], said.append)
    for _ in range(2):
        assert [(photo.path, photo.read()) for photo in source] == [("a.jpg", JPEG + b"2"), ("b.jpg", JPEG)]
    assert said == [f"{file}: names that stand in it several times: 1; the last member of each name counts"]


def test_a_link_is_the_member_that_it_leads_to(tmp_path: Path) -> None:
    def link(name: bytes, target: bytes) -> Zipped:
        return Zipped(name, target, mode=0o120777)

    members = [
        Zipped(b"a/1.jpg", JPEG),
        link(b"b/2.jpg", b"../a/1.jpg"),
        link(b"b/3.jpg", b"2.jpg"),
        link(b"b/no ending", b"2.jpg"),
        link(b"gone.jpg", b"/etc/passwd"),
        link(b"gone", b"nowhere"),
        link(b"round.jpg", b"round.jpg"),
    ]
    source = PhotoSource([str(write_zip(tmp_path / "a.zip", members))])
    *whole, gone, turning = source
    assert [photo.path for photo in whole] == ["a/1.jpg", "b/2.jpg", "b/3.jpg", "b/no ending"]
    assert all(photo.read() == JPEG for photo in whole) and source.skipped == {"no ending": 1}
    assert error(gone) == "a link to /etc/passwd, which is not in the archive"
    assert turning.path == "round.jpg" and "a link to round.jpg" in error(turning)


def test_what_can_not_be_unpacked_is_a_row_that_says_why(tmp_path: Path) -> None:
    packed = zlib.compress(JPEG)[2:-4]
    wrong = {
        "encrypted; unpack the archive": Zipped(b"0.jpg", JPEG, flags=1),
        "packed by Deflate64, which is not": Zipped(b"1.jpg", JPEG, 9),
        "packed by method 77, which is not": Zipped(b"2.jpg", JPEG, 77),
        "its check sum is wrong": Zipped(b"3.jpg", JPEG, crc=1),
        "it can't be unpacked": Zipped(b"4.jpg", JPEG, 8, b"\xff" * 20),
        "damaged: 15 of its 40 bytes": Zipped(b"5.jpg", bytes(15), size=40),
        "damaged: larger than the 7 bytes": Zipped(b"6.jpg", JPEG, 8, packed, size=7),
        "it takes more packed than unpacked": Zipped(b"7.jpg", bytes(5000), 8, size=7),
        "larger than the limit of 800 MB": Zipped(b"8.jpg", JPEG, 8, packed, size=10**10),
    }
    # Their endings are known, or what is in them could not be.
    hidden = [Zipped(b"encrypted", JPEG, flags=1), Zipped(b"damaged", JPEG, 8, b"\xff" * 20)]
    photos = found(write_zip(tmp_path / "a.zip", [*wrong.values(), *hidden, Zipped(b"9.jpg", JPEG, 8, packed)]))
    assert [photo.path for photo in photos] == [f"{number}.jpg" for number in range(10)]
    for photo, reason in zip(photos, wrong, strict=False):
        assert reason in error(photo)
    assert photos[9].read() == JPEG


def test_a_photo_whose_bytes_are_not_where_they_should_be_is_a_row_that_says_so(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", [Zipped(b"a.jpg", JPEG), Zipped(b"b.jpg", JPEG)])
    data = file.read_bytes()
    file.write_bytes(b"XX" + data[2:])
    damaged, whole = found(file)
    assert "no member where the archive's directory says" in error(damaged) and whole.read() == JPEG


@pytest.mark.parametrize("claimed", [10**10, 10_000, 700_000_000])
@pytest.mark.parametrize("name", [b"bomb.jpg", b"bomb"])
def test_a_bomb_takes_no_memory(tmp_path: Path, claimed: int, name: bytes) -> None:
    packed = b"".join(zeros(10**10))
    file = write_zip(tmp_path / "a.zip", [Zipped(name, b"", 8, packed, size=claimed), Zipped(b"a.jpg", JPEG)])
    tracemalloc.start()
    try:
        photos = found(file)
        reasons = [error(photo) for photo in photos[1:]]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert photos[0].read() == JPEG
    assert len(reasons) == (name == b"bomb.jpg") and peak < 2**24


def test_a_photo_that_says_it_is_small_is_not_unpacked_beyond_that(tmp_path: Path) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = packer.compress(JPEG) + packer.flush(zlib.Z_FULL_FLUSH) + b"".join(zeros(10**8))
    file = write_zip(tmp_path / "a.zip", [Zipped(b"a.jpg", JPEG, 8, data, size=10**6)])
    (photo,) = found(file)
    tracemalloc.start()
    try:
        assert "larger than the 1,000,000 bytes" in error(photo)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("left", [0, 10, 0.5, 0.98])
def test_a_zip_that_is_cut_short_is_refused_in_one_line(album: Path, tmp_path: Path, left: float) -> None:
    file = pack(album, tmp_path / "a.zip")
    data = file.read_bytes()
    file.write_bytes(data[: int(left * len(data) if left < 1 else left)])
    with pytest.raises(UserError, match="a.zip: no zip archive, or one that is cut short: its central directory"):
        found(file)


def test_a_part_of_a_split_zip_is_refused(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", [Zipped(b"a.jpg", JPEG)], disk=2)
    with pytest.raises(UserError, match="a.zip: a part of a zip that is split into 3; join them"):
        found(file)


def test_a_damaged_directory_is_said_and_other_archives_are_read(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_zip(tmp_path / name, [Zipped(b"1.jpg", JPEG), Zipped(b"2.jpg", JPEG)])
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(b"PK\1\2", b"PK\1\1"))
    said: list[str] = []
    source = PhotoSource([str(tmp_path / "*.zip")], said.append)
    assert [photo.path for photo in source] == [f"{tmp_path}/b.zip/1.jpg", f"{tmp_path}/b.zip/2.jpg"]
    assert source.unlistable == 1 and len(said) == 1 and "a.zip: can't list its members" in said[0]


def test_a_zip_that_can_not_be_opened_is_refused(unprivileged: Path) -> None:
    file = write_zip(unprivileged / "a.zip", [Zipped(b"a.jpg", JPEG)])
    file.chmod(0)
    with pytest.raises(UserError, match="a.zip: can't read this archive .Permission denied"):
        found(file)


def test_what_takes_the_place_of_an_archive_while_it_is_read_is_not_taken_for_it(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", [Zipped(b"a.jpg", JPEG), Zipped(b"b.jpg", JPEG)])
    first, second = found(file)
    assert first.read() == JPEG
    write_zip(tmp_path / "new.zip", [Zipped(b"b.jpg", JPEG[::-1])]).replace(file)
    assert error(second) == "the archive was changed while it was read"
    file.unlink()
    assert error(second).startswith("can't read the archive: No such file")


def test_zip64_and_what_stands_before_an_archive(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [(photo.path, photo.read()) for photo in found(album)]
    plain = pack(album, tmp_path / "plain.zip")
    # As if the limits of the old format were reached at once.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    large = pack(album, tmp_path / "large.zip")
    assert b"PK\6\6" in large.read_bytes() and b"PK\6\6" not in plain.read_bytes()
    for file in (plain, large):
        assert [(photo.path, photo.read()) for photo in found(file)] == expected
        # A program that unpacks itself.
        file.write_bytes(b"MZ" + bytes(5000) + file.read_bytes())
        assert [(photo.path, photo.read()) for photo in found(file)] == expected


def test_a_zip_may_have_more_members_than_its_end_can_count(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", [Zipped(b"00000.jpg", JPEG)])
    data, count = file.read_bytes(), 66_000
    begin, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entries = (data[begin:end].replace(b"00000", b"%05d" % number) for number in reversed(range(count)))
    directory = b"".join(entries)
    sizes = struct.pack("<2H2L", count % 2**16, count % 2**16, len(directory), begin)
    file.write_bytes(data[:begin] + directory + data[end : end + 8] + sizes + data[-2:])
    photos = found(file)
    assert [photo.path for photo in photos] == [f"{number:05}.jpg" for number in range(count)]
    assert photos[-1].read() == JPEG
