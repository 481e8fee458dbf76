"""`classify --out s3://...`: results that go to object stores, whole or not at all, and no row lost on the way."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import RED, one_line_error, write_picture
from object_server import STALL, ObjectServer, serving

from batchgender.photos.places.remote import endpoint
from batchgender.results.read_results import read_results

Cli = Callable[..., Result]
Line = tuple[Any, ...]
KEY, ADDRESS = "runs/r.csv", "s3://photos/runs/r.csv"


@pytest.fixture
def server(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ObjectServer:
    """A server, limits of time that a test can wait for, and a state folder of the test's."""
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(endpoint, "PATIENCE", 1.0)
    monkeypatch.setattr(endpoint, "FIRST_PATIENCE", 1.0)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return object_server


@pytest.fixture
def line(photos: Path, red_or_blue: Path) -> Line:
    return ("classify", photos, "--model", red_or_blue, "--faces", "off", "--workers", 1, "--out")


def kept(tmp_path: Path) -> list[Path]:
    """The working files."""
    return [file for file in (tmp_path / "state").rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    "address",
    [
        *("s3://photos/runs/r.csv", "gs://photos/r.csv", "az://photos/runs/deep/r.csv"),
        *("s3://photos/r.csv.gz", "s3://photos/r.jsonl", "s3://photos/r.parquet", "s3://photos/r.db"),
    ],
)
def test_an_object_is_what_a_file_would_be(
    server: ObjectServer, cli: Cli, line: Line, address: str, tmp_path: Path
) -> None:
    key = address.partition("://photos/")[2]
    name = key.rpartition("/")[2]
    local, back = tmp_path / "local" / name, tmp_path / "back" / name
    assert cli(*line, local).exit_code == 0
    result = cli(*line, address)
    assert result.exit_code == 0, result.output
    report = key.partition(".")[0] + ".report.json"
    assert sorted(server.objects) == sorted([key, report])
    assert f"; written: {address}, {address.partition(key)[0]}{report}" in result.stderr
    assert server.objects[report] == (tmp_path / "local" / "r.report.json").read_bytes()
    if name == "r.db":
        back.parent.mkdir()
        back.write_bytes(server.objects[key])
        assert list(read_results(str(back))) == list(read_results(str(local)))
    else:
        assert server.objects[key] == local.read_bytes()
    assert kept(tmp_path) == [] and not server.begun


def test_a_folder_of_parts_is_replaced_by_another(
    server: ObjectServer, cli: Cli, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "s3://photos/runs/r/"
    monkeypatch.setattr("batchgender.results.parquet_parts.ROWS", 1)
    assert cli(*line, f"{tmp_path}/r/").exit_code == 0
    parts = {f"runs/r/{file.name}": file.read_bytes() for file in (tmp_path / "r").iterdir()}
    server.objects |= {f"runs/r/part-{number:05}.parquet": b"old" for number in range(len(parts) + 2)}
    assert "exists already; replace it with --overwrite" in one_line_error(cli(*line, address))
    result = cli(*line, address, "--overwrite")
    assert result.exit_code == 0, result.output
    assert server.objects.pop("runs/r.report.json")
    assert server.objects == parts
    server.objects["runs/r/notes.txt"] = b"mine"
    assert "holds other objects ('notes.txt')" in one_line_error(cli(*line, address, "--overwrite"))


def test_what_is_there_is_replaced_only_where_that_is_said(server: ObjectServer, cli: Cli, line: Line) -> None:
    server.put(KEY, b"of others")
    assert one_line_error(cli(*line, ADDRESS)).startswith(
        f"Error: {ADDRESS}: exists already; replace it with --overwrite"
    )
    assert "nothing to resume; --update" in one_line_error(cli(*line, ADDRESS, "--resume"))
    assert server.objects == {KEY: b"of others"}
    assert cli(*line, ADDRESS, "--overwrite").exit_code == 0
    assert server.objects[KEY].startswith(b"path,prediction")
    del server.objects[KEY]
    assert "s3://photos/runs/r.report.json: exists already" in one_line_error(cli(*line, ADDRESS))


def test_who_may_write_and_not_look_replaces_nothing(server: ObjectServer, cli: Cli, line: Line) -> None:
    server.faults = {f"stat runs/{name}": [403] for name in ("r.csv", "r.report.json", "r.csv.seen")}
    # As a job of a scheduler is called.
    assert cli(*line, ADDRESS, "--resume").exit_code == 0
    server.put(KEY, b"of others")
    message = one_line_error(cli(*line, ADDRESS))
    assert f"{ADDRESS}: exists already; move that object away first; all rows are kept in" in message
    assert server.objects[KEY] == b"of others"
    del server.objects[KEY]
    assert cli(*line, ADDRESS, "--resume").exit_code == 0 and len(server.objects[KEY]) > 1000
    assert "may not be read, so it can't be updated" in one_line_error(cli(*line, ADDRESS, "--update"))


def start(*arguments: Any) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "batchgender", *map(str, arguments)]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True)


