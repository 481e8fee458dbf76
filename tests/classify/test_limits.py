"""Memory, cores and slow files: what classify holds to, measured on real processes."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import BLUE, RED, write_picture

from batchgender import load_classifier
from batchgender.photos.photo import LocalFile, Photo
from batchgender.photos.source import PhotoSource

Cli = Callable[..., Any]

# Runs classify under a limit of its address space, in KiB (0: none), and prints the most that it took of it, and of
# memory.
_LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1)) * 1024
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from batchgender.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as stream:
        print(*(line for line in stream if line.startswith(("VmPeak", "VmHWM"))), file=sys.stderr)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")


def linked(folder: Path, count: int) -> Path:
    """A folder of many photos that take no space: two, and links to them."""
    names = [folder / f"{index:06}.jpg" for index in range(count)]
    write_picture(names[0], RED)
    write_picture(names[1], BLUE)
    for index, name in enumerate(names[2:]):
        os.link(names[index % 2], name)
    return folder


def limited(limit: int, *arguments: Any) -> tuple[str, int]:
    """What a run says on stderr, and its peak of address space in KiB."""
    line = [sys.executable, "-c", _LIMITED, str(limit), "classify", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak = re.search(r"VmPeak:\s+(\d+) kB", done.stderr)
    assert peak
    return done.stderr, int(peak[1])


@needs_proc
def test_a_batch_too_large_for_memory_is_made_smaller_and_no_row_is_lost(red_or_blue: Path, tmp_path: Path) -> None:
    photos, options = linked(tmp_path / "photos", 1200), ("--model", red_or_blue, "--workers", 1)
    _, small = limited(0, photos, *options, "--out", tmp_path / "small.csv")
    said, _ = limited(small + 400_000, photos, *options, "--out", tmp_path / "large.csv", "--batch-size", 512)
    assert "the memory has no room for batches of 512 photos: 256 from here on" in said
    assert (tmp_path / "large.csv").read_bytes() == (tmp_path / "small.csv").read_bytes()


@needs_proc
def test_memory_does_not_grow_with_the_number_of_photos(red_or_blue: Path, tmp_path: Path) -> None:
    def resident(count: int) -> int:
        out = tmp_path / f"{count}.csv"
        line = [sys.executable, "-m", "batchgender", "classify", str(linked(tmp_path / str(count), count))]
        process = subprocess.Popen([*line, "--model", str(red_or_blue), "--out", str(out)], stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert status == 0 and len(pd.read_csv(out)) == count
        return usage.ru_maxrss

    assert resident(6000) < 1.15 * resident(1500)


@pytest.mark.parametrize("option", ["--workers", "--batch-size"])
def test_nothing_of_it_is_wrong_usage(option: str, cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path) -> None:
    result = cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv", option, 0)
    assert result.exit_code == 2 and option in result.stderr and not list(tmp_path.glob("r.*"))


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 7), (8, 64)])
def test_rows_are_the_same_whoever_computes_them(
    workers: int, batch_size: int, red_or_blue: Path, photos: Path
) -> None:
    expected = list(load_classifier(red_or_blue).classify(photos))
    assert list(load_classifier(red_or_blue, workers=workers, batch_size=batch_size).classify(photos)) == expected


def test_several_batches_are_read_ahead_of_one_core(red_or_blue: Path, tmp_path: Path) -> None:
    listed = list(PhotoSource([str(linked(tmp_path / "photos", 200))], print))
    asked: list[str] = []
    enough = threading.Event()

    def listing() -> Any:
        for photo in listed:
            asked.append(photo.path)
            if len(asked) > 100:
                enough.set()
            yield photo

    rows = load_classifier(red_or_blue, workers=1).rows(listing())
    next(rows)
    assert enough.wait(10)
    rows.close()


def test_a_huge_photo_holds_up_no_other_batch_and_keeps_its_place(red_or_blue: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "000000.bmp", RED, (6000, 6000))
    linked(tmp_path / "photos", 100)
    rows = list(load_classifier(red_or_blue, workers=2).classify(tmp_path / "photos"))
    assert [row.path for row in rows] == sorted(row.path for row in rows) and len(rows) == 101
    assert rows[0].path == "000000.bmp" and rows[0].prediction == "Female"
    assert not any(row.error for row in rows)


def test_photos_of_many_megabytes_are_inferred_as_they_come(red_or_blue: Path, tmp_path: Path) -> None:
    from batchgender.classify.fetches import Fetches
    from batchgender.classify.read_ahead import read_ahead

    photos = []
    for index in range(6):
        file = write_picture(tmp_path / f"{index}.bmp", RED, (1000, 1000))
        photos.append(Photo(file.name, LocalFile(str(file))))
    sizes = [len(batch) for batch in read_ahead(photos, Fetches())]
    assert sum(sizes) == 6 and max(sizes) == 3


@needs_proc
@pytest.mark.skipif(not hasattr(os, "SEEK_HOLE"), reason="this system knows no holes in files")
def test_sparse_files_are_rows_and_take_no_memory(red_or_blue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(16):
        # Half of them begin with a whole picture.
        file = folder / f"{index:02}.png"
        write_picture(file, RED) if index % 2 else file.touch()
        os.truncate(file, 700_000_000)
    said, _ = limited(0, folder, "--model", red_or_blue, "--out", tmp_path / "r.csv", "--workers", 8)
    rows = pd.read_csv(tmp_path / "r.csv")
    resident = re.search(r"VmHWM:\s+(\d+) kB", said)
    assert len(rows) == 16 and rows["error"].notna().all() and resident and int(resident[1]) < 400_000
