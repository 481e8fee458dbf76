import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from batchgender.errors import UserError
from batchgender.faces import detector_file
from batchgender.faces.detector_file import fetch_detector, find_detector
from batchgender.io import silent


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the detector in a cache folder of this test."""
    file = tmp_path / "cache" / detector_file.NAME
    monkeypatch.setattr(detector_file, "cached_detector", lambda: file)
    monkeypatch.delenv("BATCHGENDER_DETECTOR", raising=False)
    return file


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bytes], None]]:
    """Have the detector's address answer with this status and body."""
    answer: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer[-1]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(detector_file, "URL", f"http://127.0.0.1:{server.server_port}/detector.onnx")
    yield lambda status, body: answer.append((status, body))
    server.shutdown()
    server.server_close()


def test_it_is_fetched_once_and_then_found(cache: Path, served: Callable[[int, bytes], None], yunet: Path) -> None:
    served(200, yunet.read_bytes())
    assert find_detector(None, silent) == str(cache)
    assert cache.read_bytes() == yunet.read_bytes() and list(cache.parent.iterdir()) == [cache]
    served(500, b"")
    assert find_detector(None, silent) == str(cache)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>log in</html>", "not the face detector, but 19 other bytes; a proxy may have answered"),
        (200, bytes(detector_file.SIZE), "not the face detector"),
        (200, bytes(10 * detector_file.SIZE), "not the face detector"),
        (404, b"", "HTTP 404"),
    ],
)
def test_another_file_is_not_kept(
    cache: Path, served: Callable[[int, bytes], None], status: int, body: bytes, message: str
) -> None:
    served(status, body)
    with pytest.raises(UserError, match=message) as error:
        fetch_detector(silent)
    assert "\n" not in str(error.value) and "--detector" in str(error.value)
    assert not cache.exists()


def test_a_damaged_copy_is_fetched_again(cache: Path, served: Callable[[int, bytes], None], yunet: Path) -> None:
    cache.parent.mkdir()
    cache.write_bytes(bytes(detector_file.SIZE))
    served(200, yunet.read_bytes())
    assert find_detector(None, silent) == str(cache)
    assert cache.read_bytes() == yunet.read_bytes()


def test_no_answer_is_one_line_that_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_file, "URL", "http://127.0.0.1:9/detector.onnx")
    with pytest.raises(UserError, match=r"no answer from 127.0.0.1:9 \(Connection refused\).*--faces off"):
        find_detector(None, silent)


def test_a_cache_that_can_not_be_written_is_one_line(
    cache: Path, served: Callable[[int, bytes], None], yunet: Path
) -> None:
    served(200, yunet.read_bytes())
    cache.parent.write_text("a file in the place of the folder")
    with pytest.raises(UserError, match="can't keep the face detector"):
        find_detector(None, silent)


def test_a_file_that_is_named_goes_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = tmp_path / "mine.onnx", tmp_path / "other.onnx"
    mine.touch()
    other.touch()
    monkeypatch.setenv("BATCHGENDER_DETECTOR", str(other))
    assert find_detector(str(mine), silent) == str(mine) and find_detector(None, silent) == str(other)
    with pytest.raises(UserError, match="--detector: .*no such file"):
        find_detector(str(tmp_path / "none.onnx"), silent)
    monkeypatch.setenv("BATCHGENDER_DETECTOR", str(tmp_path / "none.onnx"))
    with pytest.raises(UserError, match="BATCHGENDER_DETECTOR: .*no such file"):
        find_detector(None, silent)


def test_the_command_says_in_one_line_that_there_is_no_network(tmp_path: Path) -> None:
    environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    line = [sys.executable, "-m", "batchgender", "fetch-detector"]
    run = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and run.stderr.startswith("Error: can't fetch the face detector")
    assert run.stderr.count("\n") == 1 and run.stdout == ""
