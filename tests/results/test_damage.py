"""What a power cut, a bad disk or an editor does to the files of an unfinished run is noticed, and done again."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import one_line_error

from batchgender.errors import UserError
from batchgender.photos.photo import InMemory, Photo
from batchgender.results import periodic_sync
from batchgender.results.csv_style import EXACT
from batchgender.results.keeping import Pending
from batchgender.results.open_sink import open_sink
from batchgender.results.results_file import ResultsFile
from batchgender.results.rows import RowLayout, make_row

Cli = Callable[..., Any]
CLASSES = ("Female", "Male")
LAYOUT = RowLayout(CLASSES)
THRESHOLDS = {"Female": 0.6, "Male": 0.6}
SETTINGS = {"model": "1", "threshold": THRESHOLDS}
ROWS = [
    make_row(f"{i:03}.jpg", (round(0.3 + i / 200, 6), round(0.7 - i / 200, 6)), CLASSES, "Male", THRESHOLDS)
    for i in range(100)
]


def begun(out: Path, told: list[str] | None = None, resume: bool = False) -> ResultsFile:
    results = ResultsFile(str(out), resume, notify=(told if told is not None else []).append)
    results.begin(LAYOUT, SETTINGS)
    return results


def photos() -> Pending:
    return Pending(Photo(row.path, InMemory(b"")) for row in ROWS)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The file of a run of a hundred photos that was stopped after 80, written in eight pieces; OUT.part is it."""
    results = begun(tmp_path / "r.csv")
    assert results.keeping
    list(results.keeping.answered(photos()))
    for at in range(0, 80, 10):
        results.write(ROWS[at : at + 10])
    results.close()
    return tmp_path / "r.csv.part"


def resumed(part: Path) -> tuple[int, list[str]]:
    """How many rows are kept, and what is said; what comes out is always the same."""
    told: list[str] = []
    results = begun(part.with_suffix(""), told, resume=True)
    kept = list(results.done(photos()))
    assert kept == ROWS[: len(kept)]
    results.write(ROWS[len(kept) :])
    results.finish()
    whole = part.with_name("whole.csv")
    other = begun(whole)
    other.write(ROWS)
    other.finish()
    assert part.with_suffix("").read_bytes() == whole.read_bytes()
    assert sorted(each.name for each in part.parent.iterdir()) == ["r.csv", "whole.csv"]
    return len(kept), told


def test_an_undamaged_run_says_nothing(stopped: Path) -> None:
    assert resumed(stopped) == (80, [])


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("zeros", [1, 700, 300_000])
def test_zeros_at_the_end_as_a_power_cut_leaves_them_are_cut_off(stopped: Path, zeros: int, sums: bool) -> None:
    with open(stopped, "ab") as stream:
        stream.write(b"\0" * zeros)
    if not sums:
        stopped.with_name("r.csv.part.crc").unlink()
    kept, told = resumed(stopped)
    assert kept == 80 and "damaged after 80 rows" in told[0]


def test_zeros_in_the_place_of_the_last_rows_are_cut_off(stopped: Path) -> None:
    data = stopped.read_bytes()
    stopped.write_bytes(data[:-1000] + b"\0" * 1000)
    kept, told = resumed(stopped)
    assert kept == 50 and "damaged after 50 rows (its check sum is another)" in told[0]


def test_every_changed_byte_is_noticed(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    data, out = stopped.read_bytes(), stopped.with_suffix("")
    before = {each: each.read_bytes() for each in stopped.parent.iterdir()}
    for at in range(0, len(data), 37):
        for each, content in before.items():
            each.write_bytes(content)
        stopped.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        kept, told = resumed(stopped)
        # The header is a piece of its own.
        lines = data[:at].count(b"\r\n")
        assert kept == max(lines - 1, 0) // 10 * 10 and len(told) == 1, at
        out.unlink()
        stopped.with_name("whole.csv").unlink()


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"0.350000,0.650000", b"0.350000,0.950000", "sum is not 1"),
        (b"0.350000,0.650000", b"0.350000,nan", "not in 0 to 1"),
        (b"0.350000,0.650000", b"5.000000,-4.000000", "not in 0 to 1"),
        (b"0.350000,0.650000", b"0.350000,x", "a number is none"),
        (b"0.350000,0.650000", b"0.350000,", "missing"),
        (b"0.350000,0.650000", b"0.35,0.65", "not what belongs in p_female, p_male"),
        (b"Male,0.650000", b"Male,0.750000", "confidence"),
        (b"Male,0.650000", b"Female,0.650000", "do not give"),
        (b"Male,0.650000", b"Cat,0.650000", "do not give"),
        (b"0.650000,Male,", b"0.650000,Cat,", "no class 'Cat'"),
        (b"0.650000,Male,", b"0.650000,Male,why", "probabilities and an error"),
        (b"0.650000,Male,", b"0.650000,Male,,", "8 cells in the place of 7"),
        (b"Male,0.650000,0.350000,0.650000,Male,", b",,,,Male,", "neither probabilities nor an error"),
        (b"010.jpg,Male", b'"010.jpg,Male', "no CSV|cells"),
        (b"010.jpg,Male", b"010.j\rpg,Male", "a row that does not end"),
    ],
)
def test_rows_that_no_run_wrote_are_noticed_without_check_sums(
    stopped: Path, before: bytes, after: bytes, reason: str
) -> None:
    stopped.with_name("r.csv.part.crc").unlink()
    data = stopped.read_bytes()
    assert data.count(b"\r\n010.jpg,") == 1 and before in data
    start = data.index(b"010.jpg,")
    stopped.write_bytes(data[:start] + data[start:].replace(before, after, 1))
    kept, told = resumed(stopped)
    assert kept == 10 and len(told) == 1 and any(each in told[0] for each in reason.split("|")), told


