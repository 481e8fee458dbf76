"""Tar archives, plain and compressed, as places of photos; and labels in tars of WebDataset."""

import gzip
import io
import json
import os
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_files import pack, zeros
from conftest import write_picture

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.photo import Photo
from batchgender.photos.source import PhotoSource

JPEG = b"\xff\xd8\xff\xe0 no more than its beginning"
BOTH = pytest.mark.parametrize("ending", ["tar", "tar.gz"])
# A member of a tar: its name, its bytes, and perhaps other fields of `tarfile.TarInfo`.
Member = tuple[str, bytes] | tuple[str, bytes, dict[str, Any]]


def write_tar(file: Path, members: list[Member], form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w", format=form) as archive:
        for name, data, *fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in (fields[0] if fields else {}).items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return file


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    return (name, b"", {"type": kind, "linkname": target})


def read(source: PhotoSource) -> dict[str, bytes | str]:
    """The photos of a source: their bytes, or why there are none."""

    def read_one(photo: Photo) -> Any:
        try:
            return photo.read()
        except UnreadablePhoto as error:
            return str(error)

    return {photo.path: read_one(photo) for photo in source}


def labels(file: Path, names: LabelNames | None = DEFAULT_NAMES, said: list[str] | None = None) -> dict[str, Any]:
    photos = PhotoSource([str(file)], ([] if said is None else said).append, names)
    return {photo.path: photo.label for photo in photos}


@BOTH
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_read_in_all_formats(tmp_path: Path, form: int, ending: str) -> None:
    folder = "/".join(["folder"] * 20)
    names = [f"{folder}/a.jpg", "a" * 90 + ".jpg", "été/žena.jpg"]
    if form != tarfile.USTAR_FORMAT:
        names += ["x/" * 300 + "b.jpg", "c" * 200 + ".png"]
    file = write_tar(tmp_path / f"a.{ending}", [(name, name.encode()) for name in names], form)
    assert read(PhotoSource([str(file)])) == {name: name.encode() for name in names}


def test_a_pax_archive_may_say_what_holds_for_all_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "é"}) as archive:
        for name in ("é.jpg", "b.jpg"):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(JPEG), {"SCHILY.xattr.user.note": "of é"}
            archive.addfile(info, io.BytesIO(JPEG))
    assert read(PhotoSource([str(tmp_path / "a.tar")])) == {"b.jpg": JPEG, "é.jpg": JPEG}


@BOTH
def test_names_that_lead_out_of_the_archive_are_shown_without_that(tmp_path: Path, ending: str) -> None:
    file = write_tar(
        tmp_path / f"a.{ending}", [("../../out.jpg", JPEG), ("/etc/root.jpg", JPEG), ("./b/../c.jpg", JPEG)]
    )
    assert read(PhotoSource([str(file)])) == {"out.jpg": JPEG, "etc/root.jpg": JPEG, "b/c.jpg": JPEG}
    assert list(tmp_path.iterdir()) == [file]


@BOTH
def test_a_link_is_the_member_that_it_leads_to_and_devices_are_left_out(tmp_path: Path, ending: str) -> None:
    members = [
        ("a/1.jpg", JPEG),
        link("b/2.jpg", "a/1.jpg", tarfile.LNKTYPE),
        link("b/3.jpg", "../a/1.jpg"),
        link("b/4.jpg", "2.jpg"),
        link("b/no ending", "2.jpg"),
        link("gone.jpg", "/etc/passwd"),
        link("folder", "a"),
        ("pipe.jpg", b"", {"type": tarfile.FIFOTYPE}),
        ("disk.jpg", b"", {"type": tarfile.BLKTYPE}),
        ("null", b"", {"type": tarfile.CHRTYPE}),
        ("c.jpg", b"", {"type": tarfile.DIRTYPE}),
        ("z.jpg", JPEG[::-1]),
    ]
    source = PhotoSource([str(write_tar(tmp_path / f"a.{ending}", members))])
    same = dict.fromkeys(("a/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg", "b/no ending"), JPEG)
    gone = {"gone.jpg": "a link to /etc/passwd, which is not in the archive"}
    assert read(source) == {**same, **gone, "z.jpg": JPEG[::-1]}
    assert source.skipped == {".jpg": 2, "no ending": 2}
    assert source.total() == source.count_up_to(100) == 7


@BOTH
def test_the_last_of_several_members_of_one_name_counts(tmp_path: Path, ending: str) -> None:
    file = write_tar(tmp_path / f"a.{ending}", [("a.jpg", JPEG), ("b.jpg", JPEG), ("./a.jpg", JPEG + b"2")])
    said: list[str] = []
    assert read(PhotoSource([str(file)], said.append)) == {"a.jpg": JPEG + b"2", "b.jpg": JPEG}
    assert said == [f"{file}: names that stand in it several times: 1; the last member of each name counts"]


def test_a_compressed_tar_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    # A browser may unpack what it downloads, and leave the name.
    plain = write_tar(tmp_path / "a.tar", [("a.jpg", JPEG)]).rename(tmp_path / "plain.tgz")
    packed = write_tar(tmp_path / "a.tar.gz", [("a.jpg", JPEG)]).rename(tmp_path / "packed.tar")
    assert read(PhotoSource([str(plain)])) == read(PhotoSource([str(packed)])) == {"a.jpg": JPEG}


