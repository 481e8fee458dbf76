"""Memory that photos share: who waits for whom, and what a small file may take."""

import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from photo_files import chunk, png, tiff

from batchgender.errors import UnreadablePhoto
from batchgender.photos.memory import MemoryLimit, memory_left

_PEAK = """
import sys
from batchgender.photos.decode import to_size
from batchgender.errors import UnreadablePhoto
try:
    to_size(open(sys.argv[1], "rb").read(), 192)
except UnreadablePhoto as error:
    print(error)
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def peak(file: Path) -> float:
    """Megabytes that a process takes at most to read a file."""
    done = subprocess.run([sys.executable, "-c", _PEAK, str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1]) / 1000


def test_no_more_is_held_at_one_time_than_the_limit() -> None:
    limit = MemoryLimit(100, unasked=10)
    held, most = 0, []
    lock = threading.Lock()

    def work(count: int) -> None:
        nonlocal held
        with limit.taken(count):
            with lock:
                held += count
                most.append(held)
            time.sleep(0.002)
            with lock:
                held -= count

    # The one of 300 has the limit alone.
    threads = [threading.Thread(target=work, args=(count,)) for count in (60, 40, 300, 50, 50, 90, 30) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(most) == 21 and max(each for each in most if each != 300) <= 100


def test_what_failed_is_given_back() -> None:
    limit = MemoryLimit(100, unasked=0)
    with pytest.raises(RuntimeError), limit.taken(100):
        raise RuntimeError
    with limit.taken(100):
        pass
    with pytest.raises(UnreadablePhoto, match="needs .* MB of memory, and .* MB are left here"), limit.taken(10**18):
        pass
    with limit.taken(100):
        pass


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="reads memory from /proc")
def test_the_system_says_what_is_left() -> None:
    assert 10**7 < memory_left() < 10**14


SIDE = 12_000
BITS = np.zeros((1, SIDE, 1), np.uint8)
LINES = zlib.compress(bytes((1 + SIDE // 8) * SIDE))
HEAD = png(BITS, 0, 1)[:16] + SIDE.to_bytes(4) * 2 + b"\1"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize(
    ("color_type", "before"),
    [
        (b"\0", b""),
        (b"\0", chunk(b"tRNS", b"\0\0")),
        (b"\3", chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", b"\0\0")),
    ],
)
def test_a_small_file_of_many_pixels_takes_little(color_type: bytes, before: bytes, tmp_path: Path) -> None:
    header = HEAD[16:] + color_type + bytes(3)
    data = HEAD[:8] + chunk(b"IHDR", header) + before + chunk(b"IDAT", LINES) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    assert len(data) < 50_000 and peak(tmp_path / "a.png") < 450


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_a_small_file_of_large_samples_takes_little(tmp_path: Path) -> None:
    data = tiff(np.zeros((1, 1, 4), np.float64), 64, {256: [3900], 257: [4000], 278: [4000]}, deflate=True)
    (tmp_path / "a.tif").write_bytes(data + bytes(1000))
    assert peak(tmp_path / "a.tif") < 150
