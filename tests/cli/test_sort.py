"""`batchgender sort` as a user runs it: the folders, what is left where it is, and what is refused."""

import csv
import errno
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from conftest import BLUE, RED, one_line_error, write_picture

Cli = Callable[..., Result]
GRAY = (128, 128, 128)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_results(file: str, folders: dict[str, str]) -> None:
    """A results file of these predictions."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "prediction", "confidence", "p_female", "p_male", "label", "error"])
        for path, name in folders.items():
            writer.writerow([path, name, "0.9", *(("0.9", "0.1") if name == "Female" else ("0.1", "0.9")), "", ""])


@pytest.fixture
def three(here: Path) -> dict[str, bytes]:
    """Three photos, photos/{a/1,b/1,b/2}.png, and results.csv, in which they are Female, Male, Male."""
    names = {"a/1.png": ("Female", RED), "b/1.png": ("Male", BLUE), "b/2.png": ("Male", GRAY)}
    write_results("results.csv", {path: name for path, (name, _) in names.items()})
    photos = {path: write_picture(here / "photos" / path, color).read_bytes() for path, (_, color) in names.items()}
    for path in photos:
        os.utime(here / "photos" / path, (1_000_000, 1_000_000))
    return photos


def files_in(folder: str | Path) -> dict[str, bytes]:
    """All photos in a folder, by their paths in it."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(Path(folder).rglob("*"))
        if file.is_file() and file.suffix in (".png", ".jpg")
    }


SORTED = {"a/1.png": "female/a/1.png", "b/1.png": "male/b/1.png", "b/2.png": "male/b/2.png"}


def placed(photos: dict[str, bytes]) -> dict[str, bytes]:
    return {SORTED[path]: data for path, data in photos.items()}


def test_every_photo_is_copied_into_the_folder_of_its_prediction(cli: Cli, red_or_blue: Path, here: Path) -> None:
    for path, color in {"x/1.png": RED, "y/1.png": BLUE, "y/2.png": GRAY}.items():
        write_picture(here / "photos" / path, color)
    (here / "photos" / "x" / "empty.jpg").touch()
    (here / "photos" / "notes.txt").touch()
    line = ("sort", "photos", "--into", "new/sorted", "--model", red_or_blue, "--faces", "off", "--threshold", 0.6)
    result = cli(*line)
    assert result.exit_code == 0, result.stderr
    before = files_in("photos")
    assert files_in("new/sorted") == {
        "female/x/1.png": before["x/1.png"],
        "male/y/1.png": before["y/1.png"],
        "unsure/y/2.png": before["y/2.png"],
        "unreadable/x/empty.jpg": b"",
    }
    counts = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines() if line.startswith("  ")}
    assert counts == {"female/": "1", "male/": "1", "unsure/": "1", "unreadable/": "1"}
    assert "not a person's identity" in result.stdout
    assert "4 photos copied" in result.stderr and "left out, not photos: .txt 1" in result.stderr
    cli("classify", "photos", "--out", "r.csv", "--model", red_or_blue, "--faces", "off", "--threshold", 0.6)
    assert Path("new/sorted/results.csv").read_bytes() == Path("r.csv").read_bytes()
    assert sorted(os.listdir("new/sorted")) == [
        *("female", "male", "results.csv", "results.report.json", "unreadable", "unsure")
    ]
    # A second run finds all in place.
    stamps = {file: os.stat(f"new/sorted/{file}").st_ino for file in files_in("new/sorted")}
    again = cli(*line)
    assert "0 photos copied, 4 were in place already" in again.stderr
    assert {file: os.stat(f"new/sorted/{file}").st_ino for file in files_in("new/sorted")} == stamps


def test_another_threshold_moves_photos_within_the_folder(cli: Cli, red_or_blue: Path, here: Path) -> None:
    write_picture(here / "photos" / "1.png", RED)
    line = ("sort", "photos", "--into", "sorted", "--model", red_or_blue, "--faces", "off", "--threshold")
    for threshold, folder in ((1, "unsure"), (0.5, "female"), (1, "unsure")):
        assert cli(*line, threshold).exit_code == 0
        assert list(files_in("sorted")) == [f"{folder}/1.png"]
        assert list(pd.read_csv("sorted/results.csv").prediction) == [folder.title()]