@pytest.mark.parametrize("content", [None, b"", b"12 ", b"x\n", b"\0" * 5000, b"99999999999999999999 00000000\n"])
def test_check_sums_that_are_missing_or_no_sums_cost_nothing(stopped: Path, content: bytes | None) -> None:
    sums = stopped.with_name("r.csv.part.crc")
    sums.unlink()
    if content is not None:
        sums.write_bytes(content)
    assert resumed(stopped) == (80, [])


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff", b"[" * 100_000, b"", None])
def test_settings_that_are_damaged_are_one_line_and_the_rows_are_kept(stopped: Path, content: bytes | None) -> None:
    sidecar, before = stopped.with_name("r.csv.part.json"), stopped.read_bytes()
    sidecar.unlink()
    if content is not None:
        sidecar.write_bytes(content)
    with pytest.raises(UserError, match="part.json: missing or damaged.*; start again with --overwrite"):
        begun(stopped.with_suffix(""), resume=True)
    assert stopped.read_bytes() == before


def test_the_command_says_what_it_does_again(cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path) -> None:
    line = ("classify", photos, "--model", red_or_blue, "--out")
    assert cli(*line, tmp_path / "whole.csv").exit_code == 0
    part, out = tmp_path / "r.csv.part", tmp_path / "r.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResultsFile, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        assert cli(*line, out).exit_code == 130
    data = bytearray(part.read_bytes())
    data[data.index(b"male/00") - 20] ^= 1
    part.write_bytes(data)
    result = cli(*line, out, "--resume")
    assert result.exit_code == 0 and f"{part}: damaged after " in result.stderr and "done again" in result.stderr
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.csv.gz"])
def test_a_link_in_the_place_of_a_temporary_name_is_not_followed(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, name: str
) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out" / name
    victim.write_text("precious")
    out.parent.mkdir()
    report = f"{out.name.partition('.')[0]}.report.json.part"
    links = [f"{name}{end}" for end in (".part", ".part.json", ".part.json.tmp", ".part.crc", ".part.crc.tmp", ".tmp")]
    line = ("classify", photos, "--model", red_or_blue, "--out", out)
    for options in (("--resume",), ("--overwrite",)):
        for link in [*links, report]:
            (out.parent / link).unlink(missing_ok=True)
            (out.parent / link).symlink_to(victim)
        result = cli(*line, *options)
        assert victim.read_text() == "precious"
        if options == ("--resume",):
            one_line_error(result)
        else:
            assert result.exit_code == 0, result.stderr
    lock = out.parent / f"{name}.part.lock"
    lock.symlink_to(victim)
    assert "symbolic link" in one_line_error(cli(*line, "--overwrite"))
    assert victim.read_text() == "precious"


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of what was synced to the disk, in order."""
    names: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", note)
    yield names


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a system that does not name open files")
@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.jsonl", "r.parquet", "r.db"])
def test_rows_are_synced_while_the_run_waits_and_everything_at_its_end(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(periodic_sync, "SECONDS", 0.02)
    out = tmp_path / name
    unfinished = f"{out}-wal" if name == "r.db" else f"{out}.part"
    sink = open_sink(str(out), False, False, EXACT, print)
    sink.begin(LAYOUT, SETTINGS)
    time.sleep(0.1)
    synced.clear()
    sink.write(ROWS[:10])
    deadline = time.monotonic() + 10
    while unfinished not in synced and time.monotonic() < deadline:
        time.sleep(0.01)
    assert unfinished in synced
    # Nothing is synced again where nothing was written.
    time.sleep(0.1)
    synced.clear()
    time.sleep(0.1)
    assert not synced
    sink.write(ROWS[10:])
    synced.clear()
    sink.finish()
    assert str(tmp_path) in synced
    if name != "r.db":
        # What takes the name is whole on the disk before.
        whole = f"{out}.part" if name == "r.csv" else f"{out}.tmp"
        assert synced.index(whole) < synced.index(str(tmp_path))


def test_a_sync_that_fails_ends_in_a_line_and_keeps_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic_sync, "SECONDS", 0.01)
    with closing(begun(tmp_path / "r.csv")) as results:
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", lambda descriptor: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
            results.write(ROWS[:10])
            time.sleep(0.2)
        with pytest.raises(UserError, match="No space left on device.; the rows so far are kept, go on with --resume"):
            results.write(ROWS[10:20])
