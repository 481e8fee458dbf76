"""Photos behind addresses: found, ordered, labelled and read as those of a folder, whatever the server does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest
from conftest import BLUE, RED, picture
from object_server import DROP, RESET, STALL, TRUNCATE, ObjectServer

from batchgender import load_classifier
from batchgender.photos.places.remote import endpoint, web_requests
from batchgender.photos.source import PhotoSource

KINDS = ("s3", "gs", "az", "http")
JPEG = {color: cv2.imencode(".jpg", picture(color)[..., ::-1])[1].tobytes() for color in (RED, BLUE)}
# Names as people have them, and what is beside photos.
TREE = [
    *(f"female/{index:02}.jpg" for index in range(9)),
    *(f"male/{index:02}.JPG" for index in range(9)),
    *("a.jpg", "a/z.png", "a-b/c.webp", "Z.JPG", "é b/ü 1+2%.jpg", "b#c/d&e=f.jpg", "x;y/[1].jpg", "ä/日本.jpg"),
    *("notes.txt", "film.mp4", "deep/er/film.mp4"),
    *(".hidden.jpg", ".cache/a.jpg", "@eaDir/b.jpg", "female/__MACOSX/c.jpg"),
]


def fill(server: ObjectServer, names: Sequence[str], root: str = "set/") -> None:
    for index, name in enumerate(names):
        server.objects[root + name] = JPEG[(RED, BLUE)[index % 2]]


@pytest.fixture
def tree(tmp_path: Path, object_server: ObjectServer) -> Path:
    """A folder and a server that hold the same, in small pages."""
    fill(object_server, TREE)
    object_server.page_size = 5
    for key, data in object_server.objects.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    # What tools make for an empty folder.
    object_server.objects["set/"] = object_server.objects["set/empty/"] = b""
    return tmp_path / "set"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of time that a test can wait for."""
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(endpoint, "TIME_LIMIT", 0.5)
    monkeypatch.setattr(endpoint, "PATIENCE", 2.0)
    monkeypatch.setattr(endpoint, "FIRST_PATIENCE", 0.5)
    monkeypatch.setattr(web_requests, "SILENCE_LIMIT", 0.5)


