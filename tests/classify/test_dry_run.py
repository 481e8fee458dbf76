"""`classify --dry-run`: what a run would read, and how long it would take."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from conftest import BLUE, RED, one_line_error, write_picture
from PIL import Image
from tiny_detectors import picture_of_cells

from batchgender import load_classifier
from batchgender.classify import dry_run as dry
from batchgender.classify.dry_run import dry_run, dry_run_text
from batchgender.classify.face_choice import WHOLE
from batchgender.io import silent
from batchgender.photos.places.named import NamedPhotos
from batchgender.photos.source import PhotoSource

Cli = Callable[..., Result]


def counted(text: str) -> dict[str, str]:
    """The numbers of the table by their names."""
    pairs = (re.match(r"\s*(.*?)\s{2,}([\d,]+)$", line) for line in text.splitlines())
    return {pair[1]: pair[2] for pair in pairs if pair}


def files_of(folder: Path) -> set[tuple[str, int]]:
    return {(str(file), file.stat().st_mtime_ns) for file in folder.rglob("*")}


def test_it_says_what_would_be_read_and_writes_nothing(cli: Cli, red_or_blue: Path, photos: Path) -> None:
    (photos / "notes.txt").touch()
    (photos / "female" / "broken.webp").write_bytes(b"RIFF")
    write_picture(photos / "new" / "a.png").rename(photos / "new" / "a")
    before = files_of(photos.parent)
    result = cli("classify", photos, "--model", red_or_blue, "--dry-run")
    assert result.exit_code == 0 and files_of(photos.parent) == before
    expected = {"photos": "82", "JPEG": "40", "PNG": "40", "WebP": "1", "other endings": "1"}
    assert counted(result.stdout) == expected | {"Female": "41", "Male": "40", "no label": "1"}
    assert "left out, not photos: .txt 1" in result.stdout
    assert "1 of 82 photos that were tried could not be read" in result.stdout
    assert re.search(r"about (a second|\d+ seconds) here, by 82 of them, classified on .*CPU", result.stdout)
    assert result.stdout.splitlines()[-1] == "no results were written"


def test_photos_are_counted_by_the_input_they_come_from(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("more/x/1.jpg", "more/2.jpg", "single.jpg", "b1.png", "b2.png"):
        write_picture(tmp_path / name)
    result = cli("classify", "./photos/", "more", "single.jpg", "b?.png", "--model", red_or_blue, "--dry-run")
    found = counted(result.stdout)
    assert found["photos"] == "85" and found["./photos"] == "80" and found["more"] == "2"
    assert found["single files, patterns"] == "3"
    Path("list.csv").write_text("path,label\nmore/2.jpg,Frau\nsingle.jpg,man\nnowhere.jpg,\n")
    result = cli("classify", "--from-list", "list.csv", "--model", red_or_blue, "--dry-run")
    assert counted(result.stdout) == {"photos": "3", "JPEG": "3", "Male": "1", "no label": "2"}
    assert "labels that are no class of the model: Frau 1" in result.stdout and "1 of 3 photos" in result.stdout


def test_the_time_is_estimated_by_photos_spread_over_all(red_or_blue: Path, tmp_path: Path) -> None:
    read = []

    def slow(number: int) -> bytes:
        read.append(number)
        time.sleep(0.002)
        return (small if number < 600 else large).read_bytes()

    small = write_picture(tmp_path / "small.jpg", RED)
    large = write_picture(tmp_path / "large.jpg", BLUE, (400, 400))
    photos = [(f"{number:04}.jpg", lambda number=number: slow(number)) for number in range(1200)]
    classifier = load_classifier(red_or_blue)
    source = PhotoSource([], opened=[NamedPhotos(photos, "slow", "slow")])
    found = dry_run(classifier, source, WHOLE, silent)
    assert len(set(read)) == len(read) == found.tried < 600
    assert abs(sum(number < 600 for number in read) / len(read) - 0.5) < 0.1
    started = time.monotonic()
    assert sum(1 for _ in classifier.rows(source)) == 1200
    taken = time.monotonic() - started
    # Other work on this machine may slow either down.
    assert taken / 4 < found.seconds < 4 * taken
    assert f"about {found.seconds:.0f} seconds here, by {found.tried} of them" in dry_run_text(found).replace(
        "a second", "1 seconds"
    )


def test_a_slow_place_is_tried_for_some_seconds_alone(red_or_blue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry, "_SECONDS", 0.3)

    def never() -> bytes:
        time.sleep(0.05)
        raise OSError("no answer")

    source = PhotoSource([], opened=[NamedPhotos([(str(at), never) for at in range(4000)], "slow", "slow")])
    started = time.monotonic()
    found = dry_run(load_classifier(red_or_blue, workers=1), source, WHOLE, silent)
    assert time.monotonic() - started < 10 and found.unreadable == found.tried < 512
    # Four photos at a time.
    assert found.seconds > 4000 * 0.05 / 16
    assert re.search(r"about (\d+ seconds|\d+ minutes) here", dry_run_text(found))


def test_the_sample_is_cut_to_its_faces_as_the_run_would(
    cli: Cli, red_or_blue: Path, cell_detector: Path, tmp_path: Path
) -> None:
    for number in range(4):
        faces = {(0, column): RED for column in range(number)}
        Image.fromarray(picture_of_cells(faces)).save(write_picture(tmp_path / "crowds" / f"{number}.png"))
    line = ("classify", tmp_path / "crowds", "--model", red_or_blue, "--faces", "all", "--detector", cell_detector)
    result = cli(*line, "--dry-run")
    # Four photos have seven rows, and one without a face is none that can't be read.
    assert counted(result.stdout)["photos"] == "4" and "by 4 of them" in result.stdout
    assert "could not be read" not in result.stdout
    assert cli(*line, "--out", tmp_path / "r.csv").exit_code == 0
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 1 + 7
    assert "no such file" in one_line_error(cli(*line[:-1], tmp_path / "none.onnx", "--dry-run")).lower()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "a second"), (12.4, "12 seconds"), (89, "89 seconds"), (200, "3 minutes"), (9000, "2.5 hours")],
)
def test_times_are_said_in_words(seconds: float, words: str) -> None:
    assert dry._duration(seconds) == words


def test_what_a_run_would_refuse_is_refused(cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path) -> None:
    line = ("classify", "--model", red_or_blue)
    (tmp_path / "r.csv").touch()
    assert "exists already" in one_line_error(cli(*line, photos, "--dry-run", "--out", tmp_path / "r.csv"))
    os.mkdir(tmp_path / "empty")
    assert "no photos found" in one_line_error(cli(*line, tmp_path / "empty", "--dry-run"))
    assert cli(*line, photos).exit_code == cli(*line, photos, "--dry-run", "--resume", "--out", "x.csv").exit_code == 2
    assert "Missing option '-o' / '--out'" in cli(*line, photos).stderr
    shutil.rmtree(photos / "male")
    result = cli(*line, photos, "--dry-run", "--out", tmp_path / "new" / "r.csv")
    assert result.exit_code == 0 and not (tmp_path / "new").exists()


def test_photos_that_come_with_their_bytes_are_not_all_kept(
    red_or_blue: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import dataclass

    from batchgender.photos.photo import InMemory, Photo
    from batchgender.photos.places.place import Findings

    data = (photos / "female" / "05.jpg").read_bytes()

    @dataclass(frozen=True)
    class Stream:
        title = origin = "photos.tar.gz"
        sequential = True

        def photos(self, findings: Findings) -> Iterator[Photo]:
            for number in range(300):
                yield Photo(f"{number}.jpg", InMemory(data))

    monkeypatch.setattr(dry, "_HELD", 50 * len(data))
    found = dry_run(load_classifier(red_or_blue), PhotoSource([], opened=[Stream()]), WHOLE, silent)
    assert found.kinds.total() == 300 and found.tried == 50
