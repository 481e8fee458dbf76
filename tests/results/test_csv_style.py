import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import write_picture

from batchgender.photos.photo import InMemory, Photo
from batchgender.results.csv_style import CsvStyle
from batchgender.results.formats import read_csv
from batchgender.results.keeping import Pending
from batchgender.results.results_file import ResultsFile
from batchgender.results.rows import Row, RowLayout, make_row
from batchgender.results.sinks import CsvStream, Sink

Cli = Callable[..., Any]
CLASSES = ["Female", "=Male"]
LAYOUT = RowLayout(tuple(CLASSES))
FORMULAS = ["=1+1|cmd.jpg", "+1.jpg", '-a,"b".jpg', "@x.jpg", "\ttab.jpg", "\rreturn.jpg", "\nfeed.jpg", "\uff1d1.jpg"]
PLAIN = ["José 日本.jpg", "a=b.jpg", " =1.jpg", "'quoted.jpg", "nl\r\n=x.jpg"]
STYLES = [CsvStyle(bom, safe) for bom in (False, True) for safe in (False, True)]


def rows() -> list[Row]:
    read = [make_row(path, (0.25, 0.75), CLASSES, CLASSES[0], {}) for path in FORMULAS + PLAIN]
    return [*read, Row("broken.jpg", label=CLASSES[1], error="@file: no picture")]


def fill(sink: Sink) -> None:
    sink.begin(LAYOUT, {})
    for row in rows():
        sink.write([row])
    sink.finish()
    sink.close()


def written(folder: Path, style: CsvStyle) -> bytes:
    """What a finished run left, the same through a stream."""
    out = folder / f"{style.bom}{style.safe}.csv"
    fill(ResultsFile(str(out), style=style))
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    fill(CsvStream(stream, style))
    assert isinstance(stream.buffer, io.BytesIO) and stream.buffer.getvalue() == out.read_bytes()
    assert [file.name for file in folder.iterdir() if "csv." in file.name] == []
    return out.read_bytes()


def cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_each_style_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    exact = written(tmp_path, STYLES[0])
    assert not exact.startswith(b"\xef\xbb\xbf")
    assert [row[0] for row in cells(exact)[1:-1]] == FORMULAS + PLAIN
    for style in STYLES[1:]:
        data = written(tmp_path, style)
        assert data.startswith(b"\xef\xbb\xbf") == style.bom and data.count(b"\xef\xbb\xbf") == style.bom
        changed = 0
        for before, after in zip(cells(exact), cells(data), strict=True):
            for cell, now in zip(before, after, strict=True):
                dangerous = style.safe and cell[:1] in {formula[0] for formula in FORMULAS}
                assert now == ("'" + cell if dangerous else cell)
                changed += dangerous
        # The paths, each prediction, one label and one error.
        assert changed == (style.safe and len(FORMULAS) + len(FORMULAS + PLAIN) + 2)
        # A program reads it all the same.
        assert list(pd.read_csv(io.BytesIO(data)).columns) == cells(exact)[0]


def photos() -> Pending:
    return Pending(Photo(row.path, InMemory(b"")) for row in rows())


def test_a_run_that_was_stopped_is_resumed_under_another_style_to_the_same_bytes(tmp_path: Path) -> None:
    for style in STYLES:
        whole, out = written(tmp_path, style), tmp_path / "r.csv"
        first = ResultsFile(str(out), style=CsvStyle(safe=not style.safe))
        first.begin(LAYOUT, {})
        assert first.keeping
        list(first.keeping.answered(photos()))
        first.write(rows()[:5])
        first.close()
        assert list(read_csv(f"{out}.part", LAYOUT)) == rows()[:5]
        second = ResultsFile(str(out), resume=True, style=style)
        second.begin(LAYOUT, {})
        kept = list(second.done(photos()))
        second.write(rows()[len(kept) :])
        second.finish()
        assert kept == rows()[:5] and out.read_bytes() == whole
        out.unlink()


@pytest.fixture
def names(tmp_path: Path) -> Path:
    for name in ("=1+1.jpg", "José.jpg", "@sum.jpg"):
        write_picture(tmp_path / "names" / name)
    return tmp_path / "names"


def test_the_command_writes_the_style_to_a_file_and_to_stdout(
    cli: Cli, red_or_blue: Path, names: Path, tmp_path: Path
) -> None:
    run = ("classify", names, "--model", red_or_blue)
    out = tmp_path / "r.csv"
    assert cli(*run, "--out", out, "--csv-bom", "--csv-safe").exit_code == 0
    assert out.read_bytes().startswith(b"\xef\xbb\xbfpath,prediction,")
    assert set(pd.read_csv(out).path) == {"'=1+1.jpg", "'@sum.jpg", "José.jpg"}
    assert cli(*run, "--out", "-", "--csv-bom", "--csv-safe").stdout_bytes == out.read_bytes()
    # With a byte order mark it is the same to compare, with apostrophes it has other paths.
    exact = tmp_path / "exact.csv"
    assert cli(*run, "--out", exact).exit_code == 0
    assert cli(*run, "--out", out, "--overwrite", "--csv-bom").exit_code == 0
    assert out.read_bytes() == b"\xef\xbb\xbf" + exact.read_bytes()
    assert "3 photos in both, 0 in the first alone" in cli("compare", exact, out).stdout
    assert cli(*run, "--out", out, "--overwrite", "--csv-safe").exit_code == 0
    assert "1 photos in both, 2 in the first alone" in cli("compare", exact, out).stdout


@pytest.mark.parametrize("option", ["--csv-bom", "--csv-safe"])
@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet"])
def test_another_format_has_no_style(cli: Cli, names: Path, tmp_path: Path, name: str, option: str) -> None:
    result = cli("classify", names, "--out", tmp_path / name, option)
    assert result.exit_code == 2 and "are for a CSV" in result.stderr and os.listdir(tmp_path) == ["names"]
