"""`batchgender classify` on archives and Parquet files: what comes out is what comes out of the folder."""

import csv
import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_files import Zipped, contents, pack, write_zip
from click.testing import Result
from conftest import BLUE, RED, one_line_error, write_picture

Cli = Callable[..., Result]
Command = Callable[..., "subprocess.Popen[str]"]
ENDINGS = pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "parquet"])


def rows_in(part: Path) -> int:
    return max(part.read_bytes().count(b"\r\n") - 1, 0) if part.exists() else 0


def report(out: Path) -> dict[str, object]:
    """The report beside results, but for the places of the photos."""
    figures = json.loads(out.with_suffix(".report.json").read_text())
    del figures["photos_from"]
    return figures


@ENDINGS
def test_rows_and_report_are_those_of_the_folder(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, ending: str
) -> None:
    (photos / "male" / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    archive = pack(photos, tmp_path / f"photos.{ending}")
    before = contents(tmp_path)
    results = {}
    for name, given in (("folder", photos), ("packed", archive)):
        result = cli("classify", given, "--model", red_or_blue, "--out", tmp_path / f"{name}.csv")
        assert result.exit_code == 0, result.stderr
        results[name] = result.stdout
    folder, packed = (tmp_path / f"{name}.csv" for name in ("folder", "packed"))
    assert packed.read_bytes() == folder.read_bytes() and rows_in(folder) == 81
    assert report(packed) == report(folder)
    assert results["packed"] == results["folder"] and "accuracy" in results["folder"]
    made = {"folder.csv", "folder.report.json", "packed.csv", "packed.report.json"}
    assert contents(tmp_path).keys() == before.keys() | made


@ENDINGS
def test_a_run_that_is_killed_goes_on_to_the_same_file(
    cli: Cli, command: Command, red_or_blue: Path, photos: Path, tmp_path: Path, ending: str
) -> None:
    for folder, suffix in (("female", "jpg"), ("male", "png")):
        for index in range(40, 600):
            os.link(photos / folder / f"{index % 40:02}.{suffix}", photos / folder / f"{index:04}.{suffix}")
    archive = pack(photos, tmp_path / f"photos.{ending}")
    arguments = ("classify", archive, "--model", red_or_blue, "--out")
    assert cli(*arguments, tmp_path / "whole.csv").exit_code == 0
    out, part = tmp_path / "r.csv", tmp_path / "r.csv.part"
    process = command(*arguments, out)
    while rows_in(part) < 200 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and 200 <= rows_in(part) < 1200
    assert cli(*arguments, out, "--resume").exit_code == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes() and rows_in(out) == 1200
    assert report(out) == report(tmp_path / "whole.csv")


def test_an_archive_beside_a_folder_has_its_name_before_its_paths(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "a.jpg")
    write_picture(tmp_path / "packed" / "men" / "b.jpg", BLUE)
    archive = pack(tmp_path / "packed", tmp_path / "photos" / "album.zip")
    result = cli("classify", tmp_path / "photos", archive, "--model", red_or_blue, "--out", "-")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["path"], row["prediction"], row["label"]) for row in rows] == [
        (f"{tmp_path}/photos/a.jpg", "Female", ""),
        (f"{archive}/men/b.jpg", "Male", "Male"),
    ]
    assert "left out, not photos: .zip 1" in result.stderr


def test_labels_of_a_shard_are_in_the_report(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard-000.tar", "w") as archive:
        for number, (color, label) in enumerate(((RED, "0"), (BLUE, "1"), (BLUE, "0"), (RED, "2"))):
            for name, data in (
                (f"{number}.png", write_picture(tmp_path / "x.png", color).read_bytes()),
                (f"{number}.cls", label.encode()),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    line = ("classify", str(tmp_path / "shard-*.tar"), "--model", red_or_blue, "--out")
    result = cli(*line, tmp_path / "r.csv")
    assert result.exit_code == 0 and "the column cls holds numbers that stand for no class" in result.stderr
    names = ("--label-names", "female=0", "--label-names", "male=1")
    assert cli(*line, tmp_path / "named.csv", *names).exit_code == 0
    with open(tmp_path / "named.csv", newline="") as stream:
        assert [row["label"] for row in csv.DictReader(stream)] == ["Female", "Male", "Female", ""]
    figures = json.loads((tmp_path / "named.report.json").read_text())
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert cli(*line, tmp_path / "none.csv", "--no-labels").exit_code == 0
    with open(tmp_path / "none.csv", newline="") as stream:
        assert {row["label"] for row in csv.DictReader(stream)} == {""}


def test_unreadable_members_and_a_tar_that_ends_early_count_under_strict(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    data = write_picture(tmp_path / "a.png").read_bytes()
    locked = write_zip(tmp_path / "a.zip", [Zipped(b"a.png", data), Zipped(b"b.png", data, flags=1)])
    result = cli("classify", locked, "--model", red_or_blue, "--out", tmp_path / "zip.csv", "--strict")
    assert result.exit_code == 3 and "1 of 2 photos could not be read" in result.stderr
    cut = pack(photos, tmp_path / "b.tar")
    cut.write_bytes(cut.read_bytes()[: 20 * 1024])
    result = cli("classify", cut, "--model", red_or_blue, "--out", tmp_path / "tar.csv", "--strict")
    assert result.exit_code == 3 and f"{cut}: ends early after " in result.stderr


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.parquet", "a.7z", "a.rar", "a.jpg.gz", "a.tar.zst"])
def test_what_is_no_archive_or_none_that_is_read_is_refused_before_a_model_is_opened(
    cli: Cli, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"no archive")
    line = ("classify", tmp_path / name, "--model", tmp_path / "none.onnx", "--out", tmp_path / "r.csv")
    assert f"{name}: " in one_line_error(cli(*line))
    assert [file.name for file in tmp_path.iterdir()] == [name]
