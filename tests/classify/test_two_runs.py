"""Two runs that write the same file at the same time: one is refused, and no photo stands twice."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pandas as pd
import pytest
from conftest import one_line_error

Cli = Callable[..., Any]
Command = Callable[..., "Popen[str]"]
PHOTOS = 4000
UNFINISHED = ["r.csv.part", "r.csv.part.crc", "r.csv.part.json", "r.csv.part.seen"]


@pytest.fixture
def line(photos: Path, red_or_blue: Path) -> tuple[Any, ...]:
    """A run over 4,000 photos, hard links to the 80, which takes seconds."""
    for folder, ending in (("female", "jpg"), ("male", "png")):
        for index in range(40, PHOTOS // 2):
            os.link(photos / folder / f"{index % 40:02}.{ending}", photos / folder / f"{index:04}.{ending}")
    return ("classify", photos, "--model", red_or_blue, "-q")


@contextmanager
def running(process: "Popen[str]", part: Path) -> Iterator[None]:
    """Once the process has written rows to `part`, while it is stopped."""
    while process.poll() is None and not (part.exists() and part.stat().st_size > 10_000):
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def check_whole(out: Path, first: "Popen[str]") -> None:
    """The first run ended well, with a row for each photo, and left nothing beside."""
    assert first.wait(120) == 0
    table = pd.read_csv(out)
    assert len(table) == PHOTOS and table.path.is_unique
    assert not list(out.parent.glob("*.part*")) and not list(out.parent.glob("*.lock"))


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
def test_a_second_run_on_one_out_is_refused_whatever_it_was_told(
    line: tuple[Any, ...], command: Command, cli: Cli, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out" / name
    first = command(*line, "--out", out)
    with running(first, Path(f"{out}.part")):
        (tmp_path / "link").symlink_to(out.parent)
        before = Path(f"{out}.part").read_bytes()
        for options in ([], ["--resume"], ["--overwrite"]):
            message = one_line_error(cli(*line, "--out", out, *options))
            assert f"another run (process {first.pid} on " in message and str(out) in message
        assert "another run" in one_line_error(cli(*line, "--out", tmp_path / "link" / name))
        # A results file of another name is another's business, a report of the same name is not.
        report = ("--report", out.parent / f"{out.stem}.report.json")
        assert "another run" in one_line_error(cli(*line, "--out", tmp_path / "other.csv", *report))
        assert "another run" in one_line_error(cli(*line, "--out", "-", *report))
        assert Path(f"{out}.part").read_bytes() == before
    assert first.wait(120) == 0
    if name == "r.csv":
        check_whole(out, first)
    assert sorted(each.name for each in out.parent.iterdir()) == sorted([name, f"{out.stem}.report.json"])


def test_a_killed_run_is_resumed_at_once_and_by_one_of_two(
    line: tuple[Any, ...], command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "r.csv"
    killed = command(*line, "--out", out)
    with running(killed, Path(f"{out}.part")):
        killed.kill()
    killed.wait()
    resumed = [command(*line, "--out", out, "--resume") for _ in range(3)]
    ends = [(process.wait(120), process.communicate()[1]) for process in resumed]
    assert sorted(code for code, _ in ends) == [0, 1, 1], ends
    for code, errors in ends:
        assert code == 0 or "another run" in errors or "nothing to resume" in errors
    check_whole(out, next(process for process in resumed if process.returncode == 0))


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
def test_of_runs_that_start_together_each_photo_has_one_row(
    line: tuple[Any, ...], command: Command, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "out" / "r.csv"
    processes = [command(*line, "--out", out, *options) for _ in range(4)]
    ends = [(process.wait(240), process.communicate()[1]) for process in processes]
    assert [code for code, _ in ends].count(0) >= 1 and not any("Traceback" in errors for _, errors in ends), ends
    if options != ["--overwrite"]:
        assert sorted(code for code, _ in ends) == [0, 1, 1, 1], ends
    check_whole(out, next(process for process in processes if process.returncode == 0))


def test_an_interrupted_or_failed_run_leaves_no_lock(
    line: tuple[Any, ...], command: Command, cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "r.csv"
    first = command(*line, "--out", out)
    with running(first, Path(f"{out}.part")):
        first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    assert sorted(each.name for each in out.parent.iterdir()) == UNFINISHED
    assert "was begun with another threshold" in one_line_error(cli(*line, "--out", out, "--resume", "--threshold", 1))
    assert sorted(each.name for each in out.parent.iterdir()) == UNFINISHED


def test_a_report_can_not_take_the_name_of_what_a_run_is_resumed_by(
    line: tuple[Any, ...], cli: Cli, tmp_path: Path
) -> None:
    report = tmp_path / "other.csv.part.json"
    assert "choose another --report" in one_line_error(cli(*line, "--out", tmp_path / "r.csv", "--report", report))
