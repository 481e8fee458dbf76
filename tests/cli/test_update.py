"""`classify --update` and `--retry-errors`, and `--resume` where photos have changed: which photos are read, which rows stay."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from conftest import BLUE, RED, write_picture

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


READ = {"female/10a.jpg", "zebra.png", "male/05.png", "male/broken.jpg"}


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_an_update_ends_with_the_rows_of_a_new_run_and_reads_what_has_changed_alone(
    line: Line, cli: Cli, photos: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    assert cli(*line, out, "--update").exit_code == 0
    change_all(photos)
    assert cli(*line, tmp_path / f"new.{name}").exit_code == 0
    spoil_others(photos, READ)
    result = cli(*line, out, "--update")
    assert result.exit_code == 0, result.output
    assert "78 rows kept, 2 photos new, 2 changed, 1 gone" in result.stderr and "4 photos in" in result.stderr
    assert out.read_bytes() == (tmp_path / f"new.{name}").read_bytes()
    # The report is of all rows.
    reports = [json.loads(file.with_suffix(".report.json").read_text()) for file in (out, tmp_path / f"new.{name}")]
    assert reports[0] == reports[1] and reports[0]["photos"] == 82
    assert not list(tmp_path.glob("*.part*")) and (tmp_path / f"{name}.seen").stat().st_size > 8 * 82
    again = cli(*line, out, "--update")
    assert "82 rows kept, 0 photos new, 0 changed, 0 gone" in again.stderr
    assert out.read_bytes() == (tmp_path / f"new.{name}").read_bytes()


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
