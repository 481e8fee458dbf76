"""`classify --watch`: photos come, change and go while it runs, and it is stopped and started again."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from conftest import BLUE, RED, one_line_error, write_picture

Cli = Callable[..., Any]
# The same program with shorter times: how long a file must stay as it is, and the pauses between two looks.
SHORTER = """
import sys
import batchgender.classify.watch as watch
import batchgender.photos.watched_folders as folders
from batchgender.__main__ import run
folders.SETTLED = 0.6
watch._EVERY, watch._SOON, watch._TOLD_WITHIN, watch._EVERY_TOLD = 0.3, 0.2, 1.0, {full}
{more}
run()
"""
# Another disk than that of temporary folders.
ELSEWHERE = "/dev/shm"
NOT_INSTALLED = "sys.modules['watchfiles'] = None"


class Watch:
    """A watch in a process of its own, and what it says."""

    def __init__(self, inbox: Path, model: Path, *options: Any, full: float = 60, more: str = "") -> None:
        self.inbox, self.out = inbox, inbox.parent / "r.db"
        self.said = inbox.parent / "said.txt"
        line = [sys.executable, "-c", SHORTER.format(full=full, more=more), "classify", inbox, "--watch"]
        line += ["--out", self.out, "--model", model, *options]
        self.errors = open(self.said, "w", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(list(map(str, line)), stderr=self.errors)

    def lines(self) -> list[str]:
        return self.said.read_text(encoding="utf-8").splitlines()

    def rounds(self) -> list[str]:
        """What it said of each round, without the time."""
        return [line.split(" in ")[0] for line in self.lines() if " gone: " in line]

    def new(self) -> int:
        """How many new photos it said it has done, in all rounds."""
        return sum(int(line.partition(" new")[0]) for line in self.rounds())

    def wait_for(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not what():
            assert self.process.poll() is None and time.monotonic() < end, (self.lines(), answers(self.out))
            time.sleep(0.02)

    def wait_for_answers(self, **expected: str) -> None:
        """Wait until these are all rows: prediction, or error, by the photo's name without its ending."""
        self.wait_for(lambda: answers(self.out) == expected)

    def wait_for_line(self, text: str) -> None:
        self.wait_for(lambda: any(text in line for line in self.lines()))

    def end(self, number: int) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.errors.close()
        return code


