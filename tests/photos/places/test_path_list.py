"""Lists of photos as people and programs write them."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from conftest import write_picture

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.photo import Photo
from batchgender.photos.places.path_list import open_path_list
from batchgender.photos.source import PhotoSource


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos in the current folder: a.jpg, b.jpg, women/c.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "women/c.jpg"):
        write_picture(tmp_path / name)
    return tmp_path


def listed(text: bytes | str, name: str = "list.txt", null: bool = False, said: list[str] | None = None) -> list[Photo]:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    said = [] if said is None else said
    return list(PhotoSource([], said.append, opened=[open_path_list(name, said.append, null)]))


def paths(photos: Sequence[Photo]) -> list[str]:
    return [photo.path for photo in photos]


def is_there(photo: Photo) -> bool:
    return len(photo.read()) > 0


@pytest.mark.parametrize(
    "text",
    [
        "women/c.jpg\na.jpg\nb.jpg\n",
        "women/c.jpg\na.jpg\nb.jpg",
        "women/c.jpg\r\na.jpg\r\nb.jpg\r\n",
        "\ufeffwomen/c.jpg\r\na.jpg\r\nb.jpg\r\n",
        "\n\nwomen/c.jpg\n   \na.jpg\n\r\n\t\nb.jpg\n\n",
        "women/c.jpg\r\na.jpg\r\nb.jpg\r\n".encode("utf-16"),
        "path\r\nwomen/c.jpg\r\na.jpg\r\nb.jpg\r\n",
        "sep=;\r\npath;other\r\nwomen/c.jpg;1\r\n;\r\na.jpg;2\r\nb.jpg;3\r\n".encode("utf-16"),
    ],
    ids=["lines", "no last end", "Windows", "mark", "blank lines", "UTF-16", "a header", "Excel"],
)
def test_each_line_is_a_photo_in_the_order_of_the_list(text: str | bytes) -> None:
    photos = listed(text)
    assert paths(photos) == ["women/c.jpg", "a.jpg", "b.jpg"]
    assert all(map(is_there, photos))
    # Without a column of labels the folders decide.
    assert [photo.label_among(["Female", "Male"]) for photo in photos] == ["Female", "", ""]


def test_spaces_are_part_of_a_name(here: Path) -> None:
    write_picture(here / "x.jpg").rename(" a.jpg ")
    photos = listed(" a.jpg \na.jpg\n")
    assert paths(photos) == [" a.jpg ", "a.jpg"] and all(map(is_there, photos))


@pytest.mark.skipif(os.name != "posix", reason="only POSIX names files in bytes and with line ends")
def test_any_name_of_a_file_can_be_listed(here: Path) -> None:
    strange = [b"caf\xe9.jpg", "é\n\r.jpg".encode(), b" \n", b"c, d;e.jpg"]
    for name in strange:
        os.link(b"a.jpg", name)
    photos = listed(b"\0".join(strange), null=True)
    assert all(map(is_there, photos)) and paths(photos)[0] == "caf\\xe9.jpg" and len(photos) == 4
    photos = listed(b"caf\xe9.jpg\nc, d;e.jpg\n")
    assert all(map(is_there, photos)) and paths(photos) == ["caf\\xe9.jpg", "c, d;e.jpg"]
    photos = listed(b'path,label\ncaf\xe9.jpg,m\n"\xc3\xa9\n\r.jpg",f\n"c, d;e.jpg",\n', "list.csv")
    assert all(map(is_there, photos)) and [photo.label for photo in photos] == ["m", "f", ""]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are UTF-8 in any locale")
def test_names_are_utf_8_in_any_locale(here: Path) -> None:
    os.link(b"a.jpg", "é.jpg".encode())
    (here / "list.csv").write_text("path,label\né.jpg,m\n", encoding="utf-8")
    (here / "list.txt").write_bytes("é.jpg\n".encode() + b"caf\xe9.jpg\n")
    code = """
from batchgender.photos.places.path_list import open_path_list
from batchgender.photos.source import PhotoSource
for name in ("list.csv", "list.txt"):
    for photo in PhotoSource([], opened=[open_path_list(name, print)]):
        try:
            print(ascii(photo.path), len(photo.read()) > 0)
        except Exception as error:
            print(ascii(photo.path), error)