@BOTH
def test_a_tar_that_is_cut_short_has_rows_for_what_it_holds(tmp_path: Path, ending: str) -> None:
    noise = os.urandom(40_000)
    whole = write_tar(tmp_path / f"whole.{ending}", [(f"{name}.jpg", name.encode() + noise) for name in "abcde"])
    file = tmp_path / f"cut.{ending}"
    file.write_bytes(whole.read_bytes()[:100_000])
    said: list[str] = []
    source = PhotoSource([str(file)], said.append)
    assert read(source) == {
        "a.jpg": b"a" + noise,
        "b.jpg": b"b" + noise,
        "c.jpg": "the archive ends before the photo does",
    }
    assert source.unlistable == 1
    assert len(said) == 1 and said[0].startswith(f"{file}: ends early after 3 photos, any others are missing (")


def test_a_tar_without_its_end_mark_or_with_damage_inside_says_so(tmp_path: Path) -> None:
    data = write_tar(tmp_path / "a.tar", [("a.jpg", JPEG), ("b.jpg", JPEG), ("c.jpg", JPEG)]).read_bytes()
    for change, rows, reason in (
        (data[: 6 * 512], 3, "the mark of its end is missing"),
        (data[:1024] + b"x" + data[1025:], 1, "no header where one should be"),
        (data[:1100], 1, "it is cut short"),
    ):
        (tmp_path / "b.tar").write_bytes(change)
        said: list[str] = []
        source = PhotoSource([str(tmp_path / "b.tar")], said.append)
        assert list(read(source).values()) == [JPEG] * rows and source.unlistable == 1
        assert said == [f"{tmp_path}/b.tar: ends early after {rows} photos, any others are missing ({reason})"]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize(
    "data", [b"", b"no tar", b"<html>" * 1000, gzip.compress(b"no tar", mtime=0), b"\x1f\x8b", b"BZh91"]
)
def test_what_is_no_tar_is_refused_in_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=f"{name}: no tar archive, or one that is cut short or damaged"):
        PhotoSource([str(tmp_path / name)])


def test_an_empty_tar_has_no_photo(tmp_path: Path) -> None:
    said: list[str] = []
    assert not read(PhotoSource([str(write_tar(tmp_path / "a.tar", []))], said.append)) and not said


@BOTH
def test_a_sparse_file_is_a_row_that_says_so(tmp_path: Path, ending: str) -> None:
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.jpg", "GNU.sparse.realsize": "9"}
    members: list[Member] = [("GNUSparseFile.0/a.jpg", JPEG, {"pax_headers": sparse}), ("b.jpg", JPEG)]
    file = write_tar(tmp_path / f"a.{ending}", members, tarfile.PAX_FORMAT)
    assert read(PhotoSource([str(file)])) == {"a.jpg": "a sparse file", "b.jpg": JPEG}