def test_photos_with_faces_go_by_their_largest_face(
    cli: Cli, red_or_blue: Path, cell_detector: Path, here: Path
) -> None:
    import cv2
    import numpy as np

    (here / "photos").mkdir()
    pixels = np.zeros((128, 128, 3), np.uint8)
    cv2.imwrite("photos/dark.png", pixels)
    line = ("sort", "photos", "--into", "sorted", "--model", red_or_blue, "--detector", cell_detector, "--faces", "all")
    assert cli(*line).exit_code == 0
    assert list(files_in("sorted")) == ["no-face/dark.png"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_results_of_every_format_are_sorted_by_without_a_model(
    cli: Cli, red_or_blue: Path, here: Path, three: dict[str, bytes], ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ("--model", red_or_blue, "--faces", "off")
    assert cli("classify", "photos", "--out", f"r{ending}", *model).exit_code == 0
    assert cli("classify", "photos", "--out", "same.csv", *model, "--overwrite").exit_code == 0
    # A model that is no model would be an error.
    (here / "exports").mkdir()
    (here / "exports" / "batchgender.onnx").touch()
    result = cli("sort", "photos", "--results", f"r{ending}", "--into", "sorted")
    assert result.exit_code == 0, result.stderr
    rows = pd.read_csv("same.csv")
    expected = {f"{name.lower()}/{path}": three[path] for path, name in zip(rows.path, rows.prediction, strict=True)}
    assert files_in("sorted") == expected
    assert Path("sorted/results.csv").read_bytes() == Path("same.csv").read_bytes()


def test_photos_gone_changed_or_new_since_the_results_are_counted(
    cli: Cli, here: Path, three: dict[str, bytes]
) -> None:
    (here / "photos" / "b" / "1.png").unlink()
    write_picture(here / "photos" / "b" / "2.png", RED)
    os.utime(here / "photos" / "b" / "2.png", (4e9, 4e9))
    write_picture(here / "photos" / "new.png", RED)
    result = cli("sort", "photos", "--results", "results.csv", "--into", "sorted", "--move")
    assert result.exit_code == 0
    assert "1 photos of results.csv are gone" in result.stderr
    assert "1 photos are newer than results.csv" in result.stderr
    assert "1 photos have no row in results.csv: they stay where they are" in result.stderr
    assert list(files_in("photos")) == ["new.png"]
    assert list(files_in("sorted")) == ["female/a/1.png", "male/b/2.png"]


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_copies_links_and_moves_leave_what_their_names_say(
    cli: Cli, here: Path, three: dict[str, bytes], how: str
) -> None:
    options = () if how == "copy" else (f"--{how}",)
    line = ("sort", "photos", "--results", "results.csv", "--into", "sorted", *options)
    assert cli(*line).exit_code == 0
    for _ in range(2):
        assert files_in("sorted") == placed(three)
        assert files_in("photos") == ({} if how == "move" else three)
        if how != "move":
            same = [os.path.samefile(f"photos/{path}", f"sorted/{place}") for path, place in SORTED.items()]
            assert all(same) if how == "link" else not any(same)
            assert int(os.stat("sorted/female/a/1.png").st_mtime) == 1_000_000
        assert len(pd.read_csv("sorted/results.csv")) == 3
        assert "3 were in place already" in cli(*line).stderr


def test_links_become_copies_and_copies_are_moved(cli: Cli, here: Path, three: dict[str, bytes]) -> None:
    line = ("sort", "photos", "--results", "results.csv", "--into", "sorted")
    assert cli(*line, "--link").exit_code == 0
    assert cli(*line).exit_code == 0
    assert files_in("sorted") == placed(three)
    assert not os.path.samefile("photos/a/1.png", "sorted/female/a/1.png")
    assert cli(*line, "--link").exit_code == 0
    assert cli(*line, "--move").exit_code == 0
    assert files_in("sorted") == placed(three) and not files_in("photos")


@pytest.mark.parametrize("how", ["--link", "--move"])
def test_from_one_file_system_to_another(cli: Cli, here: Path, three: dict[str, bytes], how: str) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == here.stat().st_dev:
        pytest.skip("no second file system here")
    into = memory / f"batchgender-{os.getpid()}"
    try:
        result = cli("sort", "photos", "--results", "results.csv", "--into", into, how)
        assert result.exit_code == 0, result.stderr
        assert files_in(into) == placed(three)
        assert files_in("photos") == ({} if how == "--move" else three)
        if how == "--link":
            assert "3 links are symbolic" in result.stderr
            assert os.readlink(into / "female/a/1.png") == str((here / "photos/a/1.png").resolve())
            # The links give way to the photos.
            assert cli("sort", "photos", "--results", "results.csv", "--into", into, "--move").exit_code == 0
            assert files_in(into) == placed(three) and not files_in("photos")
            assert not (into / "female/a/1.png").is_symlink()
    finally:
        shutil.rmtree(into)


def test_a_link_among_the_photos_is_followed_and_moved_as_a_link(cli: Cli, here: Path, three: dict[str, bytes]) -> None:
    elsewhere = write_picture(here / "elsewhere" / "real.png", RED)
    (here / "photos" / "a" / "1.png").unlink()
    (here / "photos" / "a" / "1.png").symlink_to("../../elsewhere/real.png")
    for option in ("-q", "--link", "--move"):
        assert cli("sort", "photos", "--results", "results.csv", "--into", "sorted", option).exit_code == 0
        assert Path("sorted/female/a/1.png").read_bytes() == elsewhere.read_bytes()
    assert not files_in("photos") and elsewhere.exists()


def test_no_file_is_replaced_and_names_are_the_same_in_each_run(cli: Cli, here: Path, three: dict[str, bytes]) -> None:
    other = write_picture(here / "sorted" / "female" / "a" / "1.png", BLUE, (9, 9)).read_bytes()
    names = set()
    for _ in range(2):
        assert cli("sort", "photos", "--results", "results.csv", "--into", "sorted").exit_code == 0
        found = files_in("sorted/female/a")
        assert found.pop("1.png") == other
        assert list(found.values()) == [three["a/1.png"]]
        names |= set(found)
    (name,) = names
    assert name.startswith("1-") and len(name) == len("1-01234567.png")


def test_photos_of_several_folders_keep_their_folders(cli: Cli, here: Path, three: dict[str, bytes]) -> None:
    write_results("r.csv", {"photos/a/1.png": "Female", "photos/b/1.png": "Female", "../more/1.png": "Female"})
    (here / "below").mkdir()
    shutil.move("photos", "below/photos")
    write_picture(here / "more" / "1.png", GRAY)
    os.chdir("below")
    assert cli("sort", "photos/a", "photos/b", "../more", "--results", "../r.csv", "--into", "s").exit_code == 0
    assert list(files_in("s")) == ["female/_/more/1.png", "female/photos/a/1.png", "female/photos/b/1.png"]


def test_a_folder_within_the_photos_is_not_sorted_again(cli: Cli, red_or_blue: Path, here: Path) -> None:
    write_picture(here / "photos" / "1.png", RED)
    for photos in ("photos", "photos/**/*.png"):
        for _ in range(2):
            line = ("sort", photos, "--into", "photos/sorted", "--model", red_or_blue, "--faces", "off")
            assert cli(*line).exit_code == 0
            assert len(pd.read_csv("photos/sorted/results.csv").query("path == '1.png'")) == 1
    assert [name for name in files_in("photos") if name.endswith("1.png") and "/photos/" not in name] == [
        *("1.png", "sorted/female/1.png")
    ]


def test_photos_within_the_folder_are_not_sorted_again(cli: Cli, red_or_blue: Path, here: Path) -> None:
    write_picture(here / "all" / "photos" / "1.png", RED)
    for _ in range(2):
        assert cli("sort", "all/photos", "--into", "all", "--model", red_or_blue, "--faces", "off").exit_code == 0
        assert list(files_in("all")) == ["female/1.png", "photos/1.png"]
    for given in ("all", "all/female", "./all/../all"):
        message = one_line_error(cli("sort", given, "--into", "all", "--model", red_or_blue))
        assert "give --into another" in message


def test_what_was_moved_keeps_its_rows_when_more_is_sorted(cli: Cli, red_or_blue: Path, here: Path) -> None:
    line = ("sort", "photos", "--into", "sorted", "--model", red_or_blue, "--faces", "off", "--move")
    for count, color in enumerate((RED, BLUE), 1):
        write_picture(here / "photos" / f"{count}.png", color)
        assert cli(*line).exit_code == 0
        assert len(pd.read_csv("sorted/results.csv")) == count
    assert list(files_in("sorted")) == ["female/1.png", "male/2.png"]
    # With nothing left to sort, too.
    result = cli(*line)
    assert result.exit_code == 0 and "those of earlier runs are in place" in result.stderr
    assert len(pd.read_csv("sorted/results.csv")) == 2
    # What the user takes away has no row any more.
    (here / "sorted" / "female" / "1.png").unlink()
    assert cli(*line).exit_code == 0 and list(pd.read_csv("sorted/results.csv").path) == ["2.png"]


def test_photos_in_an_archive_are_copied_and_neither_linked_nor_moved(
    cli: Cli, red_or_blue: Path, here: Path, three: dict[str, bytes]
) -> None:
    with zipfile.ZipFile("album.zip", "w") as archive:
        for path, data in three.items():
            archive.writestr(path, data)
        archive.writestr("../../out.png", three["a/1.png"])
    line = ("sort", "album.zip", "--into", "here/sorted", "--model", red_or_blue, "--faces", "off")
    for option in ("--link", "--move"):
        message = one_line_error(cli(*line, option))
        assert f"{option} is for files in folders" in message and not Path("here").exists()
    for done in ("4 photos copied,", "4 were in place already"):
        result = cli(*line)
        assert result.exit_code == 0 and done in result.stderr
    found = files_in("here/sorted")
    assert found["female/a/1.png"] == found["female/out.png"] == three["a/1.png"] and len(found) == 4
    assert not list(here.glob("*.png")) and not list(here.parent.glob("*.png"))


def test_what_can_not_be_read_stays_and_the_others_are_sorted(cli: Cli, unprivileged: Path) -> None:
    photos, into = unprivileged / "photos", unprivileged / "sorted"
    write_picture(photos / "1.png", RED)
    write_picture(photos / "locked.png", RED).chmod(0)
    os.mkfifo(photos / "pipe.png")
    results = unprivileged / "r.csv"
    write_results(str(results), {"1.png": "Female", "locked.png": "Female", "pipe.png": "Male"})
    message = one_line_error(cli("sort", photos, "--into", into, "--results", results))
    assert "2 photos stay where they are: locked.png: can't read the file: Permission denied" in message
    assert list(files_in(into)) == ["female/1.png"]
    assert list(pd.read_csv(into / "results.csv").path) == ["1.png", "locked.png", "pipe.png"]


def test_what_can_not_be_moved_away_is_neither_copied_nor_lost(cli: Cli, unprivileged: Path) -> None:
    photos, into = unprivileged / "photos", unprivileged / "sorted"
    write_picture(photos / "1.png", RED)
    results = unprivileged / "r.csv"
    write_results(str(results), {"1.png": "Female"})
    photos.chmod(0o500)
    message = one_line_error(cli("sort", photos, "--into", into, "--results", results, "--move"))
    assert "1 photos stay where they are: 1.png: can't remove it from its folder" in message
    assert list(files_in(photos)) == ["1.png"] and not files_in(into)


def test_a_folder_that_can_not_be_written_is_refused(cli: Cli, unprivileged: Path) -> None:
    photos, into = unprivileged / "photos", unprivileged / "sorted"
    write_picture(photos / "1.png", RED)
    results = unprivileged / "r.csv"
    write_results(str(results), {"1.png": "Female"})
    line = ("sort", photos, "--into", into, "--results", results)
    into.write_text("a file")
    assert "sorted: no folder; give --into another" in one_line_error(cli(*line))
    into.unlink()
    into.mkdir(mode=0o500)
    assert "can't write" in one_line_error(cli(*line))
    into.chmod(0o700)
    (into / "female").mkdir(mode=0o500)
    message = one_line_error(cli(*line, "--move"))
    assert "can't write (Permission denied); 0 of 1 photos are in place, none is lost" in message
    assert list(files_in(photos)) == ["1.png"]


def test_a_full_disk_ends_in_a_line_and_the_run_goes_on_when_there_is_room(
    cli: Cli, here: Path, three: dict[str, bytes]
) -> None:
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (here / "photos" / name).write_bytes(os.urandom(400_000))
    before = files_in("photos")
    (here / "small").mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", "small"], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("can't mount a small file system here")
    try:
        line = ("sort", "photos", "--results", "results.csv", "--into", "small/sorted", "--move")
        message = one_line_error(cli(*line))
        assert os.strerror(errno.ENOSPC) in message and "2 of 3 photos are in place, none is lost" in message
        assert sorted([*files_in("photos").values(), *files_in("small").values()]) == sorted(before.values())
        subprocess.run(["mount", "-o", "remount,size=9000k", "small"], check=True)
        assert cli(*line).exit_code == 0
        assert files_in("small/sorted") == placed(before) and not files_in("photos")
    finally:
        subprocess.run(["umount", "small"], check=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--link", "--move"), "--link and --move exclude each other"),
        (("--results", "results.csv", "--model", "packaged"), "--model and --results exclude each other"),
        (("--results", "results.csv", "--faces", "all"), "--faces and --results exclude each other"),
    ],
)
def test_wrong_usage(cli: Cli, three: dict[str, bytes], options: tuple[Any, ...], message: str) -> None:
    result = cli("sort", "photos", "--into", "sorted", *options)
    assert result.exit_code == 2 and message in result.stderr and not Path("sorted").exists()


def test_bad_results_end_in_a_line(cli: Cli, three: dict[str, bytes]) -> None:
    Path("empty.csv").write_text("path,prediction,error\n")
    for results, message in (("none.csv", "No such file"), ("empty.csv", "has no rows"), ("x.txt", "no results file")):
        assert message in one_line_error(cli("sort", "photos", "--into", "sorted", "--results", results))
        assert not Path("sorted").exists()
