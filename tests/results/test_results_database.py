"""Results in SQLite: queried while a run goes on, resumed, and never in the place of another application's."""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from conftest import one_line_error

from batchgender.errors import UserError
from batchgender.faces.face import Face
from batchgender.io import silent
from batchgender.photos.photo import InMemory, Photo
from batchgender.results.keeping import Pending
from batchgender.results.read_results import read_results
from batchgender.results.results_database import ResultsDatabase
from batchgender.results.results_file import ResultsFile
from batchgender.results.rows import NO_FACE, Row, RowLayout, make_row
from batchgender.results.sinks import Sink
from batchgender.results.watched_database import WatchedDatabase

Cli = Callable[..., Any]
Command = Callable[..., "Popen[str]"]
CLASSES = ("Female", "Male")
LAYOUT = RowLayout(CLASSES)
FACES = RowLayout(CLASSES, faces=True, several=True, times=True)
SETTINGS = {"model": "1", "photos_from": ["/photos"], "threshold": {"Female": 0.6}}


def rows(count: int = 100) -> list[Row]:
    read = [
        make_row(f"né {i:03}\n'.jpg", (i / count, 1 - i / count), CLASSES, CLASSES[i % 2], {"Female": 0.6})
        for i in range(count)
    ]
    return [*read, Row("broken.jpg", label="Male", error='empty "file"')]


def faces() -> list[Row]:
    found = [
        replace(row, path="v.mp4", time=second, face=Face(number, -3, 4, 30, 41, 0.8))
        for second in (0.0, 0.333)
        for number, row in enumerate(rows()[:3], 1)
    ]
    return [*found, Row("v.mp4", error=NO_FACE, time=1.0)]


def photos_of(what: list[Row]) -> Pending:
    return Pending(
        Photo(path, InMemory(b""), time=time) for path, time in dict.fromkeys((r.path, r.time) for r in what)
    )


def fill(sink: Sink, what: list[Row], layout: RowLayout = LAYOUT) -> list[Row]:
    """Write what is not there; the rows that are."""
    sink.begin(layout, SETTINGS)
    photos = photos_of(what)
    kept = list(sink.done(photos))
    sink.write(what[len(kept) :])
    sink.finish()
    sink.close()
    return kept


def unfinished(out: Path, what: list[Row], layout: RowLayout = LAYOUT) -> None:
    sink = ResultsDatabase(str(out))
    sink.begin(layout, SETTINGS)
    assert sink.keeping
    list(sink.keeping.answered(photos_of(what)))
    sink.write(what)
    sink.close()


@pytest.mark.parametrize(("layout", "what"), [(LAYOUT, rows()), (FACES, faces())])
def test_the_rows_are_those_of_the_csv_with_types(tmp_path: Path, layout: RowLayout, what: list[Row]) -> None:
    fill(ResultsFile(str(tmp_path / "r.csv")), what, layout)
    fill(ResultsDatabase(str(tmp_path / "r.db")), what, layout)
    assert list(read_results(str(tmp_path / "r.db"))) == list(read_results(str(tmp_path / "r.csv")))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r.csv", "r.db"]
    with closing(sqlite3.connect(tmp_path / "r.db")) as database:
        assert [name for name, *_ in database.execute("SELECT * FROM rows").description] == layout.columns
        kinds = database.execute("SELECT typeof(confidence), typeof(error), typeof(label) FROM rows").fetchall()
        assert kinds[0][:2] == ("real", "null") and kinds[-1][:2] == ("null", "text")
        model, places, threshold, begun, finished = database.execute(
            "SELECT model, photos_from, threshold, begun, finished FROM run"
        ).fetchone()
        assert (model, places, threshold) == ("1", '["/photos"]', '{"Female": 0.6}') and begun <= finished
        with pytest.raises(sqlite3.IntegrityError):
            database.execute("INSERT INTO rows SELECT * FROM rows LIMIT 1")