def answers(out: Path) -> dict[str, str]:
    if not out.exists():
        return {}
    with closing(sqlite3.connect(f"file:{out}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT path, coalesce(prediction, error) FROM rows").fetchall()
    assert len(dict(rows)) == len(rows)
    return {path.rpartition(".")[0]: answer for path, answer in rows}


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def watched(inbox: Path, red_or_blue: Path) -> Iterator[Callable[..., Watch]]:
    """Start a watch of the inbox; those that a test leaves running are killed."""
    started: list[Watch] = []

    def start(*options: Any, **more: Any) -> Watch:
        started.append(Watch(inbox, red_or_blue, *options, **more))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


def test_photos_are_followed_and_none_is_done_twice(
    inbox: Path, watched: Callable[..., Watch], cli: Cli, red_or_blue: Path
) -> None:
    log = inbox.parent / "log.jsonl"
    watch = watched("--log-json", log)
    # An empty folder is no error.
    watch.wait_for_line("waiting for the first")
    write_picture(inbox / "a.png", RED)
    write_picture(inbox / "b.png", BLUE)
    (inbox / "c.png").write_bytes(b"none")
    watch.wait_for(lambda: len(answers(watch.out)) == 3)
    kept = answers(watch.out)
    assert kept["a"] == "Female" and kept["b"] == "Male" and kept["c"] not in ("Female", "Male")
    # In one round or in several.
    watch.wait_for(lambda: watch.new() == 3)
    # A second run on it is refused, however it is started.
    for options in (["--watch"], ["--update"], ["--overwrite"]):
        assert "another run" in one_line_error(
            cli("classify", inbox, "-o", watch.out, "--model", red_or_blue, *options)
        )
    # One comes, one changes, one that could not be read is mended, one goes: in one round or in several.
    write_picture(inbox / "sub" / "d.png", BLUE)
    write_picture(inbox / "a.png", BLUE)
    write_picture(inbox / "c.png", RED)
    (inbox / "b.png").unlink()
    watch.wait_for_answers(a="Male", c="Female", **{"sub/d": "Male"})
    # The process dies at once, and its rows are there.
    watch.end(signal.SIGKILL)
    watch = watched("--log-json", log)
    watch.wait_for_line("3 photos have rows")
    write_picture(inbox / "e.png", RED)
    watch.wait_for_answers(a="Male", c="Female", e="Female", **{"sub/d": "Male"})
    # The line comes behind the rows.
    watch.wait_for_line("1 new, 0 changed, 0 gone: 1 photo")
    assert watch.end(signal.SIGTERM) == 130
    assert watch.rounds() == ["1 new, 0 changed, 0 gone: 1 photo"]
    assert watch.lines()[-2:] == [
        f"the watch has ended; photos done: 1; the rows in {watch.out} are whole, the same command goes on",
        "interrupted",
    ]
    assert sorted(each.name for each in inbox.parent.iterdir()) == [
        "inbox",
        "log.jsonl",
        "r.db",
        "r.db.seen",
        "said.txt",
    ]
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["begin", "begin", "interrupted"]
    # What else there is for results goes on from them, and knows their photos.
    updated = cli("classify", inbox, "-o", watch.out, "--model", red_or_blue, "--update")
    assert updated.exit_code == 0 and "4 rows kept, 0 photos new, 0 changed, 0 gone" in updated.stderr


def test_a_file_that_is_still_written_is_waited_for(inbox: Path, watched: Callable[..., Watch], tmp_path: Path) -> None:
    whole = write_picture(tmp_path / "whole.bmp", RED, (200, 200)).read_bytes()
    write_picture(inbox / "a.png", BLUE)
    watch = watched(more=NOT_INSTALLED)
    watch.wait_for_answers(a="Male")
    with open(inbox / "slow.bmp", "wb", buffering=0) as stream:
        for start in range(0, len(whole), len(whole) // 8):
            stream.write(whole[start : start + len(whole) // 8])
            time.sleep(0.2)
            assert "slow" not in answers(watch.out)
    watch.wait_for_answers(a="Male", slow="Female")
    watch.wait_for(lambda: watch.rounds() == ["1 new, 0 changed, 0 gone: 1 photo"] * 2)
    assert (
        watch.lines().count("the folders are looked at every 0.3 s: the extra batchgender[watch] is not installed") == 1
    )
    assert watch.end(signal.SIGINT) == 130


def test_rows_are_kept_while_their_folder_is_not_there(inbox: Path, watched: Callable[..., Watch]) -> None:
    write_picture(inbox / "a.png", RED)
    write_picture(inbox / "sub" / "b.png", BLUE)
    watch = watched()
    watch.wait_for_answers(a="Female", **{"sub/b": "Male"})
    away = inbox.parent / "away"
    inbox.rename(away)
    watch.wait_for_line("can't list this folder")
    # An unmounted disk leaves an empty folder.
    inbox.mkdir()
    watch.wait_for_line(f"{inbox}: shows no photos; was its disk disconnected? Their rows are kept until there is one")
    assert answers(watch.out) == {"a": "Female", "sub/b": "Male"}
    inbox.rmdir()
    away.rename(inbox)
    watch.wait_for_line("all folders can be read again")
    # So does a watch that is started before the disk is there.
    watch.end(signal.SIGTERM)
    assert watch.rounds() == ["2 new, 0 changed, 0 gone: 2 photos"]
    inbox.rename(away)
    inbox.mkdir()
    watch = watched()
    watch.wait_for_line("shows no photos")
    inbox.rmdir()
    away.rename(inbox)
    watch.wait_for_line("all folders can be read again")
    # Another folder in the place of the first: its photos are done, and what it does not have is gone.
    inbox.rename(away)
    write_picture(inbox / "a.png", BLUE)
    write_picture(inbox / "c.png", BLUE)
    watch.wait_for_answers(a="Male", c="Male")
    # The new folder is followed, too.
    write_picture(inbox / "d.png", RED)
    watch.wait_for_answers(a="Male", c="Male", d="Female")
    assert watch.end(signal.SIGTERM) == 130


@pytest.mark.skipif(not os.path.isdir(ELSEWHERE), reason=f"{ELSEWHERE} is another disk on Linux")
def test_a_disk_below_the_folder_that_goes_takes_no_rows_with_it(inbox: Path, watched: Callable[..., Watch]) -> None:
    write_picture(inbox / "a.png", RED)
    with TemporaryDirectory(dir=ELSEWHERE) as disk:
        write_picture(Path(disk) / "deep" / "b.png", BLUE)
        (inbox / "disk").symlink_to(disk)
        watch = watched()
        watch.wait_for_answers(a="Female", **{"disk/deep/b": "Male"})
        # What an unmounted disk leaves, and somebody puts photos into.
        (inbox / "disk").unlink()
        write_picture(inbox / "disk" / "c.png", RED)
        watch.wait_for_line(f"{inbox / 'disk'}: is not on the disk that it was on")
        watch.wait_for_answers(a="Female", **{"disk/deep/b": "Male", "disk/c": "Female"})
        (inbox / "disk" / "c.png").unlink()
        watch.wait_for_answers(a="Female", **{"disk/deep/b": "Male"})
        (inbox / "disk").rmdir()
        (inbox / "disk").symlink_to(disk)
        watch.wait_for_line("all folders can be read again")
        # Removed there it is gone.
        (Path(disk) / "deep" / "b.png").unlink()
        watch.wait_for_answers(a="Female")
    assert watch.end(signal.SIGTERM) == 130


def test_a_system_that_does_not_tell_is_noticed(inbox: Path, watched: Callable[..., Watch], tmp_path: Path) -> None:
    # It tells of names in the folder, not of what is written through another name.
    far = write_picture(tmp_path / "far" / "a.bmp", RED)
    os.link(far, inbox / "a.bmp")
    watch = watched(full=1.5)
    watch.wait_for_answers(a="Female")
    time.sleep(1.5)
    write_picture(far, BLUE)
    watch.wait_for_answers(a="Male")
    watch.wait_for_line("looked at every 0.3 s: the system has not told of what has changed")
    assert watch.end(signal.SIGTERM) == 130


def test_results_of_a_run_are_gone_on_with_and_faces_stay_as_they_were_chosen(
    inbox: Path, watched: Callable[..., Watch], cli: Cli, red_or_blue: Path, cell_detector: Path
) -> None:
    for index in range(3):
        write_picture(inbox / "female" / f"{index}.png", RED)
    (inbox / "female" / "broken.png").write_bytes(b"none")
    time.sleep(2.1)
    out = inbox.parent / "r.db"
    detector = ("--detector", cell_detector)
    first = cli("classify", inbox, "-o", out, "--model", red_or_blue, "--faces", "largest", *detector)
    assert first.exit_code == 0

    def faces() -> str:
        with closing(sqlite3.connect(out)) as database:
            return database.execute("SELECT faces FROM run").fetchone()[0]

    before = faces()
    assert json.loads(before)["mode"] == "largest"
    # auto would find no reason to cut these.
    watch = watched(*detector, "--label-names", "Male=1", "--retry-errors")
    watch.wait_for_line("4 photos have rows")
    watch.wait_for_line("0 new, 1 changed, 0 gone: 1 photo")
    write_picture(inbox / "1" / "x.png", BLUE)
    watch.wait_for_line("1 new, 0 changed, 0 gone: 1 photo")
    assert watch.end(signal.SIGTERM) == 130
    assert len(watch.rounds()) == 2 and len(answers(out)) == 5 and faces() == before
    with closing(sqlite3.connect(out)) as database:
        labels = database.execute("SELECT label, count(*) FROM rows GROUP BY label").fetchall()
        assert labels == [("Female", 4), ("Male", 1)]
        assert database.execute("SELECT label_names IS NOT NULL, finished IS NOT NULL FROM run").fetchone() == (1, 1)
    other = cli("classify", inbox, "-o", out, "--watch", "--model", red_or_blue, "--faces", "off")
    assert "was made with another faces" in one_line_error(other) or "other columns" in one_line_error(other)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--out", "r.csv"], "--watch needs --out FILE.db"),
        (["--out", "-"], "--watch needs --out FILE.db"),
        ([], "--watch needs --out FILE.db"),
        (["--out", "s3://bucket/r.db"], "--watch needs --out FILE.db of this machine"),
        (["--out", "r.db", "--update"], "--update and --watch exclude each other: a watch updates by itself"),
        (["--out", "r.db", "--resume"], "--resume and --watch exclude each other"),
        (["--out", "r.db", "--overwrite"], "--overwrite and --watch exclude each other"),
        (["--out", "r.db", "--report", "r.html"], "--report and --watch exclude each other: `batchgender report`"),
        (["--out", "r.db", "--explain", "occlusion"], "--explain and --watch exclude each other"),
        (["--out", "r.db", "--shard", "1/2"], "--shard and --watch exclude each other"),
        (["--out", "r.db", "--engine", "ray"], "--engine and --watch exclude each other"),
        (["--out", "r.db", "--fps", "1"], "--fps and --watch exclude each other"),
        (["--out", "r.db", "--dry-run"], "--dry-run and --watch exclude each other"),
        (["--out", "r.db", "--from-list", "-"], "--from-list and --watch exclude each other"),
        (["--out", "r.db", "--max-errors", "0.5"], "--max-errors and --watch exclude each other"),
    ],
)
def test_options_for_runs_that_end_are_refused(inbox: Path, cli: Cli, options: list[str], reason: str) -> None:
    result = cli("classify", inbox, "--watch", *options)
    assert result.exit_code == 2 and reason in result.stderr


def test_what_cannot_be_watched_is_refused_in_a_line(
    tmp_path: Path, inbox: Path, cli: Cli, photos: Path, red_or_blue: Path
) -> None:
    out = tmp_path / "r.db"
    line = ("--watch", "-o", out, "--model", red_or_blue)
    file = write_picture(inbox / "a.png")
    assert "--watch is for folders of this machine" in one_line_error(cli("classify", file, *line))
    assert "no such file or folder" in one_line_error(cli("classify", tmp_path / "none", *line))
    out.write_bytes(b"something else")
    assert "no SQLite database" in one_line_error(cli("classify", inbox, *line))
    out.unlink()
    assert cli("classify", inbox, "-o", out, "--model", red_or_blue).exit_code == 0
    assert "was made with another photos_from" in one_line_error(cli("classify", photos, *line))
    assert "was made with another threshold" in one_line_error(cli("classify", inbox, *line, "--threshold", "0.9"))
    os.truncate(out, out.stat().st_size // 2)
    assert "damaged" in one_line_error(cli("classify", inbox, *line))
