"""Photos behind addresses: found, ordered, labelled and read as those of a folder, whatever the server does."""

import importlib.util
import math
import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import cv2
import fsspec.config
import pytest
from conftest import BLUE, RED, picture
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from object_server import DROP, RESET, STALL, TRUNCATE, ObjectServer, serving

from batchgender import UserError, load_classifier
from batchgender.classify.fetches import Fetches
from batchgender.classify.read_ahead import read_ahead
from batchgender.errors import UnreadablePhoto
from batchgender.photos.places.remote import endpoint, web_requests
from batchgender.photos.places.remote.address import shown_address
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
        assert paths(f"gs://photos/set/{pattern}") == [f"gs://photos/{path}" for path in expected]
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


PASSING: list[list[int | str]] = [[503, 503, 503], [429], [500], [RESET], [DROP, DROP], [TRUNCATE], [STALL]]


@pytest.mark.parametrize("kind", KINDS)
def test_what_passes_costs_no_photo(object_server: ObjectServer, quick: None, kind: str, red_or_blue: Path) -> None:
    names = [f"{index:02}.jpg" for index in range(3 * len(PASSING))]
    fill(object_server, names)
    for index, faults in enumerate(PASSING):
        object_server.faults[f"set/{names[3 * index]}"] = [*faults, 200]
    said: list[str] = []
    rows = list(load_classifier(red_or_blue).classify(object_server.addresses("set")[kind], notify=said.append))
    assert [row.path for row in rows] == names
    assert [row.error for row in rows if row.error] == [] and said == []
    for index, faults in enumerate(PASSING):
        assert object_server.asked.count(f"set/{names[3 * index]}") == len(faults) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_is_the_error_of_its_row_and_of_no_other(
    object_server: ObjectServer, quick: None, kind: str, red_or_blue: Path
) -> None:
    fill(object_server, [f"{index}.jpg" for index in range(8)])
    object_server.faults = {
        "set/1.jpg": [403],
        "set/2.jpg": [503],
        "set/3.jpg": [TRUNCATE],
        "set/4.jpg": [STALL],
        # The very last: no other is read after it.
        "set/7.jpg": [RESET],
    }
    photos = PhotoSource([object_server.addresses("set")[kind]])
    assert photos.count_up_to(100) == 8
    del object_server.objects["set/5.jpg"]
    rows = {row.path: row.error for row in load_classifier(red_or_blue).rows(photos)}
    assert list(rows) == [f"{index}.jpg" for index in range(8)] and not rows["0.jpg"] and not rows["6.jpg"]
    assert "403 Forbidden" in rows["1.jpg"] and "404 Not Found" in rows["5.jpg"]
    for name, reason in {
        "2": "503",
        "3": "cut short|no whole answer",
        "4": "no whole answer|nothing came",
        "7": ".",
    }.items():
        assert re.match(rf"tried {endpoint.TRIES} times: .*({reason})", rows[f"{name}.jpg"])
    # What is refused is not asked for again.
    assert object_server.asked.count("set/1.jpg") == object_server.asked.count("set/5.jpg") == 1


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_photo_that_changes_after_it_was_listed_is_a_row_with_an_error(
    object_server: ObjectServer, quick: None, scheme: str
) -> None:
    fill(object_server, ["a.jpg", "b.jpg", "c.jpg"])
    photos = list(PhotoSource([f"{scheme}://photos/set/"]))
    object_server.objects["set/a.jpg"] += b"more"
    object_server.objects["set/b.jpg"] = JPEG[RED][:100]
    assert photos[2].read() == object_server.objects["set/c.jpg"]
    for photo in photos[:2]:
        with pytest.raises(UnreadablePhoto, match="changed"):
            photo.read()


def test_a_server_is_waited_for_as_long_as_it_asks(object_server: ObjectServer, quick: None) -> None:
    fill(object_server, ["a.jpg"])
    object_server.faults, object_server.retry_after = {"set/a.jpg": [503, 200]}, "1"
    began = time.monotonic()
    (photo,) = PhotoSource([f"{object_server.addresses('set')['http']}a.jpg"])
    assert photo.read() == JPEG[RED] and 1 <= time.monotonic() - began < 3