@pytest.mark.parametrize(("layout", "what"), [(LAYOUT, rows(20)), (FACES, faces())])
def test_wherever_a_run_is_stopped_it_goes_on_to_the_same_rows(
    tmp_path: Path, layout: RowLayout, what: list[Row]
) -> None:
    for count in range(len(what) + 1):
        out = tmp_path / "r.db"
        unfinished(out, what[:count], layout)
        with pytest.raises(UserError, match="an unfinished run; go on with --resume or start again with --overwrite"):
            ResultsDatabase(str(out))
        with pytest.raises(UserError, match="not finished"):
            list(read_results(str(out)))
        fill(ResultsDatabase(str(out), resume=True), what, layout)
        with closing(sqlite3.connect(out)) as database:
            assert database.execute("SELECT count(*), count(DISTINCT rowid) FROM rows").fetchone() == (len(what),) * 2
        fill(ResultsFile(str(tmp_path / "r.csv"), overwrite=True), what, layout)
        assert list(read_results(str(out))) == list(read_results(str(tmp_path / "r.csv")))
        out.unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("p_male = 0.5", "sum is not 1"),
        ("p_male = 1.5, p_female = -0.5", "not in 0 to 1"),
        ("p_male = 'nan'", "not in 0 to 1"),
        ("p_male = NULL", "missing"),
        ("prediction = 'Cat'", "probabilities do not give"),
        ("confidence = 0.1", "confidence"),
        ("label = 'Cat'", "no class 'Cat'"),
        ("label = x'00'", "no class"),
        ("error = ''", "type"),
    ],
)
def test_a_row_that_no_run_wrote_is_cut_off_and_done_again(tmp_path: Path, change: str, reason: str) -> None:
    out, told = tmp_path / "r.db", list[str]()
    unfinished(out, rows()[:50])
    with closing(sqlite3.connect(out)) as database, database:
        database.execute(f"UPDATE rows SET {change} WHERE rowid = 11")
    kept = fill(ResultsDatabase(str(out), resume=True, notify=told.append), rows())
    assert kept == rows()[:10] and "damaged after 10 rows" in told[0] and reason in told[0] and len(told) == 1
    fill(ResultsDatabase(str(tmp_path / "whole.db")), rows())
    assert list(read_results(str(out))) == list(read_results(str(tmp_path / "whole.db")))


def test_what_is_no_results_is_neither_resumed_nor_replaced_unasked(tmp_path: Path) -> None:
    out = tmp_path / "r.db"
    with closing(sqlite3.connect(out)) as database, database:
        database.execute("CREATE TABLE albums (id)")
    foreign = out.read_bytes()
    whole = tmp_path / "whole.db"
    fill(ResultsDatabase(str(whole)), rows())
    damaged = whole.read_bytes()[:4096] + b"\x99" * 8192
    for content, what in (
        (foreign, "a database of another application .tables: albums."),
        (b"text", "no SQLite database"),
        (b"", "an empty file"),
        (damaged, "a damaged database"),
    ):
        out.write_bytes(content)
        for resume in (False, True):
            with pytest.raises(UserError, match=f"r.db: is {what}.*, not of classify; choose another --out"):
                ResultsDatabase(str(out), resume=resume)
        with pytest.raises(UserError, match=what):
            list(read_results(str(out)))
        assert out.read_bytes() == content
        told: list[str] = []
        fill(ResultsDatabase(str(out), overwrite=True, notify=told.append), rows())
        assert "--overwrite replaces it" in told[0]
        assert list(read_results(str(out))) == list(read_results(str(whole)))


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    out = tmp_path / "r.db"
    os.mkfifo(out)
    for made in (ResultsDatabase, lambda out: WatchedDatabase(out, False, silent)):
        with pytest.raises(UserError, match="r.db: is a folder, pipe or device, not of classify"):
            made(str(out))


def test_a_damaged_or_another_unfinished_run_is_refused_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "r.db"
    unfinished(out, rows(2000))
    data = bytearray(out.read_bytes())
    for settings, message in (
        ({**SETTINGS, "model": "2"}, "another model"),
        ({}, "another model, photos_from, "),
    ):
        with closing(ResultsDatabase(str(out), resume=True)) as other, pytest.raises(UserError, match=message):
            other.begin(LAYOUT, settings)
    data[40_000:60_000] = b"\x99" * 20_000
    out.write_bytes(data)
    with (
        closing(ResultsDatabase(str(out), resume=True)) as other,
        pytest.raises(UserError, match="damaged .*--over"),
    ):
        other.begin(LAYOUT, SETTINGS)
    assert out.read_bytes() == data