def test_a_run_that_is_killed_goes_on_to_the_same_object(
    server: ObjectServer,
    cli: Cli,
    photos: Path,
    line: Line,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for index in range(700):
        (photos / "male" / f"x{index:03}.png").hardlink_to(photos / "male" / "05.png")
    process = start(*line, ADDRESS)
    while not (part := [file for file in kept(tmp_path) if file.name == "r.csv.part"]) or part[0].stat().st_size < 5000:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    assert f"{ADDRESS}: " in (message := one_line_error(cli(*line, ADDRESS, "--resume"))) and "another run" in message
    process.kill()
    process.communicate()
    assert server.objects == {}
    assert "an unfinished run; go on with --resume" in one_line_error(cli(*line, ADDRESS))
    with monkeypatch.context() as other_machine:
        other_machine.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
        begun = cli(*line[:3], "none.onnx", *line[4:], ADDRESS, "--resume")
        assert f"{ADDRESS}: nothing to resume on this machine, so the run begins" in begun.stderr
    result = cli(*line, ADDRESS, "--resume")
    assert result.exit_code == 0, result.output
    assert int(result.stderr.partition(" photos in ")[0].rpartition("\n")[2].replace(",", "")) < 780
    assert cli(*line, tmp_path / "r.csv").exit_code == 0
    assert server.objects[KEY] == (tmp_path / "r.csv").read_bytes()
    assert server.objects["runs/r.report.json"] == (tmp_path / "r.report.json").read_bytes()


@pytest.mark.parametrize("name", ["r.csv", "r/"])
def test_a_server_that_stops_in_mid_upload_costs_no_row_and_no_second_run(
    server: ObjectServer, cli: Cli, line: Line, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"s3://photos/runs/{name}"
    key = f"runs/{name}" + ("part-00000.parquet" if name == "r/" else "")
    with ExitStack() as running:
        server = running.enter_context(serving(ObjectServer()))
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.on_write[f"piece {key}"] = lambda: threading.Thread(target=running.close).start()
        message = one_line_error(cli(*line, address))
    assert "s3://photos: no answer for 1 s: " in message
    assert "; all rows are kept in " in message and message.endswith("--resume uploads them")
    server.on_write.clear()
    with serving(server):
        assert "finished on this machine, and its results are not uploaded yet" in one_line_error(cli(*line, address))
        assert key not in server.objects
        # No model is opened.
        result = cli(*line[:3], "none.onnx", *line[4:], address, "--resume")
    assert result.exit_code == 0, result.output
    report = "s3://photos/runs/r.report.json"
    assert result.stderr.splitlines()[-1] == f"finished before; uploaded: {address}, {report}"
    assert cli(*line, f"{tmp_path}/{name}").exit_code == 0
    file = tmp_path / name / "part-00000.parquet" if name == "r/" else tmp_path / name
    assert server.objects[key] == file.read_bytes() and kept(tmp_path) == []
    assert server.objects["runs/r.report.json"] == (tmp_path / "r.report.json").read_bytes()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("operation", ["piece runs/r.csv", "finish runs/r.report.json"])
def test_a_run_that_is_killed_while_it_uploads_is_uploaded_later(
    server: ObjectServer,
    cli: Cli,
    line: Line,
    sent: int,
    operation: str,
    tmp_path: Path,
) -> None:
    server.faults[operation] = [STALL]
    process = start(*line, ADDRESS)
    key = operation.partition(" ")[2]
    while server.writes.count(f"begin {key}") < 1 + (key == KEY):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    if sent == signal.SIGTERM:
        assert process.returncode == 130
        assert "not uploaded; all rows are kept in" in errors and "--resume uploads them" in errors
    server.faults.clear()
    result = cli(*line, ADDRESS, "--resume")
    assert result.exit_code == 0 and "finished before; uploaded" in result.stderr, result.output
    assert cli(*line, tmp_path / "r.csv").exit_code == 0
    assert server.objects[KEY] == (tmp_path / "r.csv").read_bytes() and kept(tmp_path) == []
    assert server.objects["runs/r.report.json"] == (tmp_path / "r.report.json").read_bytes()


def test_an_update_fetches_what_is_there_and_reads_what_has_changed_alone(
    server: ObjectServer, cli: Cli, line: Line, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(*line, ADDRESS, "--update").exit_code == 0
    assert sorted(server.objects) == [KEY, "runs/r.csv.seen", "runs/r.report.json"]
    write_picture(photos / "female" / "new.jpg", RED)
    (photos / "male" / "03.png").unlink()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    result = cli(*line, ADDRESS, "--update")
    assert "79 rows kept, 1 photos new, 0 changed, 1 gone" in result.stderr, result.output
    assert cli(*line, tmp_path / "r.csv").exit_code == 0
    assert server.objects[KEY] == (tmp_path / "r.csv").read_bytes()
    assert json.loads(server.objects["runs/r.report.json"])["photos"] == 80
    again = cli(*line, ADDRESS, "--retry-errors")
    assert again.exit_code == 0 and server.objects[KEY] == (tmp_path / "r.csv").read_bytes()
    # Of results that are replaced no marks stay that are others'.
    assert cli(*line, ADDRESS, "--overwrite").exit_code == 0
    assert "80 rows kept" in cli(*line, ADDRESS, "--update").stderr


def test_an_object_that_others_wrote_meanwhile_stays_and_ours_is_kept(
    server: ObjectServer, cli: Cli, line: Line, photos: Path, tmp_path: Path
) -> None:
    assert cli(*line, ADDRESS, "--update").exit_code == 0
    write_picture(photos / "female" / "new.jpg", RED)
    server.on_write[f"piece {KEY}"] = lambda: server.put(KEY, b"of others")
    message = one_line_error(cli(*line, ADDRESS, "--update"))
    assert f"{ADDRESS}: was written by another program since this run began" in message
    assert message.endswith("--resume uploads them") and server.objects[KEY] == b"of others"
    server.on_write.clear()
    assert "by another program" in one_line_error(cli(*line, ADDRESS, "--resume"))
    assert server.objects[KEY] == b"of others"
    del server.objects[KEY]
    assert cli(*line, ADDRESS, "--resume").exit_code == 0
    assert cli(*line, tmp_path / "r.csv").exit_code == 0
    assert server.objects[KEY] == (tmp_path / "r.csv").read_bytes()


def test_reports_go_to_addresses_of_their_own(server: ObjectServer, cli: Cli, line: Line, tmp_path: Path) -> None:
    there = ("--report", "s3://photos/pages/r.html", "--report", tmp_path / "r.json")
    result = cli(*line, ADDRESS, *there, "--report", "gs://photos/r.json")
    assert result.exit_code == 0, result.output
    assert sorted(server.objects) == ["pages/r.html", "r.json", KEY]
    assert server.objects["pages/r.html"].startswith(b"<!doctype html>")
    assert json.loads(server.objects["r.json"]) == json.loads((tmp_path / "r.json").read_text())
    server.objects.clear()
    assert cli(*line, tmp_path / "r.csv", "--report", "s3://photos/r.html").exit_code == 0
    assert list(server.objects) == ["r.html"] and kept(tmp_path) == []
    server.faults["piece s.html"] = [403]
    message = one_line_error(cli(*line, tmp_path / "s.csv", "--report", "s3://photos/s.html"))
    assert "s3://photos/s.html: can't write it: 403 Forbidden" in message and (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("address", "environment", "message"),
    [
        (
            "https://anna:pa55word@host/r.csv",
            {},
            "https://host/r.csv: no place for results and reports; these are files",
        ),
        ("ftp://host/r.csv", {}, "ftp://host/r.csv: no place for results and reports; these are files of this machine"),
        ("s3://key:s3cret@photos/r.csv", {}, "credentials stand before the bucket"),
        ("s3://photos/r.xls", {}, "s3://photos/r.xls: unknown format; end the name in .csv"),
        ("s3://photos/", {}, "names nothing in the bucket; write s3://photos/results.csv"),
        ("s3://photos", {}, "names nothing in the bucket"),
        ("s3://photos/runs/../", {}, "has an empty part, or a dot for one"),
        ("s3://nowhere/r.csv", {}, "s3://nowhere: no such bucket; check the address"),
        ("s3://closed/r.csv", {}, "s3://closed/r.csv: can't write it: 403 Forbidden (AccessDenied); set AWS_PROFILE"),
        ("s3://expired/r.csv", {}, "the credentials are not accepted (ExpiredToken)"),
        ("s3://photos/r.csv", {"AWS_ACCESS_KEY_ID": ""}, "Unable to locate credentials; set AWS_PROFILE, or"),
        ("s3://photos/r.csv", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "s3://photos: no answer for 1 s: "),
        ("s3://photos/r.csv", {"XDG_STATE_HOME": "/dev/null/a"}, "XDG_STATE_HOME names another folder"),
        ("s3://photos/" + "r" * 200 + ".csv", {}, "a name of more than 180 bytes"),
    ],
)
def test_what_can_not_be_written_is_refused_before_the_model_is_opened(
    server: ObjectServer,
    cli: Cli,
    line: Line,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    environment: dict[str, str],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    result = cli(*line[:3], "none.onnx", *line[4:], address)
    assert message in one_line_error(result)
    assert "pa55word" not in result.output and "s3cret" not in result.output
    assert server.objects == {} and kept(tmp_path) == []


def test_a_package_that_is_missing_is_named_with_its_extra(
    server: ObjectServer, cli: Cli, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr("batchgender.extras.find_spec", lambda name: None if name == "s3fs" else find(name))
    message = one_line_error(cli(*line, ADDRESS))
    assert message.startswith("Error: s3:// needs the extra batchgender[remote] (s3fs not installed)")


def test_rows_of_a_run_that_stops_are_kept_on_this_machine(
    server: ObjectServer, cli: Cli, line: Line, photos: Path, tmp_path: Path
) -> None:
    for index in range(150):
        (photos / "male" / f"x{index:03}.jpg").write_bytes(b"")
    message = one_line_error(cli(*line, ADDRESS, "--max-errors", 0.3))
    assert message.endswith("go on with --resume") and server.objects == {}
    result = cli(*line, ADDRESS, "--resume")
    assert result.exit_code == 0 and server.objects[KEY].count(b"\n") == 231
    # A trial writes nothing anywhere.
    server.objects.clear()
    assert cli(*line, ADDRESS, "--dry-run").exit_code == 0
    assert server.objects == {} and kept(tmp_path) == []


def test_shards_in_a_bucket_are_merged_to_what_one_run_gives(
    server: ObjectServer, cli: Cli, line: Line, photos: Path, tmp_path: Path
) -> None:
    parts = [f"s3://photos/parts/{number}.csv" for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        assert cli(*line, part, "--shard", f"{number}/2").exit_code == 0
    assert {"parts/1.csv.shard.json", "parts/2.csv.shard.json"} < {*server.objects}
    assert cli(*line, tmp_path / "r.csv").exit_code == 0
    merged = cli("merge", *parts, "--out", ADDRESS)
    assert merged.exit_code == 0, merged.output
    assert f"written: {ADDRESS}, s3://photos/runs/r.report.json" in merged.stderr
    assert server.objects[KEY] == (tmp_path / "r.csv").read_bytes()
    assert server.objects["runs/r.report.json"] == (tmp_path / "r.report.json").read_bytes()
    server.put(KEY, b"of others")
    server.faults[f"piece {KEY}"] = [403]
    message = one_line_error(cli("merge", *parts, "--out", ADDRESS, "--overwrite"))
    assert "can't write it: 403 Forbidden" in message and message.endswith("nothing is lost: do the same again")
    server.faults.clear()
    assert cli("merge", *parts, "--out", ADDRESS, "--overwrite").exit_code == 0 and kept(tmp_path) == []
    # Others read what is there, too.
    assert "80 photos" in cli("compare", ADDRESS, tmp_path / "r.csv").stdout
    assert "no report is written of results at an address" in cli("report", ADDRESS).stderr
    result = cli("report", ADDRESS, "--report", "s3://photos/runs/again.json")
    assert result.exit_code == 0 and result.stderr.endswith("written: s3://photos/runs/again.json\n")
    assert json.loads(server.objects["runs/again.json"])["photos"] == 80
    assert "s3://photos/none.csv: no such object" in one_line_error(cli("report", "s3://photos/none.csv"))
    assert "an address; fetch the results" in one_line_error(
        cli("sort", photos, "--results", ADDRESS, "--into", tmp_path / "sorted")
    )