def paths(*inputs: str, notify: Callable[[str], None] = print) -> list[str]:
    return [photo.path for photo in PhotoSource(inputs, notify)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_behind_an_address_gives_what_a_folder_here_gives(
    tree: Path, object_server: ObjectServer, kind: str
) -> None:
    def seen(source: PhotoSource) -> list[tuple[str, str, Any]]:
        return [(photo.path, photo.root, photo.read()) for photo in source]

    here, there = PhotoSource([str(tree)]), PhotoSource([object_server.addresses("set")[kind]])
    assert seen(there) == seen(here) and len(seen(here)) == 26
    assert there.skipped == here.skipped == {".txt": 1, ".mp4": 2}
    # Looked through again, as a run does for its total.
    assert there.total() == 26 and there.count_up_to(10) == 10 and len(list(there)) == 26


@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_labels_are_those_of_a_folder(
    tree: Path, object_server: ObjectServer, kind: str, red_or_blue: Path
) -> None:
    classifier = load_classifier(red_or_blue)
    rows = list(classifier.classify(object_server.addresses("set")[kind]))
    assert rows == list(classifier.classify(tree))
    assert {row.label for row in rows if row.path.startswith("male/")} == {"Male"}
    female = list(classifier.classify(object_server.addresses("set/female")[kind]))
    assert {row.label for row in female} == {"Female"} and len(female) == 9


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_folder_may_be_written_without_its_slash_and_a_bucket_alone(
    tree: Path, object_server: ObjectServer, scheme: str
) -> None:
    assert paths(f"{scheme}://photos/set/male") == [f"{index:02}.JPG" for index in range(9)]
    assert paths(f"{scheme}://photos") == [f"set/{path}" for path in paths(f"{scheme}://photos/set/")]


def test_a_pattern_matches_what_it_matches_in_a_folder_here(tree: Path) -> None:
    for pattern in ("*/0?.jpg", "**/*.jpg", "**", "*", "f*/**/*", "[ab]*/*", "[!a]*/0[0-3].jpg", "*/**/[é日ü]*"):
        expected = [path.removeprefix(f"{tree.parent}/") for path in paths(f"{tree}/{pattern}")]
        assert len(expected) > 1
        assert paths(f"s3://photos/set/{pattern}") == [f"s3://photos/{path}" for path in expected]
    # Who names a folder of a system means it; and what is there under the very name is no pattern.
    assert paths("s3://photos/set/@eaDir/*") == ["s3://photos/set/@eaDir/b.jpg"]
    assert paths("s3://photos/set/x;y/[1].jpg") == ["[1].jpg"]


def test_what_has_an_unknown_ending_is_read_where_it_is_named(tree: Path, object_server: ObjectServer) -> None:
    fill(object_server, ["0a1b2c", "photo.v2", "page.html"], "hashed/")
    source = PhotoSource(["s3://photos/hashed/"])
    assert list(source) == [] and source.skipped == {"no ending": 1, ".v2": 1, ".html": 1}
    # No request was made to look at them.
    assert object_server.asked == []
    found = PhotoSource(["s3://photos/hashed/*", "gs://photos/hashed/0a1b2c"])
    assert [photo.path for photo in found] == [
        "gs://photos/hashed/0a1b2c",
        "s3://photos/hashed/0a1b2c",
        "s3://photos/hashed/photo.v2",
    ]


def test_several_inputs_give_each_photo_one_row(tree: Path, object_server: ObjectServer) -> None:
    web = object_server.addresses("set")["http"]
    inputs = ["s3://photos/set/", "s3://photos/set/male", "s3://photos/set/male/00.JPG", "s3://photos/set/*/*.jpg"]
    found = paths(*inputs, *inputs, web, f"{web}male/", f"{web}male/00.JPG", str(tree / "female"))
    assert len(found) == len(set(found)) == 26 + 26 + 9
    assert [path for path in found if path.endswith("male/00.JPG")] == [
        f"{web}male/00.JPG",
        "s3://photos/set/male/00.JPG",
    ]
    # A folder that a walk leaves out, and that is named, is no part of it.
    both = paths("s3://photos/set/", "s3://photos/set/@eaDir/")
    assert len(both) == 27 and "s3://photos/set/@eaDir/b.jpg" in both


def test_one_photo_is_its_name(tree: Path, object_server: ObjectServer) -> None:
    assert paths("s3://photos/set/male/00.JPG") == ["00.JPG"]
    web = object_server.addresses("set")["http"]
    assert paths(f"{web}male/00.JPG?size=large") == ["00.JPG"]
    photo = next(iter(PhotoSource([f"{web}b%23c/d&e=f.jpg"])))
    assert photo.path == "d&e=f.jpg" and photo.root == "b#c" and photo.read()
    # As people write it.
    assert next(iter(PhotoSource([f"{web}é b/ü 1+2%25.jpg"]))).read()


def test_a_page_of_links_leads_nowhere_else(object_server: ObjectServer) -> None:
    fill(object_server, ["a.jpg", "deep/b.jpg"])
    object_server.objects["elsewhere.jpg"] = JPEG[RED]
    assert paths(object_server.addresses("set")["http"]) == ["a.jpg", "deep/b.jpg"]


def test_a_page_that_can_not_be_listed_is_said_and_counted(object_server: ObjectServer, quick: None) -> None:
    fill(object_server, ["a/1.jpg", "b/2.jpg", "c/3.jpg"])
    object_server.faults["set/b/"] = [403]
    said: list[str] = []
    source = PhotoSource([object_server.addresses("set")["http"]], said.append)
    assert [photo.path for photo in source] == ["a/1.jpg", "c/3.jpg"] and source.unlistable == 1
    assert len(said) == 1 and "set/b/: can't list it: 403 Forbidden" in said[0] and "photos are missing" in said[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [[503, 503, 503], [429], [RESET], [DROP, DROP], [TRUNCATE], [STALL]])
def test_what_passes_costs_no_photo(
    object_server: ObjectServer, quick: None, kind: str, fault: list[int | str], red_or_blue: Path
) -> None:
    fill(object_server, [f"{index}.jpg" for index in range(6)])
    object_server.faults = {"set/0.jpg": [*fault, 200], "set/4.jpg": [*fault, 200]}
    said: list[str] = []
    rows = list(load_classifier(red_or_blue).classify(object_server.addresses("set")[kind], notify=said.append))
    assert [row.path for row in rows] == [f"{index}.jpg" for index in range(6)]
    assert [row.error for row in rows if row.error] == [] and said == []
    assert object_server.asked.count("set/0.jpg") == len(fault) + 1
