"""The page of exports/web in a real browser: the answers, the CSV, and what it must refuse and never do."""

import base64
import csv
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from conftest import RED, write_picture
from numpy.typing import NDArray
from PIL import ExifTags, Image
from test_embedding import CLOSE, CLOSE_BLENDED, EXPORTS, check_rows

from batchgender import load_classifier
from batchgender.classify.face_choice import FaceOptions
from batchgender.faces.framing import TIGHT
from batchgender.photos.decode import decode

WEB = EXPORTS / "web"
SOURCES = ["package.json", *(file.name for file in WEB.iterdir() if file.suffix in (".html", ".css", ".js"))]

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


def test_without_a_detector_the_page_says_how_to_get_one(seen: dict[str, Any]) -> None:
    assert seen["findsFaces"] == [False, False]
    assert seen["noDetector"].startswith("No face detector, detector.onnx, lies beside this page.")
    assert "batchgender fetch-detector" in seen["noDetector"]


def test_the_packages_are_locked_without_an_address() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert all(package.get("integrity") and "resolved" not in package for name, package in packages.items() if name)


Box = tuple[int, ...]


def head(photo: Path, times: float) -> NDArray[np.uint8]:
    """A whole head: uint8 [height, width, 3] RGB; the face takes half of the width."""
    pixels = decode(photo.read_bytes())
    return np.asarray(cv2.resize(pixels, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), np.uint8)