def bomb(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> Iterator[bytes]:
    """The pieces of a gzip file: a header that says it has a file of so many bytes, and these, zeros."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    yield gzip.compress(info.tobuf(tarfile.GNU_FORMAT))
    yield b"\x1f\x8b\x08" + bytes(7)
    yield from zeros(size)


@BOTH
def test_a_member_larger_than_any_photo_is_passed_over_without_being_held(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 800 MB to be passed over, a test takes a minute.
    monkeypatch.setattr("batchgender.photos.reading.BYTE_LIMIT", 20_000_000)
    members: list[Member] = [("a.jpg", bytes(2 * 10**7 + 1)), ("no ending", bytes(10**7)), ("z.jpg", JPEG)]
    file = write_tar(tmp_path / f"a.{ending}", [*members, ("b.jpg", bytes(10**7))])
    tracemalloc.start()
    try:
        rows = read(PhotoSource([str(file)]))
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    no_image = "no image of a format that can be read"
    assert rows == {"a.jpg": "larger than the limit of 20 MB", "b.jpg": no_image, "z.jpg": JPEG}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_stream_that_unpacks_to_far_more_than_its_size_is_not_read_to_its_end(tmp_path: Path, kind: bytes) -> None:
    first = tarfile.TarInfo("a.jpg")
    first.size = len(JPEG)
    with open(tmp_path / "a.tar.gz", "wb") as stream:
        stream.write(gzip.compress(first.tobuf() + JPEG + bytes(512 - len(JPEG))))
        stream.writelines(bomb("bomb.jpg", 10**10, kind))
    said: list[str] = []
    source = PhotoSource([str(tmp_path / "a.tar.gz")], said.append)
    tracemalloc.start()
    try:
        rows = read(source)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert rows.pop("a.jpg") == JPEG
    assert rows == ({"bomb.jpg": "larger than the limit of 800 MB"} if kind == tarfile.REGTYPE else {})
    assert len(said) == 1 and source.unlistable == 1
    assert ("it unpacks to more than 100 times its size" if rows else "a name of 10,000 MB") in said[0]


@pytest.mark.parametrize("field", ["size", "linkpath"])
def test_numbers_that_no_file_has_are_damage(tmp_path: Path, field: str) -> None:
    members: list[Member] = [("a.jpg", JPEG), ("b.jpg", JPEG, {"pax_headers": {field: "9" * 5000}})]
    file = write_tar(tmp_path / "a.tar", members, tarfile.PAX_FORMAT)
    source = PhotoSource([str(file)])
    assert read(source)["a.jpg"] == JPEG and source.unlistable == (field == "size")


@BOTH
def test_an_archive_that_is_replaced_while_it_is_read_is_not_taken_for_another(tmp_path: Path, ending: str) -> None:
    file = write_tar(tmp_path / f"a.{ending}", [("a.jpg", JPEG), ("b.jpg", JPEG)])
    source = PhotoSource([str(file)])
    assert source.count_up_to(10) == 2
    write_tar(tmp_path / f"new.{ending}", [("b.jpg", JPEG * 100)]).replace(file)
    changed = "the archive was changed while it was read"
    assert read(source) == {"a.jpg": changed, "b.jpg": changed}
    said: list[str] = []
    other = PhotoSource([str(file)], said.append)
    file.unlink()
    assert not read(other) and other.unlistable == 1
    assert said == [f"{file}: can't read the archive: No such file or directory, its photos are missing"]


def test_shards_are_read_by_a_pattern(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"shard-{number:03}.tar", [("0.jpg", JPEG), ("0.cls", b"male")])
    expected = [f"{tmp_path}/shard-{number:03}.tar/0.jpg" for number in range(3)]
    assert list(labels(tmp_path / "shard-*.tar")) == expected


@BOTH
def test_a_shard_states_the_labels_of_its_photos(tmp_path: Path, ending: str) -> None:
    described = {"caption": "a portrait", "Gender": "man", "age": 40}
    members: list[Member] = [
        ("000.jpg", JPEG),
        ("000.cls", b"female\n"),
        ("a/000.json", json.dumps(described).encode()),
        ("a/000.left.png", JPEG),
        ("a/000.right.png", JPEG),
        ("001.jpg", JPEG),
        ("001.json", b'{"caption": "no label"}'),
        ("002.jpg", JPEG),
        ("002.cls", b"dog"),
        ("women/003.jpg", JPEG),
        ("women/003.json", b"[damaged"),
    ]
    file = write_tar(tmp_path / f"a.{ending}", members)
    expected = {"000.jpg": "Female", "a/000.left.png": "Male", "a/000.right.png": "Male", "001.jpg": None}
    assert labels(file) == {**expected, "002.jpg": "dog", "women/003.jpg": None}
    source = PhotoSource([str(file)])
    assert source.total() == 6 and len(list(source)) == 6 and source.skipped == {".json": 2}
    assert set(labels(file, None).values()) == {None}


@BOTH
@pytest.mark.parametrize("kind", ["cls", "json"])
def test_numbers_are_taken_as_in_columns_and_that_is_said_once(tmp_path: Path, ending: str, kind: str) -> None:
    members: list[Member] = []
    for number in range(4):
        label = number % 2
        data = json.dumps({"gender": label}).encode() if kind == "json" else b"%d\n" % label
        members += [(f"{number}.{kind}", data), (f"{number}.jpg", JPEG)]
    file = write_tar(tmp_path / f"a.{ending}", members)
    said: list[str] = []
    assert list(labels(file, said=said).values()) == ["Female", "Male"] * 2
    assert len(said) == 1 and "taking 0 for Female and 1 for Male; --label-names says it otherwise" in said[0]
    given: list[str] = []
    other = LabelNames({"Male": ["0"], "Female": ["1"]})
    assert list(labels(file, other, given).values()) == ["Male", "Female"] * 2 and not given


def test_numbers_that_stand_for_no_class_are_said(tmp_path: Path) -> None:
    members: list[Member] = []
    for number in range(3):
        members += [(f"{number}.jpg", JPEG), (f"{number}.cls", b"%d" % number)]
    file = write_tar(tmp_path / "a.tar", members)
    said: list[str] = []
    labels(file, said=said)
    assert len(said) == 1 and "the column cls holds numbers that stand for no class" in said[0]
    assert "--label-names" in said[0]


def test_a_compressed_tar_is_read_in_its_own_order_each_time(tmp_path: Path) -> None:
    for number in range(5):
        write_picture(tmp_path / "photos" / f"{number}.jpg")
    names = ["3.jpg", "1.jpg", "4.jpg", "0.jpg", "2.jpg"]
    members: list[Member] = [(name, (tmp_path / "photos" / name).read_bytes()) for name in names]
    source = PhotoSource([str(write_tar(tmp_path / "a.tar.gz", members))])
    assert [photo.path for photo in source] == [photo.path for photo in source] == names
    plain = PhotoSource([str(write_tar(tmp_path / "a.tar", members))])
    assert [photo.path for photo in plain] == sorted(names)
    assert read(PhotoSource([str(pack(tmp_path / "photos", tmp_path / "b.tgz"))])) == read(plain)
