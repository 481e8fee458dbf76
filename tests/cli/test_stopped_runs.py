"""Runs that end before their time, and go on: signals of schedulers, folders that vanish, too many errors."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from conftest import one_line_error

from batchgender.classify import run_log

Cli = Callable[..., Result]
COUNT = 1600


@pytest.fixture
def many(photos: Path) -> Path:
    """1,600 photos, hard links to the 80."""
    for folder, ending in (("female", "jpg"), ("male", "png")):
        for index in range(40, COUNT // 2):
            os.link(photos / folder / f"{index % 40:02}.{ending}", photos / folder / f"{index:04}.{ending}")
    return photos


@pytest.fixture
def line(red_or_blue: Path, photos: Path, tmp_path: Path) -> tuple[Any, ...]:
    return ("classify", photos, "--model", red_or_blue, "--faces", "off", "--out", tmp_path / "r.csv")


@pytest.fixture
def started(line: tuple[Any, ...], many: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A run over them in a process group of its own, with rows on the disk."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgender", *map(str, line), "--log-json", tmp_path / "log.jsonl"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    part = tmp_path / "r.csv.part"
    while not (part.exists() and part.stat().st_size > 5_000) and process.poll() is None:
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()
    yield process
    process.kill()
    process.communicate()


def rows(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, keep_default_na=False)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_a_schedulers_signal_to_all_processes_of_a_run_keeps_the_rows_and_spoils_none(
    started: "subprocess.Popen[str]", line: tuple[Any, ...], cli: Cli, tmp_path: Path, sent: int
) -> None:
    os.killpg(started.pid, sent)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130 and "Traceback" not in errors
    assert errors.splitlines()[-1] == "interrupted" and "go on with --resume" in errors.splitlines()[-2]
    assert 0 < len(rows(tmp_path / "r.csv.part")) < COUNT
    assert cli(*line, "--resume").exit_code == 0
    table = rows(tmp_path / "r.csv")
    assert len(table) == COUNT and table.path.is_unique and not table.error.any()
    events = [json.loads(each) for each in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [each["event"] for each in events] == ["begin", "interrupted"]
    assert events[0]["photos"] == 0 < events[1]["photos"] < COUNT and events[1]["photos_per_second"] > 0


def test_a_run_whose_folder_vanishes_stops_and_goes_on_once_it_is_back(
    started: "subprocess.Popen[str]", line: tuple[Any, ...], cli: Cli, photos: Path, tmp_path: Path
) -> None:
    started.send_signal(signal.SIGSTOP)
    photos.rename(tmp_path / "elsewhere")
    started.send_signal(signal.SIGCONT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 1 and "Traceback" not in errors
    last = errors.splitlines()[-1]
    assert last.startswith(f"Error: {photos}: is gone since the run began") and last.endswith("go on with --resume")
    assert not (tmp_path / "r.csv").exists() and not (tmp_path / "r.report.json").exists()
    assert "no such file or folder" in one_line_error(cli(*line, "--resume"))
    (tmp_path / "elsewhere").rename(photos)
    assert cli(*line, "--resume").exit_code == 0
    # Those that it had no longer found are read now.
    table = rows(tmp_path / "r.csv")
    assert len(table) == COUNT and table.path.is_unique and not table.error.any()


def test_a_single_photo_that_vanishes_is_a_row(started: "subprocess.Popen[str]", photos: Path, tmp_path: Path) -> None:
    (photos / "male" / "0790.png").unlink()
    _, errors = started.communicate(timeout=120)
    assert started.returncode == 0, errors
    assert errors.splitlines()[-1].startswith(f"1 of {COUNT:,} photos could not be read: 1 not there")
    table = rows(tmp_path / "r.csv").set_index("path")
    assert len(table) == COUNT and "No such file" in table.error["male/0790.png"]
    events = [json.loads(each) for each in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [each["event"] for each in events] == ["begin", "done"] and events[1]["errors"] == {"not there": 1}


def test_too_many_errors_stop_a_run_which_can_go_on_without_the_limit(
    line: tuple[Any, ...], cli: Cli, photos: Path, tmp_path: Path
) -> None:
    for index in range(150):
        (photos / "male" / f"x{index:03}.jpg").write_bytes(b"" if index % 2 else b"nothing")
    message = one_line_error(cli(*line, "--max-errors", 0.3))
    assert "could not be read, more than --max-errors 0.3: " in message and message.endswith("go on with --resume")
    assert " empty" in message and " no image" in message
    kept = rows(tmp_path / "r.csv.part")
    assert 64 <= len(kept) < 230
    done = cli(*line, "--resume")
    assert done.exit_code == 0
    assert done.stderr.splitlines()[-1].endswith("could not be read: 75 no image, 75 empty; see the column error")
    assert len(rows(tmp_path / "r.csv")) == 230
    assert cli(*line, "--overwrite", "--max-errors", 0.9).exit_code == 0


def test_the_log_says_how_a_run_goes(
    line: tuple[Any, ...], cli: Cli, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "LINE_EVERY", 0.2)
    log = tmp_path / "logs" / "log.jsonl"
    assert cli(*line, "--log-json", log).exit_code == 0
    begin, *running, done = [json.loads(each) for each in log.read_text().splitlines()]
    assert (begin["event"], done["event"], {each["event"] for each in running}) == ("begin", "done", {"running"})
    assert done["photos"] == done["total"] == COUNT and done["errors"] == {}
    assert [each["photos"] for each in running] == sorted(each["photos"] for each in running)
    if sys.platform == "linux":
        assert max(each["workers_memory_mb"] for each in running) > 10 < done["memory_mb"]
    (tmp_path / "file").touch()
    assert "can't write the log" in one_line_error(cli(*line, "--overwrite", "--log-json", tmp_path / "file" / "log"))