def on_canvas(size: tuple[int, int], *heads: tuple[int, int, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Heads at (x, y) on a plain canvas of (width, height): uint8 [height, width, 3] RGB."""
    canvas = np.full((size[1], size[0], 3), (120, 140, 150), np.uint8)
    for x, y, pixels in heads:
        canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return canvas


@pytest.fixture(scope="module")
def people(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos of people: of two, turned by EXIF, at the very edge, of twelve megapixels; and of none."""
    folder = tmp_path_factory.mktemp("people")
    [woman, second, *_], [man, *_] = (sorted((faces / "test" / of).glob("celeba_*")) for of in ("female", "male"))
    two = on_canvas((1400, 900), (100, 200, head(woman, 4)), (700, 100, head(man, 6)))
    Image.fromarray(two).save(folder / "two.png")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    # Lying on its side, as a camera stores it.
    lying = np.rot90(on_canvas((900, 700), (250, 150, head(second, 4))))
    Image.fromarray(lying).save(folder / "turned.jpg", exif=turned, quality=95)
    # One cut off above and at the left, one below and at the right.
    first, last = head(man, 5)[140:, 150:], head(man, 5)[:460, :315]
    Image.fromarray(on_canvas((1000, 800), (0, 0, first), (685, 340, last))).save(folder / "edge.png")
    Image.fromarray(on_canvas((4000, 3000), (2000, 1500, head(woman, 9)))).save(folder / "large.jpg", quality=95)
    small = [(60 + 300 * (i % 4), 60 + 300 * (i // 4), head((woman, second, man)[i % 3], 1.2)) for i in range(12)]
    Image.fromarray(on_canvas((1300, 900), *small)).save(folder / "group.png")
    # A tight crop, framed as those that a model trains on.
    crop = sorted((faces / "test" / "male").glob("utk_*"))[100]
    Image.fromarray(decode(crop.read_bytes())).save(folder / "crop.png")
    Image.fromarray(on_canvas((800, 600))).save(folder / "none.png")
    (folder / "x.jpg").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def framed(embeddable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embeddable file as of a model that trained on faces with much around them."""
    model = onnx.load(embeddable / "batchgender.onnx")
    about = json.loads({p.key: p.value for p in model.metadata_props}["batchgender"])
    about["framing"] = {"margin": 0.5, "face_share": 0.2}
    onnx.helper.set_model_props(model, {"batchgender": json.dumps(about)})
    file = tmp_path_factory.mktemp("framed") / "framed.onnx"
    onnx.save_model(model, file)
    return file


@pytest.fixture(scope="module")
def found(site: Path, browser: str, people: Path, framed: Path, yunet: Path) -> dict[str, Any]:
    """What one browser saw with the detector beside the page."""
    shutil.copy(yunet, site / "detector.onnx")
    done = run("node", "check-faces.js", browser, people, framed, cwd=site)
    (site / "detector.onnx").unlink()
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def box_of(row: dict[str, str]) -> Box:
    """x, y, width and height."""
    return tuple(int(row[key]) for key in ("x", "y", "width", "height"))


def boxes(text: str) -> dict[str, list[Box]]:
    """The face boxes in the CSV by photo, in its order."""
    photos: dict[str, list[Box]] = {}
    for row in rows(text):
        if row["face"]:
            photos.setdefault(row["path"], []).append(box_of(row))
    return photos


def cut(pixels: NDArray[np.uint8], box: Box, margin: float) -> NDArray[np.uint8]:
    """The square around a box, edge pixels repeated beyond the photo: uint8 [side, side, 3]."""
    x, y, width, height = box
    side = int(max(width, height) * (1 + 2 * margin) + 0.5)
    left, top = (int(np.floor(middle - side / 2 + 0.5)) for middle in (x + width / 2, y + height / 2))
    down, across = (np.arange(side) + start for start in (top, left))
    return pixels[down.clip(0, pixels.shape[0] - 1)][:, across.clip(0, pixels.shape[1] - 1)]


def check_cuts(text: str, people: Path, model: Path, margin: float) -> None:
    """Hold each face's probabilities against those of the same cut in Python."""
    classifier = load_classifier(model)
    for row in rows(text):
        if row["face"]:
            [expected] = classifier.classify(cut(decode((people / row["path"]).read_bytes()), box_of(row), margin))
            assert float(row["p_female"]) == pytest.approx(expected.probabilities[0], abs=CLOSE), row["path"]
            assert row["prediction"] == expected.prediction


def test_each_face_is_cut_out_and_gets_pythons_answer(found: dict[str, Any], people: Path, embeddable: Path) -> None:
    by_photo = boxes(found["found"]["csv"])
    assert {path: len(faces) for path, faces in by_photo.items()} == {
        "edge.png": 2,
        "group.png": 12,
        "large.jpg": 1,
        "turned.jpg": 1,
        "two.png": 2,
    }
    check_cuts(found["found"]["csv"], people, embeddable / "batchgender.onnx", TIGHT.margin)
    # The larger face is the first.
    assert by_photo["two.png"][0][2] > by_photo["two.png"][1][2]
    assert [row["face"] for row in rows(found["found"]["csv"]) if row["path"] == "two.png"] == ["1", "2"]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(np.add(a[:2], a[2:]), np.add(b[:2], b[2:]))
    both = np.prod((high - low).clip(0))
    return float(both / (a[2] * a[3] + b[2] * b[3] - both))


def test_the_faces_are_those_of_classify(found: dict[str, Any], people: Path, embeddable: Path, yunet: Path) -> None:
    options = FaceOptions("all", str(yunet))
    expected: dict[str, list[Box]] = {}
    for row in load_classifier(embeddable / "batchgender.onnx").classify(people, faces=options):
        if row.face and row.path != "crop.png":
            box = row.face.x, row.face.y, row.face.width, row.face.height
            expected.setdefault(row.path, []).append(box)
    by_photo = boxes(found["found"]["csv"])
    assert {path: len(faces) for path, faces in by_photo.items()} == {
        path: len(faces) for path, faces in expected.items()
    }
    for path, faces in by_photo.items():
        # Not quite alike, as it looks at pictures of other sizes, too.
        assert all(max(overlap(face, other) for other in expected[path]) > 0.75 for face in faces), path


def test_a_photo_framed_as_in_training_is_classified_whole(
    found: dict[str, Any], people: Path, embeddable: Path, framed: Path
) -> None:
    [crop] = [row for row in rows(found["found"]["csv"]) if row["path"] == "crop.png"]
    [expected] = load_classifier(embeddable / "batchgender.onnx").classify(people / "crop.png")
    assert not crop["face"] and float(crop["p_female"]) == pytest.approx(expected.probabilities[0], abs=CLOSE)
    assert [line["path"] for line in found["lines"]][:1] == ["crop.pngnot cut: framed as in training"]
    # By another model's metadata other photos are, and the others are cut otherwise.
    cut_out = boxes(found["framed"]["csv"])
    assert sorted(cut_out) == ["edge.png", "group.png", "large.jpg", "two.png"]
    check_cuts(found["framed"]["csv"], people, framed, 0.5)


def test_a_photo_without_a_face_gets_no_answer(found: dict[str, Any]) -> None:
    [none] = [row for row in rows(found["found"]["csv"]) if row["path"] == "none.png"]
    assert [key for key, value in none.items() if value] == ["path", "error"] and none["error"] == "no face found"
    [line] = [line for line in found["lines"] if line["path"] == "none.png"]
    assert line["answer"] == ["no face found: no answer"] and not line["tiles"]
    # It is counted apart from what could not be read.
    assert found["found"]["status"] == "Done: 21 rows, 1 with an error, 1 without a face."


def picture_of(url: str) -> NDArray[np.uint8]:
    """A picture that the page shows: uint8 [height, width, 3] RGB."""
    return decode(base64.b64decode(url.removeprefix("data:image/png;base64,")))


def test_the_page_shows_the_cut_faces_and_the_boxes(found: dict[str, Any], people: Path) -> None:
    [line] = [line for line in found["lines"] if line["path"] == "two.png"]
    answers = [row for row in rows(found["found"]["csv"]) if row["path"] == "two.png"]
    assert line["tiles"] == [f"{row['face']} {row['prediction']} {float(row['confidence']):.3f}" for row in answers]
    photo, *tiles = map(picture_of, line["pictures"])
    pixels = decode((people / "two.png").read_bytes())
    for box, tile in zip(boxes(found["found"]["csv"])["two.png"], tiles, strict=True):
        expected = cv2.resize(cut(pixels, box, TIGHT.margin), tile.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(expected.astype(float) - tile).mean() < 4
        # The left and the right side of the box are drawn over the photo, in blue.
        scale = photo.shape[1] / pixels.shape[1]
        for x in (box[0], box[0] + box[2]):
            sides = photo[round((box[1] + box[3] / 2) * scale), round(x * scale) - 1 : round(x * scale) + 2]
            assert np.abs(sides.astype(int) - (11, 87, 164)).max(1).min() < 60


def test_switched_off_each_photo_is_classified_whole(found: dict[str, Any], people: Path, embeddable: Path) -> None:
    header, *_ = found["off"]["csv"].splitlines()
    assert header == "path,prediction,confidence,p_female,p_male,error"
    expected = {row.path: row for row in load_classifier(embeddable / "batchgender.onnx").classify(people)}
    for row in rows(found["off"]["csv"])[:-1]:
        assert float(row["p_female"]) == pytest.approx(expected[row["path"]].probabilities[0], abs=CLOSE), row["path"]
    assert found["off"]["status"] == "Done: 8 rows, 1 with an error." and found["stillOff"]


def test_the_switch_is_on_where_the_detector_is_and_a_wrong_file_is_refused(found: dict[str, Any]) -> None:
    assert found["findsFaces"] == [True, True] and not found["noDetector"]
    assert any(url.endswith("/detector.onnx") for url in found["loaded"])
    assert found["later"] == [] and found["complaints"] == []
    assert found["tabs"] == ["model", "find-faces", "files"] and found["width"] == 360
    refused = "detector.onnx beside this page is no YuNet face detector."
    assert [line.startswith(refused) for line in found["refused"]] == [True, True]
