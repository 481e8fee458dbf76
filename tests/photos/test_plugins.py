"""Formats that an extra reads: named where it is missing, and loaded with the first such photo alone."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from photo_files import PORTRAIT, encoded
from PIL import Image

from batchgender.photos.decode import decode

# Runs the command, where `missing` can't be imported, and prints which of the modules were.
_RUN = """
import sys
for name in sys.argv.pop(1).split():
    sys.modules[name] = None
from batchgender.cli import main
main(sys.argv[1:], standalone_mode=False)
print(*(name for name in ("pillow_heif", "pillow_jxl") if sys.modules.get(name)))
"""


def classify(folder: Path, missing: str = "") -> tuple[list[dict[str, str]], str]:
    """The rows of a folder, and which of the plugins were loaded."""
    out = folder.parent / "out.csv"
    line = ["classify", str(folder), "--out", str(out), "--overwrite", "--quiet", "--faces", "off"]
    # What is loaded in worker processes is not seen here.
    line.append("--no-isolate")
    done = subprocess.run([sys.executable, "-c", _RUN, missing, *line], capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    with out.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream)), done.stdout.splitlines()[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, format in (
        ("a.heic", "HEIF"),
        ("b.HIF", "HEIF"),
        ("c.jxl", "JXL"),
        ("d.jpg", "JPEG"),
        ("e.avif", "AVIF"),
    ):
        (photos / name).write_bytes(encoded(format))
    return photos


def test_a_missing_extra_is_named_in_the_row(folder: Path) -> None:
    rows, loaded = classify(folder, missing="pillow_heif pillow_jxl")
    heic = "HEIC needs the extra batchgender[heic] (pillow_heif not installed): pip install 'batchgender[heic]'"
    jxl = "JPEG XL needs the extra batchgender[jxl] (pillow_jxl not installed): pip install 'batchgender[jxl]'"
    assert [row["error"] for row in rows] == [heic, heic, jxl, "", ""]
    assert [bool(row["prediction"]) for row in rows] == [False, False, False, True, True]
    assert loaded == ""


def test_one_that_is_there_is_loaded_with_its_first_photo(folder: Path) -> None:
    rows, loaded = classify(folder)
    assert [row["error"] for row in rows] == [""] * 5 and loaded == "pillow_heif pillow_jxl"
    # The same portrait in five formats.
    assert len({row["prediction"] for row in rows}) == 1
    for name in ("a.heic", "b.HIF", "c.jxl"):
        (folder / name).unlink()
    rows, loaded = classify(folder)
    assert len(rows) == 2 and loaded == ""


@pytest.mark.parametrize("format", ["HEIF", "JXL"])
def test_each_photo_is_decoded_in_its_workers_thread(format: str) -> None:
    import pillow_heif
    from pillow_jxl import JpegXLImagePlugin

    pillow_heif.options.DECODE_THREADS = JpegXLImagePlugin.DECODE_THREADS = 4
    decode(encoded(format, Image.fromarray(PORTRAIT)))
    threads = {"HEIF": pillow_heif.options.DECODE_THREADS, "JXL": JpegXLImagePlugin.DECODE_THREADS}
    assert threads[format] == 0