"""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | locale)
    assert done.stdout.splitlines() == [
        r"'\xe9.jpg' True",
        r"'\xe9.jpg' True",
        r"'caf\\xe9.jpg' can't read the file: No such file or directory",
    ]


def test_a_name_that_no_file_can_have_is_a_photo_that_can_not_be_read() -> None:
    (photo,) = listed("\ufeffa\0b.jpg\r\n".encode("utf-16-le"))
    with pytest.raises(UnreadablePhoto, match="no file can be called so"):
        photo.read()


@pytest.mark.parametrize(("text", "null"), [("a.jpg\nb.jpg\n", False), ("a.jpg\0b.jpg\0", True)])
def test_a_list_comes_from_stdin_once_and_is_read_again(monkeypatch: pytest.MonkeyPatch, text: str, null: bool) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(text.encode())))
    source = PhotoSource([], opened=[open_path_list("-", print, null)])
    assert source.count_up_to(1) == 1
    # Two walks side by side, as the progress bar's is beside the run's.
    first, second = iter(source), source.total()
    assert paths(list(first)) == ["a.jpg", "b.jpg"] and second == 2 and source.inputs == ["stdin"]


def test_a_list_may_be_a_pipe_and_may_change_while_it_is_used(here: Path) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("a.jpg\nb.jpg\n"))
    writer.start()
    source = PhotoSource([], opened=[open_path_list("pipe", print)])
    writer.join()
    assert paths(list(source)) == paths(list(source)) == ["a.jpg", "b.jpg"]
    Path("list.txt").write_text("a.jpg\n")
    source = PhotoSource([], opened=[open_path_list("list.txt", print)])
    Path("list.txt").write_text("b.jpg\na.jpg\n")
    assert paths(list(source)) == ["a.jpg"]


def test_a_photo_that_stands_twice_is_one_and_that_is_said_once(here: Path) -> None:
    said: list[str] = []
    photos = listed("a.jpg\nb.jpg\n./a.jpg\na.jpg\nwomen//c.jpg\nwomen/c.jpg\n", said=said)
    assert paths(photos) == ["a.jpg", "b.jpg", "women//c.jpg"]
    (line,) = said
    assert "lines whose photo stands above already: 3" in line
    photos = listed("path,label\na.jpg,Female\nb.jpg,\na.jpg, female\n", said=said)
    assert paths(photos) == ["a.jpg", "b.jpg"] and len(said) == 2


def test_one_photo_with_two_labels_is_refused() -> None:
    with pytest.raises(UserError, match=r"'a\.jpg' stands twice, with the label 'female' and 'male'"):
        listed("path,label\na.jpg,female\nb.jpg,male\na.jpg,male\n")
    with pytest.raises(UserError, match="with the split 'train' and 'test'"):
        listed("path,label,split\na.jpg,female,train\na.jpg,female,test\n")


def test_what_is_not_there_is_a_photo_that_can_not_be_read(here: Path) -> None:
    os.mkfifo("d.jpg")
    photos = listed("a.jpg\nnowhere.jpg\nwomen\nd.jpg\nhttps://127.0.0.1:9/a.jpg\n")
    assert len(photos) == 5 and is_there(photos[0])
    for photo, reason in zip(photos[1:4], ("No such file", "a directory", "pipe"), strict=True):
        with pytest.raises(UnreadablePhoto, match=reason):
            photo.read()


@pytest.fixture
def server(here: Path) -> Iterator[str]:
    """The address of a web server that serves the current folder."""
    pytest.importorskip("aiohttp")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(here)))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def test_addresses_stand_among_paths_each_its_own_photo(here: Path, server: str) -> None:
    said: list[str] = []
    text = (
        f"path,label\n{server}/women/c.jpg,\na.jpg,m\n{server}/a.jpg?Signature=secret&x=1,\n{server}/nowhere.jpg,\n"
        f"{server}/a.jpg?Signature=other&x=1,\nftp://127.0.0.1/a.jpg,\n"
    )
    photos = listed(text, "list.csv", said=said)
    shown = [f"{server}/women/c.jpg", "a.jpg", f"{server}/a.jpg?x=1", f"{server}/nowhere.jpg", "ftp://127.0.0.1/a.jpg"]
    assert paths(photos) == shown and "stands above already: 1" in said[0]
    for photo, name in zip(photos, ("women/c.jpg", "a.jpg", "a.jpg"), strict=False):
        assert photo.read() == (here / name).read_bytes()
    for photo, reason in zip(photos[3:], ("404", "not an address that can be read"), strict=True):
        with pytest.raises(UnreadablePhoto, match=reason):
            photo.read()
    unlabelled = listed(text.replace(",label", ",other"), "list.csv")
    assert [photo.label_among(["Female", "Male"]) for photo in unlabelled] == ["Female", "", "", "", ""]


def test_relative_paths_begin_in_the_current_folder_else_in_that_of_the_list(here: Path) -> None:
    said: list[str] = []
    (here / "data").mkdir()
    for name in ("a.jpg", "d.jpg"):
        write_picture(here / "data" / name, size=(9, 9))
    photos = listed("nowhere.jpg\nd.jpg\na.jpg\n", "data/list.txt", said=said)
    # One photo is here: all begin here.
    assert photos[2].read() == (here / "a.jpg").read_bytes() and not said
    photos = listed("nowhere.jpg\nd.jpg\n", "data/list.txt", said=said)
    assert paths(photos) == ["nowhere.jpg", "d.jpg"] and is_there(photos[1])
    assert said == ["data/list.txt: its paths are taken from its own folder, data"]
    photos = listed(f"{here}/a.jpg\nd.jpg\n", "data/list.txt")
    assert is_there(photos[0]) and photos[1].content.file == "d.jpg"  # type: ignore[attr-defined]


def test_a_list_of_which_nothing_is_there_says_where_it_was_looked_for(here: Path) -> None:
    said: list[str] = []
    assert len(listed("x.jpg\ny.jpg\n", said=said)) == 2
    (line,) = said
    assert "nothing is there under its first 2 paths" in line and str(here) in line


def test_the_folder_that_a_photo_lies_in_may_label_it_though_its_path_does_not_show_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "women" / "x").mkdir()
    write_picture(here / "women" / "x" / "y.jpg")
    monkeypatch.chdir(here / "women")
    labels = {
        photo.path: photo.label_among(["Female", "Male"])
        for photo in listed(f"c.jpg\n./c2.jpg\n../a.jpg\nx/y.jpg\n{here}/a.jpg\n{here}/women/c3.jpg\n../men/z.jpg\n")
    }
    assert labels == {
        "c.jpg": "Female",
        "./c2.jpg": "Female",
        "../a.jpg": "",
        "x/y.jpg": "",
        f"{here}/a.jpg": "",
        f"{here}/women/c3.jpg": "Female",
        "../men/z.jpg": "Male",
    }


@pytest.mark.parametrize(
    ("text", "name", "null", "message"),
    [
        ("", "list.txt", False, "list.txt: an empty list"),
        ("\n \r\n\n", "list.txt", False, "list.txt: no path in it"),
        ("path,label\n\n,\n", "list.csv", False, "list.csv: no path in it"),
        ("a.jpg\nb.jpg\n", "list.csv", False, "list.csv: no column `path` in its first line"),
        ("path,label\na.jpg,Female\nb,c.jpg,Male\n", "list.csv", False, "line 3 has 3 cells, the first line 2"),
        ("path,label\na.jpg,Female\n\n,Male\n", "list.csv", False, "line 4 has no path"),
        ("path,label,label\na.jpg,Female,Male\n", "list.csv", False, "two columns are called label"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(99), "photo.jpg", False, "photo.jpg: holds NUL bytes"),
        ("a.jpg\0b.jpg\0", "list.txt", False, "-0 is for paths that NUL ends"),
        ("a.jpg\nb.jpg\n", "list.txt", True, "leave -0 out"),
        ("a" * 2_000_000, "list.txt", False, "longer than a megabyte"),
        ("path\n" + '"' + "a\n" * 100_000, "list.csv", False, "list.csv: damaged"),
        ("a.jpg\n".encode("utf-16") + b"\0", "list.txt", False, "list.txt: damaged"),
    ],
)
def test_what_is_no_list_is_refused_in_a_line(text: str | bytes, name: str, null: bool, message: str) -> None:
    with pytest.raises(UserError) as raised:
        listed(text, name, null)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_list_that_can_not_be_read_is_refused(unprivileged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="nowhere.txt: no such list; check --from-list"):
        open_path_list(str(unprivileged / "nowhere.txt"), print)
    with pytest.raises(UserError, match="Is a directory"):
        open_path_list(str(unprivileged), print)
    (unprivileged / "closed.txt").write_text("a.jpg\n")
    (unprivileged / "closed.txt").chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        open_path_list(str(unprivileged / "closed.txt"), print)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="stdin is closed"):
        open_path_list("-", print)


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_long_list_takes_little_memory(name: str) -> None:
    resource = pytest.importorskip("resource")
    count = 300_000
    with open(name, "w") as stream:
        stream.write("path,label\n" if name.endswith(".csv") else "")
        end = ",female\n" if name.endswith(".csv") else "\n"
        stream.writelines(f"photos/{index // 1000}/{index}.jpg{end}" for index in range(count))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened = open_path_list(name, print)
    assert sum(1 for _ in opened.text) == count
    # In KB: what a list of all paths as text would take.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < count * (sys.getsizeof(" " * 20) + 8) / 1000
