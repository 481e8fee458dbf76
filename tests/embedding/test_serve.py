"""exports/web/serve.js, which people copy: it gives this computer the files of its folder, and nobody else anything."""

import http.client
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

WEB = Path(__file__).parent.parent.parent / "exports" / "web"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server over a copy of the folder, in which links lead out."""
    if not (node := shutil.which("node")):
        pytest.skip("no node on this machine")
    folder = tmp_path_factory.mktemp("web")
    for name in ("serve.js", "index.html", "package.json", "style.css"):
        shutil.copy(WEB / name, folder)
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("secret")
    (folder / "out.txt").symlink_to(secret)
    (folder / "folder").symlink_to(secret.parent)
    (folder / "inside.css").symlink_to(folder / "style.css")
    with subprocess.Popen([node, "serve.js", "0"], cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield int(server.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        server.kill()


def asked(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_folders_files_are_served_to_this_computer(port: int) -> None:
    assert asked(port, "/") == (200, (WEB / "index.html").read_bytes())
    assert asked(port, "/inside.css")[0] == 200
    assert asked(port, "/style.css", host=f"localhost:{port}")[0] == 200
    assert asked(port, "/style.css", "HEAD") == (200, b"")


@pytest.mark.parametrize(
    "path", ["/out.txt", "/folder/secret.txt", "/..%2f..%2fetc/passwd", "/%2e%2e/x", "/%ff", "/no"]
)
def test_nothing_outside_the_folder_is_served(port: int, path: str) -> None:
    assert asked(port, path) == (404, b"not here\n")


def test_other_methods_and_hosts_are_refused(port: int) -> None:
    assert asked(port, "/", "POST")[0] == 405
    assert asked(port, "/", "DELETE")[0] == 405
    assert asked(port, "/", host="evil.example")[0] == 421
    assert asked(port, "/", host=f"evil.example:{port}")[0] == 421
