"""A sort that is stopped at any moment and started again: no photo is lost, there twice, or half written."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BLUE, RED, write_picture

ENDINGS = {"copy": (), "link": ("--link",), "move": ("--move",)}
# Runs `sort` in children that end by SIGKILL at their first, second, third and so on access of the file system, until
# one comes to its end; after each, PHOTOS and TARGET are looked at by `check`.
EVERY_STEP = """
import gc, os, shutil, signal, sys
from pathlib import Path
from batchgender.cli import main
import batchgender.sorting.sort, batchgender.results.read_results

photos, results, before, *options = sys.argv[1:]
STEPS = {"open", "os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir", "os.truncate", "os.utime"}
expected = sorted(file.read_bytes() for file in Path(photos).rglob("*.*"))
# What a process has written outlives its own end, though not that of the machine.
os.fsync = lambda descriptor: None
# What is imported once is there in all children.
main(["sort", photos, "--into", "sorted", "--results", results, "-q"], standalone_mode=False)
gc.freeze()

def run(kill_at):
    child = os.fork()
    if not child:
        left = kill_at
        def count(event, arguments):
            nonlocal left
            if event in STEPS and "sorted" in str(arguments[0]) + str(arguments[1:2]):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        try:
            main(["sort", "photos", "--into", "sorted", "--results", results, "-q", *options])
        except SystemExit as end:
            os._exit(end.code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def contents(folder):
    return [file.read_bytes() for file in Path(folder).rglob("*.*") if file.suffix.lower() in (".jpg", ".png")]

step = 0
while True:
    step += 1
    shutil.rmtree("photos", ignore_errors=True), shutil.rmtree("sorted", ignore_errors=True)
    shutil.copytree(photos, "photos")
    # By these, one photo has another folder, and one none.
    main(["sort", "photos", "--into", "sorted", "--results", before, "-q"], standalone_mode=False)
    code = run(step)
    # Each photo is whole wherever it has its name.
    assert set(contents("sorted")) <= set(expected), step
    assert set(contents("photos")) | set(contents("sorted")) >= set(expected), step
    if code == 0:
        break
    assert code == -signal.SIGKILL, code
    assert run(0) == 0, step
    assert sorted(contents("sorted")) == expected, step
    assert sorted(contents("photos")) == ([] if "--move" in options else expected), step
    assert not [name for name in os.listdir("sorted") if "." in name and name != "results.csv"], os.listdir("sorted")
print(step)
"""


def write_results(file: Path, photos: Path) -> Path:
    """A results file in which photos of a folder a/ are Female, others Male."""
    rows = [["path", "prediction", "confidence", "p_female", "p_male", "label", "error"]]
    for photo in sorted(photos.rglob("*.*")):
        path = photo.relative_to(photos).as_posix()
        rows.append([path, "Female" if path.startswith("a/") else "Male", "0.9", "0.9", "0.1", "", ""])
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return file


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ENDINGS)
def test_killed_at_every_access_of_the_file_system_and_run_again(tmp_path: Path, how: str) -> None:
    photos = tmp_path / "originals"
    for index, name in enumerate(("a/1.jpg", "b/1.jpg", "b/1.JPG")):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(bytes([index]) * (1000 + index))
    results = write_results(tmp_path / "r.csv", photos)
    rows = results.read_text().splitlines(keepends=True)
    before = tmp_path / "before.csv"
    before.write_text("".join([rows[0], rows[1].replace("Female", "Unsure"), rows[2]]))
    done = subprocess.run(
        [sys.executable, "-c", EVERY_STEP, photos, results, before, *ENDINGS[how]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # Every photo has taken a step at least.
    assert int(done.stdout.split()[-1]) > 10


@pytest.mark.parametrize("how", ["copy", "move"])
def test_killed_at_random_moments_and_run_again(tmp_path: Path, red_or_blue: Path, how: str) -> None:
    expected = []
    for index in range(300):
        color = (RED, BLUE)[index % 2]
        file = write_picture(tmp_path / "photos" / str(index % 7) / f"{index}.png", color, (50 + index, 40))
        expected.append(file.read_bytes())
    line = [sys.executable, "-m", "batchgender", "sort", "photos", "--into", "sorted", "--model", str(red_or_blue)]
    line += ["--faces", "off", "-q", *ENDINGS[how]]
    moments = random.Random(how)
    for _ in range(4):
        process = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # The start takes longer on a busy machine.
        started = time.monotonic()
        while not (tmp_path / "sorted").exists() and time.monotonic() < started + 30 and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = [file.read_bytes() for file in tmp_path.glob("sorted/*/**/*.png")]
        assert len(set(found)) == len(found) and set(found) <= set(expected)
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [file.read_bytes() for file in tmp_path.glob("sorted/*/**/*.png")]
    assert sorted(found) == sorted(expected)
    assert len(list(tmp_path.glob("photos/*/*.png"))) == (0 if how == "move" else 300)
    rows = list(csv.DictReader((tmp_path / "sorted" / "results.csv").read_text().splitlines()))
    assert len(rows) == len({row["path"] for row in rows}) == 300
    assert all((tmp_path / "sorted" / row["prediction"].lower() / row["path"]).is_file() for row in rows)