@pytest.mark.parametrize("kind", ["gs", "http"])
def test_an_outage_is_waited_for_and_costs_no_row(
    object_server: ObjectServer, quick: None, kind: str, red_or_blue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(object_server, [f"{index:03}.jpg" for index in range(150)])
    monkeypatch.setattr(endpoint, "PATIENCE", 60.0)
    said: list[str] = []
    rows = load_classifier(red_or_blue).classify(object_server.addresses("set")[kind], notify=said.append)
    object_server.outage = 50, 503, 8 * 100
    every = list(rows)
    assert len(every) == 150 and [row.error for row in every if row.error] == []
    assert len(said) == 1 and "503" in said[0] and "trying again, up to 60 s long" in said[0]


@pytest.mark.parametrize("fault", [503, RESET, STALL])
def test_an_endpoint_that_stays_down_ends_the_run_in_bounded_time(
    object_server: ObjectServer, quick: None, fault: int | str, red_or_blue: Path
) -> None:
    fill(object_server, [f"{index:03}.jpg" for index in range(300)])
    object_server.outage = 50, fault, math.inf
    classifier = load_classifier(red_or_blue)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"gs://photos: no answer for 2 s: "):
        list(classifier.classify("gs://photos/set/"))
    # Not for ever; on a busy machine it takes longer than the two seconds that it waits.
    assert time.monotonic() - began < 60


