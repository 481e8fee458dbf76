"""The page of exports/web in a real browser: the answers, the CSV, and what it must refuse and never do."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RED, write_picture
from PIL import Image
from test_embedding import CLOSE_BLENDED, EXPORTS, check_rows

from batchgender import load_classifier

WEB = EXPORTS / "web"
SOURCES = ("index.html", "style.css", "page.js", "worker.js", "build.js", "serve.js", "check.js", "package.json")

Answers = dict[str, tuple[float, ...]]


def run(*line: object, cwd: Path, limit: int = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, line)), capture_output=True, text=True, cwd=cwd, timeout=limit)


@pytest.fixture(scope="module")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found or not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("no Chromium, node or npm on this machine")
    if not (WEB / "node_modules").is_dir() and run("npm", "ci", "--ignore-scripts", cwd=WEB).returncode:
        pytest.skip(f"npm ci in {WEB} failed: no way to its packages from here")
    return found


@pytest.fixture(scope="module")
def site(browser: str, embeddable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page built as its README says, with the embeddable model beside it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    for name in SOURCES:
        shutil.copy(WEB / name, folder)
    (folder / "node_modules").symlink_to(WEB / "node_modules")
    built = run("npm", "run", "build", "--", embeddable / "batchgender.onnx", cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, one of them larger than what the page shrinks, and with what is none."""
    folder = tmp_path_factory.mktemp("folders") / "album"
    write_picture(folder / "deep" / 'a "b", c.png')
    write_picture(folder / "one.jpg")
    # Every second square of it is transparent, and holds green.
    squares = np.kron(np.indices((600, 600)).sum(0) % 2, np.ones((8, 8), int))
    Image.fromarray(np.array([(*RED, 255), (0, 255, 0, 0)], np.uint8)[squares]).save(folder / "large.png")
    (folder / ".hidden.jpg").write_text("no photo")
    (folder / "=note.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def seen(
    site: Path,
    browser: str,
    fifty: Path,
    spoiled: Path,
    album: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What one browser saw: the fifty and a text named x.jpg chosen; the album chosen, and dropped."""
    photos = tmp_path_factory.mktemp("photos")
    for file in fifty.iterdir():
        (photos / file.name).symlink_to(os.path.realpath(file))
    (photos / "x.jpg").write_text("no photo")
    done = run("node", "check.js", browser, photos, album, spoiled, cwd=site)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_the_fifty_get_the_answers_of_classify_and_no_row_is_lost(seen: dict[str, Any], answers: Answers) -> None:
    header, *lines = seen["files"]["csv"].splitlines()
    assert header == "path,prediction,confidence,p_female,p_male,error"
    # Sorted by path, x.jpg comes last; it has an error and no numbers.
    largest = check_rows("\n".join([header, *lines[:-1]]), answers)
    print(f"Chromium: at most {largest:.6f} apart")
    assert all(
        float(row["confidence"]) == max(float(row["p_female"]), float(row["p_male"])) and not row["error"]
        for row in rows(seen["files"]["csv"])[:-1]
    )
    assert lines[-1].startswith("x.jpg,,,,,damaged or no picture")
    assert seen["files"]["status"] == "Done: 51 rows, 1 with an error."
    assert seen["files"]["rows"] == [*sorted(answers), "x.jpg"] and seen["files"]["thumbnails"] == 50
    assert seen["files"]["count"].startswith("51 of 51, ") and seen["files"]["count"].endswith(" images/s")


def test_a_folder_is_chosen_or_dropped(seen: dict[str, Any]) -> None:
    chosen = rows(seen["folder"]["csv"])
    assert [row["path"] for row in chosen] == ['album/deep/a "b", c.png', "album/large.png", "album/one.jpg"]
    assert not any(row["error"] for row in chosen)
    # What is dropped itself is a photo whatever its name, and no photo is lost without a word.
    dropped = rows(seen["dropped"]["csv"])
    assert dropped[1:] == chosen and dropped[0]["error"]
    # A spreadsheet would take it for a formula.
    assert dropped[0]["path"] == "'=note.txt"


def test_what_is_transparent_is_not_seen_where_a_photo_is_shrunk_either(
    seen: dict[str, Any], album: Path, embeddable: Path
) -> None:
    [large] = [row for row in rows(seen["folder"]["csv"]) if row["path"] == "album/large.png"]
    [expected] = load_classifier(embeddable / "batchgender.onnx").classify(album / "large.png")
    assert float(large["p_female"]) == pytest.approx(expected.probabilities[0], abs=CLOSE_BLENDED)


def test_of_many_the_first_are_shown_and_all_are_in_the_csv(seen: dict[str, Any]) -> None:
    assert [row["path"] for row in rows(seen["many"]["csv"])] == [f"{index}.jpg" for index in range(100, 305)]
    assert len(seen["many"]["rows"]) == 200 and seen["more"] == "The first 200 are shown; the CSV has all 205."


def test_stopped_by_the_enter_key_no_row_is_lost(seen: dict[str, Any], answers: Answers) -> None:
    stopped = rows(seen["stopped"]["csv"])
    assert [row["path"] for row in stopped] == [*sorted(answers), "x.jpg"]
    assert not stopped[0]["error"] and stopped[-1]["error"] == "not classified: stopped"


def test_nothing_leaves_the_browser(seen: dict[str, Any]) -> None:
    assert any(url.endswith("/ort-wasm-simd-threaded.wasm") for url in seen["loaded"])
    assert all(url.startswith("http://localhost:") for url in seen["loaded"])
    assert seen["later"] == [] and seen["errors"] == []
    # Neither the page nor its worker may.
    assert seen["forbidden"] == ["connect-src", "connect-src"]


def test_it_works_with_threads(seen: dict[str, Any]) -> None:
    threads = min(os.cpu_count() or 1, 8)
    assert f"WebAssembly, {threads} thread" in seen["ready"] and "Female or Male; float32" in seen["ready"]


def test_a_model_that_answers_its_own_pictures_wrongly_is_refused(seen: dict[str, Any]) -> None:
    assert seen["refused"].startswith("Refused: spoiled.onnx fails its self-check in this browser (")
    assert not seen["stillOpen"]


def test_by_keyboard_and_on_a_phone(seen: dict[str, Any]) -> None:
    assert seen["tabs"] == ["model", "files", "folder"] and seen["outline"] == "solid"
    # Stop had the focus while it worked; the next thing to press has it now.
    assert seen["files"]["focus"] == "download"
    assert seen["width"] == 360


def test_the_packages_are_locked_without_an_address() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert all(package.get("integrity") and "resolved" not in package for name, package in packages.items() if name)
