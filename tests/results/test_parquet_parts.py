"""Results as a folder of Parquet parts."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any

import pandas as pd
import pyarrow.dataset
import pytest
from conftest import one_line_error
from pyarrow.parquet import ParquetFile

from batchgender.errors import UserError
from batchgender.results import parquet_parts
from batchgender.results.read_results import read_results
from batchgender.results.results_file import ResultsFile
from batchgender.results.rows import Row, RowLayout, make_row

Cli = Callable[..., Any]
Command = Callable[..., "Popen[str]"]
CLASSES = ("Female", "Male")
LAYOUT = RowLayout(CLASSES)
ROWS = [make_row(f"a folder of photos/{i:06}.jpg", (i / 12000, 1 - i / 12000), CLASSES, "", {}) for i in range(12000)]


def write(out: str, rows: list[Row], overwrite: bool = False) -> None:
    with closing(ResultsFile(out, overwrite=overwrite)) as results:
        results.begin(LAYOUT, {})
        results.write(rows)
        results.finish()


def test_the_parts_in_their_order_are_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "ROWS", 5000)
    write(f"{tmp_path}/r/", ROWS)
    write(f"{tmp_path}/r.csv", ROWS)
    parts = sorted((tmp_path / "r").iterdir())
    assert [each.name for each in parts] == [f"part-{i:05}.parquet" for i in range(len(parts))] and len(parts) > 1
    assert all(ParquetFile(each).metadata.num_rows >= 5000 for each in parts[:-1])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r", "r.csv"]
    for name in (f"{tmp_path}/r/", f"{tmp_path}/r"):
        assert list(read_results(name)) == list(read_results(f"{tmp_path}/r.csv"))
    table = pyarrow.dataset.dataset(str(tmp_path / "r")).to_table().to_pandas()
    assert list(table.path) == [row.path for row in ROWS] == list(pd.read_parquet(tmp_path / "r").path)


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    out = f"{tmp_path}/photos/"
    Path(out).mkdir()
    Path(out, "a.jpg").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"photos: holds other files \('a.jpg'\), and is not replaced"):
            write(out, ROWS[:5], overwrite)
    Path(f"{tmp_path}/file").write_text("precious")
    with pytest.raises(UserError, match="is no folder"):
        write(f"{tmp_path}/file/", ROWS[:5], True)
    for name in ("./", "../", "/"):
        with pytest.raises(UserError, match="is a folder"):
            ResultsFile(name)
    assert Path(out, "a.jpg").read_text() == Path(f"{tmp_path}/file").read_text() == "precious"


def test_what_is_replaced_is_there_until_the_new_parts_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = f"{tmp_path}/r/"
    write(out, ROWS[:10])
    with pytest.raises(UserError, match="exists already"):
        write(out, ROWS)
    # Left by a run that was killed.
    (tmp_path / "r.tmp").mkdir()
    (tmp_path / "r.tmp" / "part-00007.parquet").touch()
    (tmp_path / "r.old").symlink_to(tmp_path / "elsewhere")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *names: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
        with pytest.raises(UserError, match="No space left"):
            write(out, ROWS, overwrite=True)
    assert len(list(read_results(out))) == 10
    write(out, ROWS, overwrite=True)
    assert len(list(read_results(out))) == len(ROWS)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r"]


def test_a_missing_part_and_another_folder_are_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "ROWS", 1)
    write(f"{tmp_path}/r/", ROWS)
    (tmp_path / "r" / "part-00001.parquet").unlink()
    with pytest.raises(UserError, match="damaged: part-00001.parquet is missing"):
        list(read_results(f"{tmp_path}/r"))
    with pytest.raises(UserError, match="no folder of results"):
        list(read_results(str(tmp_path)))


def test_a_killed_run_goes_on_and_all_commands_read_the_folder(
    command: Command, cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    for index in range(40, 400):
        os.link(photos / "female" / f"{index % 40:02}.jpg", photos / "female" / f"{index:04}.jpg")
    line = ("classify", photos, "--model", red_or_blue, "-q", "--out")
    out, part = f"{tmp_path}/r/", tmp_path / "r.part"
    process = command(*line, out)
    while not (part.exists() and part.stat().st_size > 3000) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "go on with --resume" in one_line_error(cli(*line, out))
    assert cli(*line, out, "--resume").exit_code == 0
    assert cli(*line, tmp_path / "r.csv", "--overwrite").exit_code == 0
    assert list(read_results(out)) == list(read_results(str(tmp_path / "r.csv")))
    assert "0 changed" in cli("compare", tmp_path / "r.csv", tmp_path / "r").stdout
    assert cli("prevalence", out, "--measured-on", tmp_path / "r").exit_code == 0
    assert cli("audit", tmp_path / "r", "-q").exit_code == 0
    assert "nothing to resume" in one_line_error(cli(*line, out, "--resume"))
    assert (tmp_path / "r.report.json").exists()