def test_photos_named_one_by_one_are_rows_whatever_becomes_of_their_servers(
    object_server: ObjectServer, quick: None, red_or_blue: Path
) -> None:
    fill(object_server, ["a.jpg"])
    web = object_server.addresses("set")["http"]
    inputs = ["http://127.0.0.1:1/x.jpg", "http://127.0.0.1:1/y.jpg", f"{web}a.jpg", f"{web}none.jpg"]
    rows = list(load_classifier(red_or_blue).classify(inputs))
    assert [row.path for row in rows] == inputs and not rows[2].error and "404" in rows[3].error
    assert all("can't connect to 127.0.0.1:1 (Connection refused)" in row.error for row in rows[:2])


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_photo_whose_size_is_not_listed_is_read_alone(
    object_server: ObjectServer, announced: bool, red_or_blue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(object_server, ["a.jpg", "b.jpg", "c.jpg"])
    large = cv2.imencode(".bmp", picture(RED, (2000, 1500))[..., ::-1])[1].tobytes()
    object_server.objects["set/b.jpg"] = large
    object_server.chunked = not announced
    web = object_server.addresses("set")["http"]
    rows = list(load_classifier(red_or_blue).classify(web))
    assert [row.prediction for row in rows] == ["Female", "Female", "Female"]
    assert object_server.asked.count("set/b.jpg") == 2
    monkeypatch.setattr("batchgender.photos.reading.BYTE_LIMIT", 8_500_000)
    monkeypatch.setattr("batchgender.classify.read_ahead._READ_AHEAD", 8_500_000)
    rows = list(load_classifier(red_or_blue).classify(web))
    assert "larger than the limit" in rows[1].error and not rows[0].error and not rows[2].error


def test_many_are_fetched_at_one_time_by_one_core_and_keep_their_order(
    object_server: ObjectServer, red_or_blue: Path
) -> None:
    fill(object_server, [f"{index:03}.jpg" for index in range(300)])
    object_server.latency = 0.05
    classifier = load_classifier(red_or_blue, workers=1)
    began = time.monotonic()
    rows = list(classifier.classify(object_server.addresses("set")["http"]))
    # One after the other they would take 15 s.
    assert time.monotonic() - began < 7
    assert [row.path for row in rows] == [f"{index:03}.jpg" for index in range(300)]
    assert 16 < object_server.most_at_once <= endpoint.IN_FLIGHT


def test_bytes_held_are_bounded_by_the_photos_sizes(object_server: ObjectServer) -> None:
    large = cv2.imencode(".bmp", picture(RED, (1000, 1000))[..., ::-1])[1].tobytes()
    object_server.objects = {f"set/{index:03}.jpg": large for index in range(32)}
    fetches = Fetches()
    with closing(read_ahead(list(PhotoSource(["gs://photos/set/"])), fetches)) as batches, closing(fetches):
        assert len(next(batches)) == 3
        time.sleep(0.5)
        # Those of the batch, and as many behind them.
        assert len(object_server.asked) <= 3 + 3


def test_closing_a_run_ends_what_it_waits_for(object_server: ObjectServer, red_or_blue: Path) -> None:
    fill(object_server, [f"{index:03}.jpg" for index in range(100)])
    object_server.outage = 20, STALL, math.inf
    rows = load_classifier(red_or_blue).rows(PhotoSource(["gs://photos/set/"]))
    next(rows)
    time.sleep(0.3)
    began = time.monotonic()
    rows.close()
    assert time.monotonic() - began < 5


def test_a_redirect_is_followed(object_server: ObjectServer) -> None:
    fill(object_server, ["a.jpg"])
    object_server.moved = "/old/"
    (photo,) = PhotoSource([f"{object_server.url}/old/web/set/a.jpg"])
    assert photo.path == "a.jpg" and photo.read() == JPEG[RED]
    assert paths(f"{object_server.url}/old/web/set/") == ["a.jpg"]


def test_proxies_of_the_environment_are_used(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(object_server, ["a.jpg"])
    monkeypatch.setenv("http_proxy", object_server.url)
    # A host that is nowhere: the name is the proxy's to find.
    (photo,) = PhotoSource(["http://photos.invalid/web/set/"])
    assert photo.read() == JPEG[RED]


def test_names_and_passwords_come_from_netrc_the_address_or_the_configuration(
    object_server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(object_server, ["a.jpg"])
    address = f"{object_server.addresses('set')['http']}a.jpg"
    object_server.authorization = "Basic " + b64encode(b"anna:pa55").decode()
    (photo,) = PhotoSource([address])
    with pytest.raises(UnreadablePhoto, match="401 Unauthorized"):
        photo.read()
    (photo,) = PhotoSource([address.replace("//", "//anna:pa55@")])
    assert photo.read() == JPEG[RED]
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password pa55")
    (photo,) = PhotoSource([address])
    assert photo.read() == JPEG[RED]
    (tmp_path / ".netrc").unlink()
    object_server.authorization = "Bearer t0ken"
    headers = {"client_kwargs": {"headers": {"Authorization": "Bearer t0ken"}}}
    monkeypatch.setitem(fsspec.config.conf, "https", headers)
    (photo,) = PhotoSource([address])
    assert photo.read() == JPEG[RED]


def test_a_certificate_must_be_trusted(
    object_server: ObjectServer, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(object_server, ["a.jpg"])
    certificate = write_certificate(tmp_path / "server.pem")
    with serving(ObjectServer(object_server.objects), certificate) as server:
        web = f"https://127.0.0.1:{server.port}/web/set/"
        with pytest.raises(UserError, match="certificate verify failed.*SSL_CERT_FILE names certificates to trust"):
            paths(web)
        (photo,) = PhotoSource([f"{web}a.jpg"])
        with pytest.raises(UnreadablePhoto, match="certificate verify failed"):
            photo.read()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.port}")
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        with pytest.raises(UserError, match=r"s3://photos: .*AWS_CA_BUNDLE names certificates to trust"):
            paths("s3://photos/set/")
        monkeypatch.setenv("AWS_CA_BUNDLE", certificate)
        assert paths("s3://photos/set/") == ["a.jpg"]


def write_certificate(path: Path) -> str:
    """A certificate that 127.0.0.1 signs for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(signed.public_bytes(encoding) + key.private_bytes(encoding, kind, serialization.NoEncryption()))
    return str(path)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://anna:secret@host/a.jpg#part", "https://host/a.jpg"),
        ("https://host/a.jpg?X-Amz-Signature=abc&X-Amz-Date=1&v=2", "https://host/a.jpg?v=2"),
        ("https://host/a.jpg?sv=1&sig=abc%3D", "https://host/a.jpg"),
        ("https://host/photo?id=3&size=a%20b", "https://host/photo?id=3&size=a%20b"),
        ("s3://bucket/a?sig=1#2", "s3://bucket/a?sig=1#2"),
        ("photos/a@b?sig=1", "photos/a@b?sig=1"),
    ],
)
def test_what_is_secret_in_an_address_is_not_shown(address: str, shown: str) -> None:
    assert shown_address(address) == shown
    if "@host" in address:
        assert paths(address, "https://host/b.jpg") == [shown, "https://host/b.jpg"]


@pytest.mark.parametrize(
    ("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs"), ("https", "aiohttp")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("batchgender.extras.find_spec", lambda name: None if name == package else find(name))
    line = rf"{scheme}:// needs the extra batchgender\[remote\] \({package} not installed\)"
    with pytest.raises(UserError, match=line):
        PhotoSource([f"{scheme}://somewhere/photos/"])


def test_s3_as_moto_speaks_it(monkeypatch: pytest.MonkeyPatch, object_server: ObjectServer) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        client = boto3.client("s3")
        client.create_bucket(Bucket="album")
        for name in TREE:
            client.put_object(Bucket="album", Key=f"set/{name}", Body=JPEG[RED])
        photos = list(PhotoSource(["s3://album/set/"]))
        fill(object_server, TREE)
        assert [photo.path for photo in photos] == paths("gs://photos/set/")
        assert all(photo.read() == JPEG[RED] for photo in photos)
        with pytest.raises(UserError, match="s3://none: no such bucket; check the address"):
            PhotoSource(["s3://none/set/"])
        with pytest.raises(UserError, match="s3://album/nothing: no such object or folder"):
            PhotoSource(["s3://album/nothing"])
    finally:
        server.stop()
