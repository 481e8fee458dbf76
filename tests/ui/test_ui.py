"""The page of `batchgender ui` in a real browser, and what its server must refuse and never keep."""

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import cv2
import pytest
from conftest import RED, one_line_error, write_picture
from PIL import Image
from tiny_detectors import picture_of_cells

from batchgender import load_classifier
from batchgender.classify.face_choice import FaceOptions

pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")

Cli = Callable[..., Any]
MEGABYTES, PHOTOS = 20, 25
# The page is answered once its model is open: on a machine that is busy that takes a while.
PATIENCE = 300


class Server:
    """The command in a process of its own; its uploads lie in a folder below `temporary`."""

    def __init__(self, model: Path, detector: Path | None, temporary: Path) -> None:
        temporary.mkdir()
        limits = ("--max-megabytes", MEGABYTES, "--max-photos", PHOTOS)
        line = ("ui", "--port", 0, "--model", model, *limits, *(("--detector", detector) if detector else ()))
        # Where none is named, none is in the cache, and none can be fetched.
        away = {
            "BATCHGENDER_DETECTOR": "",
            "XDG_CACHE_HOME": str(temporary.parent),
            "https_proxy": "http://127.0.0.1:9",
        }
        self.temporary, self.log = temporary, temporary.parent / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "batchgender", *map(str, line)],
                stderr=log,
                env={**os.environ, "TMPDIR": str(temporary), **({} if detector else away)},
            )
        self.url = ""
        end = time.monotonic() + PATIENCE
        while not self.url and time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"open (http://\S+/)", self.log.read_text()):
                self.url = found[1]
            time.sleep(0.1)
        if not self.url:
            self.process.kill()
            self.process.wait()
            raise AssertionError(self.log.read_text())

    def files(self) -> list[Path]:
        """What it keeps, but for empty files."""
        return [file for file in self.temporary.rglob("*") if file.is_file() and file.stat().st_size]

    def answer(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """The status and the body of its answer to a request."""
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def server(red_or_blue: Path, cell_detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Not where Python looks for a folder of its own: uploads must not be found by that.
    started = Server(red_or_blue, cell_detector, tmp_path_factory.mktemp("ui") / "temporary")
    yield started
    # What was uploaded is gone, too, where the program is told to stop.
    assert started.stop(signal.SIGTERM) == 128 + signal.SIGTERM and list(started.temporary.iterdir()) == []


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photo, twenty, a group, a text named as a photo, a picture of 100 megapixels, and zips of all sorts."""
    folder = tmp_path_factory.mktemp("album")
    for index in range(20):
        colour = (255, 0, 0) if index % 2 else (0, 0, 255)
        cv2.imwrite(str(folder / f"{index:02}.png"), picture_of_cells({(1, 1): colour})[..., ::-1])
    group = {(0, 0): (255, 0, 0), (0, 3): (0, 0, 255), (2, 1): (255, 0, 0), (3, 3): (0, 0, 255)}
    cv2.imwrite(str(folder / "group.png"), picture_of_cells(group)[..., ::-1])
    (folder / "text.jpg").write_text("no photo")
    Image.new("L", (10_000, 10_000)).save(folder / "huge.png")
    photo = (folder / "00.png").read_bytes()
    with zipfile.ZipFile(folder / "dots.zip", "w") as archive:
        archive.writestr("../../up.png", photo)
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", b"\xff\xd8\xff" + bytes(MEGABYTES * 1_000_000))
    zipfile.ZipFile(folder / "empty.zip", "w").close()
    write_picture(folder / "folder" / "deep" / "in.png", RED)
    return folder


class Page:
    """The page in a browser, as a person uses it."""

    def __init__(self, browser: Any, url: str, script: str = "", **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.add_init_script(script)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.goto(url)
        self.page.wait_for_selector("#classify")

    def classify(self, *files: Path, into: str = "files") -> str:
        """Drop files in the place of those before, press Classify, and give the line that comes."""
        if self.page.locator(f"#{into} button[aria-label=Clear]").count():
            self.page.click(f"#{into} button[aria-label=Clear]")
        self.page.set_input_files(f"#{into} input[type=file]", list(map(str, files)))
        self.page.wait_for_selector(f"#{into} tr.file")
        self._until(f"^{len(files)} files? here")
        self.page.click("#classify")
        self._until(r"^[\d,]+ photos?\.|^Not classified")
        return str(self.page.inner_text("#status"))

    def _until(self, pattern: str) -> None:
        """Wait until the line says this, and nothing of progress stands above it."""
        wanted = "pattern => new RegExp(pattern).test(document.querySelector('#status').innerText)"
        self.page.wait_for_function(wanted, arg=pattern)

    def download(self, button: str) -> str:
        with self.page.expect_download() as started:
            self.page.click(button)
        return Path(started.value.path()).read_bytes().decode("utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def seen(server: Server, browser: Any, album: Path) -> dict[str, Any]:
    """What one browser saw and downloaded, and which files lay there meanwhile and afterwards."""
    seen: dict[str, Any] = {}
    page = Page(browser, server.url, viewport={"width": 1200, "height": 900})
    seen["one"] = page.classify(album / "00.png")
    for name in ("text.jpg", "huge.png", "dots.zip", "bomb.zip", "empty.zip"):
        seen[name] = page.classify(album / name)
        visible = page.page.is_visible("#table")
        seen[f"table of {name}"] = page.page.inner_text("#table") if visible else ""
    seen["twenty"] = page.classify(*sorted(album.glob("[0-9]*.png")))
    seen["twenty.csv"] = page.download("#csv")
    seen["group"] = page.classify(album / "group.png")
    seen["group.csv"], seen["report"] = page.download("#csv"), page.download("#report")
    page.page.click("#explain")
    page.page.wait_for_selector("#explained .bar")
    seen["explained"] = page.page.inner_text("#explained")
    seen["explanations"] = page.page.locator("#explained img").count()
    page.page.fill("#threshold input[type=number]", "1")
    page.page.keyboard.press("Tab")
    page.page.wait_for_function("document.querySelector('#status').innerText.includes('Unsure')")
    seen["threshold"], seen["threshold.csv"] = page.page.inner_text("#status"), page.download("#csv")
    seen["kept"] = [file.name for file in server.files()]
    seen["requests"], seen["complaints"] = page.requests, page.complaints
    page.context.close()
    end = time.monotonic() + PATIENCE
    while server.files() and time.monotonic() < end:
        time.sleep(0.2)
    seen["kept later"] = [file.name for file in server.files()]

    phone = Page(browser, server.url, viewport={"width": 360, "height": 800}, color_scheme="dark")
    seen["folder"] = phone.classify(album / "folder", into="folder")
    seen["width"] = phone.page.evaluate("document.documentElement.scrollWidth")
    seen["background"] = phone.page.evaluate("getComputedStyle(document.body).backgroundColor")
    phone.context.close()
    return seen


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_photos_are_answered_as_by_classify(
    seen: dict[str, Any], album: Path, red_or_blue: Path, cell_detector: Path
) -> None:
    assert seen["one"] == "1 photo. Male 1."
    assert seen["twenty"] == "20 photos. Female 10, Male 10."
    photos = sorted(album.glob("[0-9]*.png"))
    expected = load_classifier(red_or_blue).classify(photos, faces=FaceOptions("all", str(cell_detector)))
    assert [(row["path"], row["prediction"], row["p_female"]) for row in rows(seen["twenty.csv"])] == [
        (Path(row.path).name, row.prediction, f"{row.probabilities[0]:.6f}") for row in expected
    ]


def test_the_line_is_true_where_answers_take_long(server: Server, browser: Any, album: Path) -> None:
    # But for the files, which are there before the answer to what was done before them.
    slow = """
const fetched = window.fetch;
window.fetch = async (...given) => {
  const address = String(given[0].url ?? given[0]);
  if (!address.includes("upload")) await new Promise(resolve => setTimeout(resolve, 700));
  return fetched(...given);
};
"""
    page = Page(browser, server.url, slow)
    assert page.classify(album / "00.png") == "1 photo. Male 1."
    # What is here is said behind "No files here", though that is on its way when they come.
    page.page.set_default_timeout(30_000)
    assert page.classify(album / "01.png") == "1 photo. Female 1."
    page.context.close()


def test_each_face_of_a_group_has_a_row_and_an_explanation(seen: dict[str, Any]) -> None:
    assert seen["group"] == "1 photo. Female 2, Male 2."
    assert [row["face"] for row in rows(seen["group.csv"])] == ["1", "2", "3", "4"]
    # The photo and the map of each.
    assert seen["explanations"] == 8
    assert "face 4" in seen["explained"] and "speaks for Female" in seen["explained"]
    assert "Explained: Female, by occlusion" in seen["explained"]
    assert seen["report"].startswith("<!doctype html>") and "not a person's identity" in seen["report"].replace(
        "&#x27;", "'"
    ).replace("&#39;", "'")


def test_the_threshold_decides_anew(seen: dict[str, Any]) -> None:
    assert seen["threshold"] == "1 photo. Unsure 4."
    before, after = rows(seen["group.csv"]), rows(seen["threshold.csv"])
    assert {row["prediction"] for row in after} == {"Unsure"}
    assert [row["p_male"] for row in before] == [row["p_male"] for row in after]


def test_what_is_no_photo_or_too_much_is_answered_in_words(seen: dict[str, Any]) -> None:
    assert seen["text.jpg"] == "1 photo. No answers. 1 could not be read: see the column error."
    assert "no image of a format that can be read" in seen["table of text.jpg"]
    assert "claims 10000 x 10000 pixels, more than the limit of 64 megapixels" in seen["table of huge.png"]
    assert seen["dots.zip"] == "1 photo. Male 1." and "dots.zip/up.png" in seen["table of dots.zip"]
    assert seen["bomb.zip"].startswith(f"Not classified: more than {MEGABYTES} MB, unpacked")
    assert seen["empty.zip"] == "Not classified: no photos in what was dropped."
    assert not seen["table of empty.zip"]


def test_the_page_asks_nobody_else_and_has_no_error(seen: dict[str, Any], server: Server) -> None:
    asked = {urlsplit(url).netloc for url in seen["requests"] if url.startswith("http")}
    assert asked == {urlsplit(server.url).netloc}
    assert seen["complaints"] == []


def test_nothing_is_kept_once_the_page_is_closed(seen: dict[str, Any]) -> None:
    assert "group.png" in seen["kept"] and "results.csv" in seen["kept"]
    # What was uploaded before it is gone already.
    assert "00.png" not in seen["kept"] and seen["kept later"] == []


def test_a_folder_is_taken_and_the_page_fits_a_phone_in_the_dark(seen: dict[str, Any]) -> None:
    # Neither a face nor an error: a picture of one colour.
    assert seen["folder"].startswith("1 photo.")
    assert seen["width"] == 360
    assert max(map(int, re.findall(r"\d+", seen["background"])[:3])) < 60


def form(name: str, data: bytes) -> tuple[bytes, str]:
    """A form with one file, as a browser sends it, and its content type."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + data + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


def test_no_file_but_uploads_can_be_fetched(server: Server, red_or_blue: Path) -> None:
    body, kind = form("a.png", b"uploaded")
    status, text = server.answer("/gradio_api/upload", body, **{"Content-Type": kind})
    (uploaded,) = json.loads(text)
    assert status == 200 and Path(uploaded).is_relative_to(server.temporary)
    assert server.answer(f"/gradio_api/file={uploaded}") == (200, b"uploaded")
    beside = server.temporary / "beside.txt"
    beside.write_text("secret")
    for path in (
        "/etc/passwd",
        beside,
        red_or_blue,
        f"{uploaded}/../../../beside.txt",
        "setup.cfg",
        "file:///etc/passwd",
    ):
        for route in ("file=", "file/"):
            for shown in (str(path), quote(str(path), safe="")):
                status, text = server.answer(f"/gradio_api/{route}{shown}")
                assert status in (403, 404) and b"secret" not in text and b"root:" not in text, (route, shown)
    beside.unlink()


def called(server: Server, data: list[Any]) -> str:
    """What the server says where a program, not the page, asks it to classify."""
    config = json.loads(server.answer("/config")[1])
    (button,) = (each["id"] for each in config["components"] if each["props"].get("elem_id") == "classify")
    (call,) = (each["id"] for each in config["dependencies"] if [button, "click"] in each["targets"])
    body = json.dumps({"data": data, "fn_index": call, "session_hash": "test"}).encode()
    server.answer("/gradio_api/queue/join", body, **{"Content-Type": "application/json"})
    with urllib.request.urlopen(f"{server.url}gradio_api/queue/data?session_hash=test", timeout=PATIENCE) as stream:
        for line in stream:
            if b"process_completed" in line:
                return str(line.decode())
    raise AssertionError("no answer")


def test_a_file_of_the_machine_is_not_taken_for_an_upload(server: Server, album: Path) -> None:
    for path in ("/etc/passwd", str(album / "00.png"), "http://127.0.0.1:9/a.png"):
        given = {"path": path, "meta": {"_type": "gradio.FileData"}}
        answer = json.loads(called(server, [[given], None, "Every face", 0.5]).removeprefix("data: "))
        assert answer["success"] is False and "root:" not in json.dumps(answer)
    # Nor is it copied to where it could be fetched.
    assert not {"passwd", "00.png"} & {file.name for file in server.files()}


def test_uploads_above_the_limit_and_other_names_of_the_machine_are_refused(server: Server) -> None:
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    with socket.create_connection((str(host), int(port or 0)), timeout=PATIENCE) as connection:
        # Told by its length, before it is sent.
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: {10**9}\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 413 " in connection.recv(4096).splitlines()[0]
    assert server.answer("/", Host="evil.example")[0] == 400
    assert server.answer("/gradio_api/file=http://192.0.2.1/a.png")[0] >= 400


def test_it_serves_this_machine_alone(server: Server) -> None:
    port = urlsplit(server.url).port
    assert urlsplit(server.url).hostname == "127.0.0.1"
    # Another address of this machine.
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", int(port or 0)), timeout=5):
        pass


def test_a_port_in_use_and_a_strange_host_end_in_a_line(server: Server, cli: Cli) -> None:
    port = urlsplit(server.url).port
    assert f"127.0.0.1, port {port}: can't serve there" in one_line_error(cli("ui", "--port", port))
    assert "--host no.such.host.invalid" in one_line_error(cli("ui", "--host", "no.such.host.invalid"))


def test_without_a_detector_it_starts_and_what_was_uploaded_is_deleted_after_ctrl_c(
    red_or_blue: Path, browser: Any, tmp_path: Path
) -> None:
    server = Server(red_or_blue, None, tmp_path / "temporary")
    assert "photos are classified whole: can't fetch the face detector" in server.log.read_text()
    page = Page(browser, server.url, viewport={"width": 1200, "height": 900})
    assert page.page.locator("#faces label").all_inner_texts() == ["None: the photos are cropped faces"]
    page.page.close()
    body, kind = form("a.png", b"uploaded")
    assert server.answer("/gradio_api/upload", body, **{"Content-Type": kind})[0] == 200
    assert len(server.files()) == 1
    assert server.stop(signal.SIGINT) == 130
    assert list(server.temporary.iterdir()) == [] and "Traceback" not in server.log.read_text()