def test_a_link_in_the_place_of_a_temporary_name_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for ending in (".part", "-wal", "-shm", "-journal"):
        (tmp_path / f"r.db{ending}").symlink_to(victim)
    fill(ResultsDatabase(str(tmp_path / "r.db")), rows())
    assert victim.read_text() == "precious" and len(list(read_results(str(tmp_path / "r.db")))) == 101


def test_a_full_disk_keeps_the_rows_and_the_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if not mount or os.system(f"mount -t tmpfs -o size=200k tmpfs {folder}") != 0:
        pytest.skip("can't mount a small file system here")
    try:
        what = rows(8000)
        sink = ResultsDatabase(str(folder / "r.db"))
        sink.begin(LAYOUT, SETTINGS)
        assert sink.keeping
        list(sink.keeping.answered(photos_of(what)))
        with pytest.raises(UserError, match="full.; the rows so far are kept, go on with --resume"):
            for at in range(0, len(what), 32):
                sink.write(what[at : at + 32])
        sink.close()
        assert os.system(f"mount -o remount,size=9m {folder}") == 0
        kept = fill(ResultsDatabase(str(folder / "r.db"), resume=True), what)
        assert 0 < len(kept) < len(what) and kept == what[: len(kept)]
        assert len(list(read_results(str(folder / "r.db")))) == len(what)
        assert [each.name for each in folder.iterdir()] == ["r.db"]
    finally:
        os.system(f"umount {folder}")


def test_a_folder_that_can_not_be_written_is_one_line(unprivileged: Path) -> None:
    fill(ResultsDatabase(str(unprivileged / "r.db")), rows())
    unprivileged.chmod(0o500)
    with pytest.raises(UserError, match="can't write in this folder"):
        ResultsDatabase(str(unprivileged / "other.db"))
    # SQLite reads it there all the same.
    assert len(list(read_results(str(unprivileged / "r.db")))) == 101


def test_a_reader_that_stays_keeps_nothing_from_the_end(tmp_path: Path) -> None:
    out, told = tmp_path / "r.db", list[str]()
    sink = ResultsDatabase(str(out), notify=told.append)
    sink.begin(LAYOUT, SETTINGS)
    sink.write(rows())
    with closing(sqlite3.connect(out)) as reader:
        assert reader.execute("SELECT count(*) FROM rows").fetchone() == (101,)
        sink.finish()
        assert "another program has it open: r.db-wal" in told[0]
    assert len(list(read_results(str(out)))) == 101


def count_rows(out: Path) -> int:
    """How many rows another process sees, 0 before there is a table."""
    try:
        with closing(sqlite3.connect(f"file:{out}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_a_run_is_queried_while_it_goes_on_and_resumed_after_a_kill(
    command: Command, cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    for index in range(40, 1000):
        os.link(photos / "female" / f"{index % 40:02}.jpg", photos / "female" / f"{index:04}.jpg")
    line = ("classify", photos, "--model", red_or_blue, "-q", "--out")
    out = tmp_path / "out" / "r.db"
    process = command(*line, out)
    while (seen := count_rows(out)) < 100 and process.poll() is None:
        time.sleep(0.002)
    assert 100 <= seen < 1040 and process.poll() is None
    assert "another run" in one_line_error(cli(*line, out, "--resume"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = count_rows(out)
    assert "go on with --resume" in one_line_error(cli(*line, out))
    assert kept >= seen and cli(*line, out, "--resume").exit_code == 0
    assert sorted(each.name for each in out.parent.iterdir()) == ["r.db", "r.report.json"]
    assert cli(*line, tmp_path / "r.csv").exit_code == 0
    assert list(read_results(str(out))) == list(read_results(str(tmp_path / "r.csv")))
    assert "0 changed" in cli("compare", tmp_path / "r.csv", out).stdout
    for results in (out, tmp_path / "r.csv"):
        assert cli("prevalence", results, "--measured-on", out).exit_code == 0
    assert cli("sort", photos, "--results", out, "--into", tmp_path / "sorted", "--link").exit_code == 0
    assert len(list((tmp_path / "sorted").rglob("*.[jp][pn]g"))) == 1040
