"""Files uploaded to object stores and fetched from them: whole, on their conditions, and in spite of faults."""

import os
from pathlib import Path

import pytest
from object_server import RESET, ObjectServer

from batchgender.errors import UserError
from batchgender.photos.places.remote import bucket as buckets
from batchgender.photos.places.remote import endpoint
from batchgender.photos.places.remote.address import parse_target
from batchgender.photos.places.remote.bucket import Bucket
from batchgender.photos.places.remote.writable import Changed

KEY = "runs/results.csv"
SCHEMES = pytest.mark.parametrize("scheme", ["s3", "gs", "az"])


@pytest.fixture
def server(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """A server, limits of time that a test can wait for, and small pieces."""
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(endpoint, "PATIENCE", 1.0)
    monkeypatch.setattr(endpoint, "FIRST_PATIENCE", 2.0)
    monkeypatch.setattr(buckets, "PIECE", 2**18)
    return object_server


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of three pieces and a bit."""
    file = tmp_path / "large.csv"
    file.write_bytes(os.urandom(3 * 2**18 + 1000))
    return file


def opened(scheme: str, name: str = "photos") -> Bucket:
    return Bucket(parse_target(f"{scheme}://{name}/{KEY}"), print)


@SCHEMES
def test_a_file_goes_there_and_comes_back(server: ObjectServer, scheme: str, large: Path, tmp_path: Path) -> None:
    bucket = opened(scheme)
    bucket.check_writable(KEY)
    assert server.objects == {} and not server.begun and bucket.stat(KEY) is None
    bucket.upload(large, KEY, "")
    assert server.objects[KEY] == large.read_bytes() and server.largest < 2**18 + 2**12
    found = bucket.stat(KEY)
    assert found and found.size == large.stat().st_size and found.digest == buckets.digest_of(large)
    back = tmp_path / "back" / "r.csv"
    bucket.fetch(KEY, found, back)
    assert back.read_bytes() == large.read_bytes() and back.stat().st_mtime == found.modified
    server.put(KEY, b"of others")
    with pytest.raises(Changed):
        bucket.fetch(KEY, found, back)
    assert back.read_bytes() == large.read_bytes()
    bucket.remove(KEY)
    assert server.objects == {}


@SCHEMES
@pytest.mark.parametrize("may_look", [True, False])
def test_what_others_wrote_is_not_replaced(server: ObjectServer, scheme: str, may_look: bool, large: Path) -> None:
    bucket = opened(scheme)
    server.put(KEY, b"of others")
    found = bucket.stat(KEY)
    assert found and not found.digest
    if not may_look:
        # The store's own conditions are left, as between a look and a write.
        server.faults[f"stat {KEY}"] = [403]
    with pytest.raises(Changed):
        bucket.upload(large, KEY, "")
    assert server.objects[KEY] == b"of others" and not server.begun
    bucket.upload(large, KEY, found.tag)
    assert server.objects[KEY] == large.read_bytes()
    server.put(KEY, b"of others, again")
    with pytest.raises(Changed):
        bucket.upload(large, KEY, found.tag)
    server.objects.clear()
    with pytest.raises(Changed):
        bucket.upload(large, KEY, found.tag)
    assert server.objects == {}
    bucket.upload(large, KEY, None)
    bucket.upload(large, KEY, None)
    assert server.objects[KEY] == large.read_bytes()


@SCHEMES
def test_faults_that_pass_cost_nothing(
    server: ObjectServer, scheme: str, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tries may take long on a machine that is busy.
    for limit in ("PATIENCE", "FIRST_PATIENCE"):
        monkeypatch.setattr(endpoint, limit, 60.0)
    bucket = opened(scheme)
    for operation in ("stat", "begin", "piece", "finish"):
        server.faults[f"{operation} {KEY}"] = [503, RESET, 500, 200]
    bucket.check_writable(KEY)
    assert bucket.stat(KEY) is None
    bucket.upload(large, KEY, "")
    assert server.objects[KEY] == large.read_bytes()


@SCHEMES
def test_an_upload_whose_last_answer_is_lost_is_done(server: ObjectServer, scheme: str, large: Path) -> None:
    bucket = opened(scheme)
    bucket.check_writable(KEY)
    server.lost_answers = 1
    bucket.upload(large, KEY, "")
    assert server.lost_answers == 0 and server.objects[KEY] == large.read_bytes()


@SCHEMES
@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "://nowhere: no such bucket; check the address"), ("closed", "can't write it: 403 Forbidden")],
)
def test_a_bucket_that_can_not_be_written_is_a_line(server: ObjectServer, scheme: str, name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        opened(scheme, name).check_writable(KEY)
    assert message in str(caught.value)


def test_a_server_that_is_gone_is_waited_for_and_given_up(server: ObjectServer, large: Path) -> None:
    bucket = opened("s3")
    bucket.check_writable(KEY)
    for operation in ("begin", "piece", "cancel"):
        server.faults[f"{operation} {KEY}"] = [RESET]
    with pytest.raises(UserError, match="s3://photos: no answer for 1 s"):
        bucket.upload(large, KEY, "")


def test_a_store_without_conditions_is_written_to(server: ObjectServer, large: Path) -> None:
    bucket = opened("s3")
    server.faults[f"finish {KEY}"] = [501, 200]
    bucket.upload(large, KEY, "")
    assert server.objects[KEY] == large.read_bytes()


def test_s3_as_moto_speaks_it(monkeypatch: pytest.MonkeyPatch, server: ObjectServer, large: Path) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    # What S3 itself asks of all pieces but the last.
    monkeypatch.setattr(buckets, "PIECE", 5 * 2**20)
    large.write_bytes(os.urandom(6 * 2**20))
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        client = boto3.client("s3")
        client.create_bucket(Bucket="album")
        bucket = opened("s3", "album")
        bucket.check_writable(KEY)
        assert "Uploads" not in client.list_multipart_uploads(Bucket="album")
        assert bucket.stat(KEY) is None
        bucket.upload(large, KEY, "")
        found = bucket.stat(KEY)
        assert found and found.digest == buckets.digest_of(large)
        answer = client.get_object(Bucket="album", Key=KEY)
        assert answer["Body"].read() == large.read_bytes() and answer["ContentType"] == "text/csv"
        client.put_object(Bucket="album", Key=KEY, Body=b"of others")
        for expected in ("", found.tag):
            with pytest.raises(Changed):
                bucket.upload(large, KEY, expected)
        assert "Uploads" not in client.list_multipart_uploads(Bucket="album")
        other = bucket.stat(KEY)
        assert other
        bucket.upload(large, KEY, other.tag)
        bucket.fetch(KEY, bucket.stat(KEY) or other, large.with_name("back.csv"))
        assert large.with_name("back.csv").read_bytes() == large.read_bytes()
        with pytest.raises(UserError, match="s3://none: no such bucket; check the address"):
            opened("s3", "none").check_writable(KEY)
    finally:
        moto.stop()
