"""`classify` over addresses, as a user runs it: whole runs, stopped ones, and the lines that say why not."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pandas as pd
import pytest
from click.testing import Result
from conftest import BLUE, RED, one_line_error, picture, write_picture
from object_server import DROP, RESET, STALL, TRUNCATE, ObjectServer

from batchgender.photos.places.remote import endpoint, web_requests
from batchgender.photos.source import PhotoSource

Cli = Callable[..., Result]
COUNT = 200
# The first photos are not looked at before the run.
FACES_OFF = ("--faces", "off")


def fill(server: ObjectServer, count: int = COUNT) -> None:
    """Photos {female,male}/NNN.jpg."""
    for index in range(count):
        name, color = (("female", RED), ("male", BLUE))[index % 2]
        server.objects[f"set/{name}/{index:03}.jpg"] = cv2.imencode(".jpg", picture(color)[..., ::-1])[1].tobytes()


@pytest.fixture
def server(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """A server with photos, and limits of time that a test can wait for."""
    fill(object_server)
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(endpoint, "TIME_LIMIT", 0.5)
    monkeypatch.setattr(endpoint, "PATIENCE", 1.0)
    monkeypatch.setattr(endpoint, "FIRST_PATIENCE", 0.3)
    monkeypatch.setattr(web_requests, "SILENCE_LIMIT", 0.5)
    return object_server


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_with_faults_every_photo_has_one_row_and_a_report(
    server: ObjectServer, cli: Cli, kind: str, red_or_blue: Path, tmp_path: Path
) -> None:
    keys = sorted(server.objects)
    faults: list[int | str] = [503, 429, RESET, DROP, TRUNCATE, STALL, 500]
    for index, fault in enumerate(faults):
        for key in keys[index::40]:
            server.faults[key] = [fault, 200]
    lost = {keys[33]: 404, keys[77]: 403, keys[111]: 503}
    server.faults |= {key: [status] for key, status in lost.items()}
    out = tmp_path / "r.csv"
    result = cli("classify", server.addresses("set")[kind], *FACES_OFF, "--model", red_or_blue, "--out", out)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out, keep_default_na=False)
    assert list(table.path) == [key.removeprefix("set/") for key in keys]
    assert set("set/" + table.path[table.error != ""]) == set(lost)
    assert (table.prediction == table.label)[table.error == ""].all()
    assert "3 of 200 photos could not be read" in result.stderr and "accuracy" in result.stdout
    report = json.loads((tmp_path / "r.report.json").read_text())
    assert report["photos_from"] == [server.addresses("set")[kind]]


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_run_whose_server_dies_goes_on_to_the_same_file(
    server: ObjectServer, cli: Cli, kind: str, red_or_blue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server.addresses("set")[kind]
    line = ("classify", address, *FACES_OFF, "--model", red_or_blue, "--out")
    assert cli(*line, tmp_path / "whole.csv").exit_code == 0
    server.outage = len(server.asked) + 180, RESET, math.inf
    out, part = tmp_path / "r.csv", tmp_path / "r.csv.part"
    message = one_line_error(cli(*line, out))
    assert "no answer for 1 s: " in message and message.endswith("the rows so far are kept, go on with --resume")
    kept = part.read_bytes().count(b"\r\n") - 1
    assert kept <= 180 and not out.exists()
    server.outage = None
    asked = len(server.asked)
    # From wherever it is called.
    monkeypatch.chdir(tmp_path)
    result = cli(*line, out, "--resume")
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    # On a busy machine one may be asked for twice.
    assert len(set(server.asked[asked:])) == COUNT - kept


def test_a_run_killed_by_ctrl_c_while_it_waits_ends_soon_and_goes_on(
    object_server: ObjectServer, cli: Cli, red_or_blue: Path, tmp_path: Path
) -> None:
    fill(object_server)
    # By key: which are asked for first is not said, and a photo of the first rows might wait.
    object_server.faults = {key: [STALL] for key in sorted(object_server.objects)[100:]}
    out = tmp_path / "r.csv"
    line = ["classify", "gs://photos/set/", *FACES_OFF, "--model", str(red_or_blue), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgender", *line],
        env={**os.environ, "FSSPEC_GS_TOKEN": "anon"},
        stderr=subprocess.PIPE,
        text=True,
    )
    part = tmp_path / "r.csv.part"
    while not (part.exists() and part.read_bytes().count(b"\n") > 32) and process.poll() is None:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - began < 10
    assert errors.splitlines()[-1] == "interrupted" and "go on with --resume" in errors.splitlines()[-2]
    assert "Traceback" not in errors and "never" not in errors and "pending" not in errors
    object_server.faults.clear()
    assert cli(*line, "--resume").exit_code == 0 and len(pd.read_csv(out)) == COUNT


def test_a_folder_that_can_not_be_listed_makes_a_strict_run_fail(
    server: ObjectServer, cli: Cli, red_or_blue: Path, tmp_path: Path
) -> None:
    server.faults["set/male/"] = [403]
    line = ("classify", server.addresses("set")["http"], "--model", red_or_blue, "--out")
    result = cli(*line, tmp_path / "r.csv")
    assert result.exit_code == 0 and "set/male/: can't list it: 403 Forbidden" in result.stderr
    assert cli(*line, tmp_path / "s.csv", "--strict").exit_code == 3
    assert len(pd.read_csv(tmp_path / "r.csv")) == COUNT / 2


def test_a_signature_and_a_password_are_in_no_file(
    server: ObjectServer, cli: Cli, red_or_blue: Path, tmp_path: Path
) -> None:
    web = server.addresses("set")["http"].replace("//", "//anna:pa55word@")
    addresses = [f"{web}female/{index:03}.jpg?X-Amz-Signature=s1gned" for index in range(0, 100, 2)]
    server.faults["set/female/000.jpg"] = [404]
    line = ("--model", red_or_blue, "--out", tmp_path / "r.csv", "--report", tmp_path / "r.json", "-v")
    result = cli("classify", *addresses, *line)
    assert result.exit_code == 0 and len(pd.read_csv(tmp_path / "r.csv")) == 50
    written = result.output + "".join(file.read_text() for file in tmp_path.glob("r.*"))
    assert "s1gned" not in written and "pa55word" not in written
    assert "s1gned" not in "".join(PhotoSource(addresses).inputs)


@pytest.mark.parametrize(
    ("address", "environment", "message"),
    [
        ("s3://nowhere/a/", {}, "s3://nowhere: no such bucket; check the address"),
        ("gs://nowhere", {}, "gs://nowhere: no such bucket"),
        ("az://nowhere/a", {}, "az://nowhere: no such bucket"),
        ("s3://photos/none", {}, "s3://photos/none: no such object or folder"),
        ("s3://photos/none/", {}, "no photos found in s3://photos/none/"),
        ("s3://photos/none*.jpg", {}, "no photos found in s3://photos/none*.jpg"),
        ("s3://closed/a/", {}, "403 Forbidden (AccessDenied); set AWS_PROFILE, or"),
        ("s3://closed/a/", {}, "for a public bucket, FSSPEC_S3_ANON=true"),
        ("s3://expired/a/", {}, "the credentials are not accepted (ExpiredToken)"),
        ("s3://photos/", {"AWS_ACCESS_KEY_ID": ""}, "Unable to locate credentials; set AWS_PROFILE, or"),
        ("s3://photos/", {"AWS_PROFILE": "nobody"}, "(nobody) could not be found; set AWS_PROFILE"),
        ("az://photos/", {"AZURE_STORAGE_CONNECTION_STRING": ""}, "set AZURE_STORAGE_ACCOUNT_NAME, and"),
        (
            "s3://photos/",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "s3://photos: no answer for 0 s: Could not connect",
        ),
        ("http://127.0.0.1:1/a/", {}, "http://127.0.0.1:1: no answer for 0 s: can't connect"),
        ("s3://My Bucket/a/", {}, "Invalid bucket name"),
        ("s3:///a.jpg", {}, "names no bucket; write s3://bucket/photos/"),
        (
            "ftp://host/a.jpg",
            {},
            "not an address that can be read; they begin with s3://, gs://, az://, https://, http://",
        ),
        ("gs://photos/notes.zip", {}, "notes.zip: not a photo by its ending; fetch it first"),
    ],
)
def test_what_can_not_be_read_ends_in_one_line_and_writes_nothing(
    server: ObjectServer,
    cli: Cli,
    red_or_blue: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    environment: dict[str, str],
    message: str,
) -> None:
    server.objects["notes.zip"] = b"PK"
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    assert message in one_line_error(cli("classify", address, "--model", red_or_blue, "--out", tmp_path / "r.csv"))
    assert not list(tmp_path.glob("r.*"))


def test_a_public_bucket_is_read_without_credentials_as_the_line_says(
    server: ObjectServer, red_or_blue: Path, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_ENDPOINT_URL": server.url, "FSSPEC_S3_ANON": "true"}
    line = ["classify", "s3://photos/set/", "--model", str(red_or_blue), "--out", str(tmp_path / "r.csv")]
    done = subprocess.run([sys.executable, "-m", "batchgender", *line], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False)
    assert len(table) == COUNT and not table.error.any()
    # Nothing that a library warns of as it ends.
    assert [text for text in ("Traceback", "Unclosed", "never retrieved", "pending") if text in done.stderr] == []


def test_a_list_names_addresses_beside_paths(server: ObjectServer, cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    web = server.addresses("set")["http"]
    here = write_picture(tmp_path / "here.jpg", BLUE)
    paths = [
        f"{web}female/000.jpg?X-Amz-Signature=s1gned",
        str(here),
        "s3://photos/set/male/001.jpg",
        f"{web}female/000.jpg?X-Amz-Signature=another",
        "http://127.0.0.1:1/a.jpg",
        "s3://photos/set/none.jpg",
        "ftp://host/a.jpg",
    ]
    (tmp_path / "list.txt").write_text("\n".join(paths))
    out = tmp_path / "r.csv"
    result = cli("classify", "--from-list", tmp_path / "list.txt", "--model", red_or_blue, "--out", out)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out, keep_default_na=False)
    assert list(table.path) == [f"{web}female/000.jpg", *paths[1:3], *paths[4:]]
    assert list(table.prediction) == ["Female", "Male", "Male", "", "", ""]
    for error, reason in zip(
        table.error[3:], ("Connection refused", "404 Not Found", "not an address that can be read"), strict=True
    ):
        assert reason in error


def test_the_first_photos_are_looked_at_for_their_faces(
    server: ObjectServer, cli: Cli, red_or_blue: Path, tmp_path: Path
) -> None:
    line = ("classify", server.addresses("set")["gs"], "--model", red_or_blue)
    result = cli(*line, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0 and "faces: none found in 100 photos looked at" in result.stderr
    assert len(pd.read_csv(tmp_path / "r.csv")) == COUNT
    result = cli(*line, "--dry-run")
    assert result.exit_code == 0 and "200" in result.stdout and "no results were written" in result.stdout
