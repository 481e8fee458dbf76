"""`classify --update`, `--retry-errors`, and `--resume` where photos have changed: what is read, which rows stay."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
from click.testing import Result
from conftest import BLUE, RED, one_line_error, picture, write_picture, write_red_or_blue
from object_server import ObjectServer

from batchgender.results.formats import report_beside
from batchgender.results.read_results import read_results

Cli = Callable[..., Result]
Line = tuple[Any, ...]


@pytest.fixture
def line(photos: Path, red_or_blue: Path) -> Line:
    """A run over 81 photos, of which one has a hole."""
    broken = write_picture(photos / "male" / "broken.jpg", BLUE)
    size = broken.stat().st_size
    os.truncate(broken, size // 2)
    os.truncate(broken, size)
    return ("classify", photos, "--model", red_or_blue, "--workers", 1, "--out")


def spoil(file: Path) -> None:
    """Overwrite a photo with zeros; its size and its time of change stay as they were."""
    status = file.stat()
    file.write_bytes(bytes(status.st_size))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_all(photos: Path) -> None:
    """A photo added in the middle, one at the end, one changed, one removed, one made readable again."""
    write_picture(photos / "female" / "10a.jpg", RED)
    write_picture(photos / "zebra.png", BLUE)
    write_picture(photos / "male" / "05.png", RED, (70, 50))
    (photos / "female" / "03.jpg").unlink()
    write_picture(photos / "male" / "broken.jpg", BLUE)


def spoil_others(photos: Path, read: set[str]) -> None:
    """Spoil all photos but those that may be read."""
    for file in photos.rglob("*.*"):
        if file.relative_to(photos).as_posix() not in read:
            spoil(file)


def same(one: Path, other: Path) -> bool:
    """Whether two results have the same bytes; databases, in which times stand, the same rows."""
    if one.suffix != ".db":
        return one.read_bytes() == other.read_bytes()
    return list(read_results(str(one))) == list(read_results(str(other)))


READ = {"female/10a.jpg", "zebra.png", "male/05.png", "male/broken.jpg"}


def test_results_of_another_threshold_are_not_taken_for_those_of_this_one(line: Line, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    assert cli(*line, out).exit_code == 0
    before = out.read_bytes()
    for options in (("--update",), ("--retry-errors",)):
        assert "another threshold" in one_line_error(cli(*line, out, *options, "--threshold", 1))
        assert out.read_bytes() == before


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl.gz", "r.parquet", "r.db"])
def test_an_update_ends_with_the_rows_of_a_new_run_and_reads_what_has_changed_alone(
    line: Line, cli: Cli, photos: Path, tmp_path: Path, name: str
) -> None:
    out, new = tmp_path / name, tmp_path / f"new.{name}"
    assert cli(*line, out, "--update").exit_code == 0
    change_all(photos)
    assert cli(*line, new).exit_code == 0
    spoil_others(photos, READ)
    result = cli(*line, out, "--update")
    assert result.exit_code == 0, result.output
    assert "78 rows kept, 2 photos new, 2 changed, 1 gone" in result.stderr and "4 photos in" in result.stderr
    assert same(out, new)
    # The report is of all rows.
    reports = [json.loads(report_beside(file).read_text()) for file in (out, new)]
    assert reports[0] == reports[1] and reports[0]["photos"] == 82
    assert not list(tmp_path.glob("*.part*")) and (tmp_path / f"{name}.seen").stat().st_size > 8 * 82
    again = cli(*line, out, "--update")
    assert "82 rows kept, 0 photos new, 0 changed, 0 gone" in again.stderr
    assert same(out, new)


def test_errors_are_kept_until_they_are_to_be_tried_again(line: Line, cli: Cli, photos: Path, tmp_path: Path) -> None:
    out, broken = tmp_path / "r.csv", photos / "male" / "broken.jpg"
    assert "1 of 81 photos could not be read: 1 damaged; see the column error" in cli(*line, out, "--update").stderr
    # As from a disk that can be read again: as large and as old as it was.
    status = broken.stat()
    write_picture(broken, BLUE)
    os.utime(broken, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert broken.stat().st_size == status.st_size
    spoil_others(photos, {"male/broken.jpg"})
    assert "81 rows kept" in cli(*line, out, "--update").stderr
    (photos / "female" / "new.jpg").write_bytes(b"")
    alone = cli(*line, out, "--retry-errors")
    assert "80 rows kept, 0 changed, 1 tried again, 0 gone" in alone.stderr
    table = pd.read_csv(out, keep_default_na=False).set_index("path")
    assert len(table) == 81 and not table.error.any() and table.label["male/broken.jpg"] == "Male"
    # The marks are those of all rows still.
    assert "81 rows kept, 1 photos new" in cli(*line, out, "--update", "--retry-errors").stderr


def test_without_marks_of_the_results_the_time_decides(line: Line, cli: Cli, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    cli(*line, out)
    assert not (tmp_path / "r.csv.seen").exists()
    # The results are younger than all photos but one, which was changed about when they were written.
    later = time.time() + 100
    os.utime(out, (later, later))
    os.utime(photos / "female" / "07.jpg", (later, later))
    spoil_others(photos, {"female/07.jpg"})
    result = cli(*line, out, "--update")
    assert result.exit_code == 0 and "80 rows kept, 0 photos new, 1 changed, 0 gone" in result.stderr
    assert "from a run without --update" in result.stderr and "changed since" in result.stderr
    result = cli(*line, out, "--update")
    assert "81 rows kept" in result.stderr and "from a run without" not in result.stderr
    assert len(pd.read_csv(out)) == 81


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "nonsense", "of other rows"])
def test_damaged_marks_or_rows_only_have_photos_done_again(line: Line, cli: Cli, tmp_path: Path, damage: str) -> None:
    out, seen = tmp_path / "r.csv", tmp_path / "r.csv.seen"
    cli(*line, out, "--update")
    whole, marks = out.read_bytes(), seen.read_bytes()
    if damage == "missing":
        seen.unlink()
    elif damage == "of other rows":
        # As a spreadsheet saves it, with a prediction changed by hand.
        out.write_bytes(whole.replace(b"female/05.jpg,Female", b"female/05.jpg,Male").replace(b"\r\n", b"\n"))
    else:
        seen.write_bytes({"cut": marks[:-100], "nonsense": b"{}", "flipped": marks[:-1] + b"?"}[damage])
    result = cli(*line, out, "--update")
    assert result.exit_code == 0 and out.read_bytes() == whole and sorted(seen.read_bytes()) == sorted(marks)
    expected = {"cut": "68 rows kept", "flipped": "80 rows kept", "of other rows": "80 rows kept"}
    assert expected.get(damage, " rows kept") in result.stderr


def test_rows_that_were_made_otherwise_are_not_mixed(line: Line, cli: Cli, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    cli(*line, out, "--update")
    before = out.read_bytes()
    other = ("classify", photos, "--model", write_red_or_blue(tmp_path / "other.onnx", 1.0), "--out", out)
    for message in (
        one_line_error(cli(*line, out, "--update", "--threshold", 0.9)),
        one_line_error(cli(*other, "--update", "--retry-errors")),
    ):
        assert "was made with another " in message and "--overwrite" in message
    assert "another faces" in one_line_error(cli(*line, out, "--update", "--faces", "largest"))
    (tmp_path / "r.csv.seen").unlink()
    assert "has other columns" in one_line_error(cli(*line, out, "--update", "--faces", "largest"))
    assert out.read_bytes() == before and not list(tmp_path.glob("*.part*"))
    assert cli(*line, out, "--update", "--overwrite").exit_code == 2
    assert cli(*line, "-", "--update").exit_code == 2
    assert "no results whose errors" in one_line_error(cli(*line, tmp_path / "new.csv", "--retry-errors"))


def test_what_auto_has_decided_on_faces_stays(
    line: Line, cli: Cli, photos: Path, tmp_path: Path, cell_detector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli(*line, tmp_path / "r.csv", "--update")
    monkeypatch.setenv("BATCHGENDER_DETECTOR", str(cell_detector))
    result = cli(*line, tmp_path / "r.csv", "--update")
    assert result.exit_code == 0 and "81 rows kept" in result.stderr


def killed_at(line: Line, out: Path, rows: int, *options: str) -> None:
    """Run a command and kill it once it has written so many rows."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgender", *map(str, line), out, *options], stderr=subprocess.PIPE
    )
    part = Path(f"{out}.part")
    while process.poll() is None and not (part.exists() and part.read_bytes().count(b"\n") > rows):
        time.sleep(0.001)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("go_on", [["--resume"], ["--update"]])
def test_a_killed_update_loses_nothing_whatever_goes_on(
    line: Line, cli: Cli, photos: Path, tmp_path: Path, go_on: list[str]
) -> None:
    out = tmp_path / "r.csv"
    cli(*line, out, "--update")
    before = out.read_bytes()
    change_all(photos)
    cli(*line, tmp_path / "new.csv")
    spoil_others(photos, READ)
    killed_at(line, out, 10, "--update", "--retry-errors")
    assert Path(f"{out}.part").exists() and out.read_bytes() == before
    # Between the two a photo comes whose place is among the rows that are there.
    result = cli(*line, out, *go_on)
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == (tmp_path / "new.csv").read_bytes()
    assert not list(tmp_path.glob("*.part*")) and "82 rows kept" in cli(*line, out, "--update").stderr


def test_a_stopped_run_is_resumed_with_photos_that_came_changed_and_went(
    line: Line, cli: Cli, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.csv"
    killed_at(line, out, 60)
    kept = set(pd.read_csv(f"{out}.part").path)
    assert 60 <= len(kept) <= 81
    change_all(photos)
    cli(*line, tmp_path / "new.csv")
    spoil_others(photos, {file.relative_to(photos).as_posix() for file in photos.rglob("*.*")} - kept | READ)
    result = cli(*line, out, "--resume")
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == (tmp_path / "new.csv").read_bytes()
    assert not list(tmp_path.glob("*.part*")) and not list(tmp_path.glob("*.seen"))


def test_rows_of_folders_that_can_not_be_listed_are_not_dropped(unprivileged: Path, cli: Cli) -> None:
    folder, out = unprivileged / "photos", unprivileged / "r.csv"
    for name in ("female/a.png", "male/a.png", "male/b.png"):
        write_picture(folder / name)
    line = ("classify", folder, "--model", unprivileged / "model.onnx", "--out", out)
    assert cli(*line, "--update").exit_code == 0
    before = out.read_bytes()
    (folder / "male").chmod(0)
    message = one_line_error(cli(*line, "--update"))
    assert "2 photos that had rows are not found, and 1 folders can't be listed" in message
    assert out.read_bytes() == before
    (folder / "male").chmod(0o700)
    assert cli(*line, "--resume").exit_code == 0 and out.read_bytes() == before


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_of_a_bucket_what_its_listing_shows_as_changed_is_asked_for(
    object_server: ObjectServer, cli: Cli, red_or_blue: Path, tmp_path: Path, scheme: str
) -> None:
    def jpeg(color: tuple[int, int, int]) -> bytes:
        return cv2.imencode(".jpg", picture(color)[..., ::-1])[1].tobytes()

    objects = object_server.objects
    objects.update({f"set/female/{index:02}.jpg": jpeg(RED) for index in range(20)})
    line = ("classify", object_server.addresses("set")[scheme], "--faces", "off", "--model", red_or_blue, "--out")
    assert cli(*line, tmp_path / "r.csv", "--update").exit_code == 0
    objects["set/female/05a.jpg"] = jpeg(BLUE)
    # As large as it was.
    objects["set/female/07.jpg"] = jpeg((31, 30, 220))
    del objects["set/female/09.jpg"]
    assert cli(*line, tmp_path / "new.csv").exit_code == 0
    object_server.asked.clear()
    result = cli(*line, tmp_path / "r.csv", "--update")
    assert result.exit_code == 0, result.output
    if scheme == "http":
        assert object_server.asked == ["set/female/05a.jpg"]
        assert "19 rows kept, 1 photos new, 0 changed, 1 gone; 19 are known by their path alone" in result.stderr
        return
    assert sorted(object_server.asked) == ["set/female/05a.jpg", "set/female/07.jpg"]
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "new.csv").read_bytes()


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_of_an_archive_that_was_written_anew_what_has_changed_is_done(
    line: Line, cli: Cli, photos: Path, tmp_path: Path, ending: str
) -> None:
    kind = ending[1:]
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), kind, photos))
    line = (line[0], archive, *line[2:])
    assert cli(*line, tmp_path / "r.csv", "--update").exit_code == 0
    assert "81 rows kept" in cli(*line, tmp_path / "r.csv", "--update").stderr
    change_all(photos)
    shutil.make_archive(str(tmp_path / "photos"), kind, photos)
    cli(*line, tmp_path / "new.csv")
    result = cli(*line, tmp_path / "r.csv", "--update")
    # A tar has no check sums of its members.
    kept = "0 rows kept" if ending == ".tar" else "78 rows kept, 2 photos new, 2 changed, 1 gone"
    assert kept in result.stderr
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "new.csv").read_bytes()
