"""A server that speaks what huggingface_hub and datasets ask of the Hub; `object_server.serving` has it serve."""

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from aiohttp import web

TOKEN = "hf_aTokenThatNobodyShouldEverSee"
# Larger files go to the store of large files.
_LARGE = 10_000


@dataclass
class Repository:
    """The files of each revision: its commit, and the files by their paths. The first is `main`."""

    revisions: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    private: bool = False
    gated: bool = False

    def find(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit and the files of a revision, by its name or its commit."""
        for name, files in self.revisions.items():
            commit = hashlib.sha1(json.dumps([name, *map(_sha256, files.values()), *files]).encode()).hexdigest()
            if revision in (name, commit):
                return commit, files
        return None


@dataclass
class HubServer:
    """Repositories by "models/OWNER/NAME" and "datasets/OWNER/NAME"; private and gated ones want TOKEN.

    Who commits is `somebody`. With `broken` all answers have this status, with `truncated` large files break off.
    `asked` has the requests in their order.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    broken: int = 0
    truncated: bool = False
    asked: list[str] = field(default_factory=list)
    port: int = 0
    _large: dict[str, bytes] = field(default_factory=dict)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, home: Path, token: str = "") -> dict[str, str]:
        """What leads a process here, and to no other host, with a cache of its own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        # The other protocol of uploads, Xet's, is compiled, and asks hosts of its own.
        ours = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "no_proxy": "127.0.0.1,localhost",
        }
        return {**kept, **ours, **({"HF_TOKEN": token} if token else {})}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request of any kind."""
        path = unquote(request.raw_path.partition("?")[0])
        self.asked.append(f"{request.method} {path}")
        if self.broken:
            return web.Response(status=self.broken)
        parts = path.strip("/").split("/")
        known = request.headers.get("Authorization")
        if known not in (None, f"Bearer {TOKEN}"):
            return _refused(401, "", "Invalid credentials in Authorization header")
        if path == "/":
            return web.Response()
        if path == "/api/repos/create":
            return self._create(await request.json(), bool(known))
        if path == "/api/validate-yaml":
            return _validated((await request.json())["content"])
        if parts[0] == "store":
            if known and request.method == "GET":
                # The store is another's: no token goes there.
                return web.Response(status=400)
            return await self._store(request, parts[1])
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._uploads(await request.json())
        kind = "datasets" if "datasets" in parts[:2] else "models"
        api = parts[0] == "api"
        rest = [part for part in parts if part not in ("api", kind)]
        name = f"{kind}/{'/'.join(rest[:2])}"
        repository = self.repositories.get(name)
        if repository is None or (repository.private and not known):
            # As the Hub: who may not see it learns nothing of it.
            return _refused(404 if known else 401, "RepoNotFound", "Repository not found")
        if repository.gated and not known and not (api and len(rest) == 2):
            return _refused(401, "GatedRepo", "Access to this model is restricted")
        if rest[2:3] == ["preupload"]:
            files = (await request.json())["files"]
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["size"] > _LARGE else "regular",
                    "shouldIgnore": False,
                }
                for each in files
            ]
            return web.json_response({"files": modes})
        if rest[2:3] == ["commit"]:
            if name.split("/")[1] != "somebody":
                return _refused(403, "", "You don't have the rights to push to this repo")
            return self._commit(name, repository, await request.text())
        revision, inside = (rest[3], "/".join(rest[4:])) if len(rest) > 3 else ("main", "")
        if not (found := repository.find(revision)):
            return _refused(404, "RevisionNotFound", "Invalid rev id")
        if not api:
            return self._file(request, *found, inside)
        if rest[2:3] == ["tree"]:
            return _tree(found[1], inside, "recursive" in request.query)
        if rest[2:3] == ["paths-info"]:
            form = await request.post()
            files = [path for path in form.getall("paths", []) if path in found[1]]
            return web.json_response([_entry(str(path), found[1][str(path)]) for path in files])
        about = {
            "id": name.partition("/")[2],
            "sha": found[0],
            "private": repository.private,
            "gated": "auto" if repository.gated else False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": path} for path in found[1]],
        }
        return web.json_response(about)

    def _create(self, asked: dict[str, Any], known: bool) -> web.Response:
        name = f"models/{asked.get('organization') or 'somebody'}/{asked['name']}"
        if not known:
            return _refused(401, "", "Invalid username or password.")
        if name in self.repositories:
            return web.json_response({"url": f"{self.url}/{name[7:]}", "error": "exists already"}, status=409)
        if name.split("/")[1] != "somebody":
            return _refused(403, "", "You don't have the rights to create a model under this namespace")
        private = asked.get("private", asked.get("visibility") == "private")
        self.repositories[name] = Repository(private=bool(private))
        return web.json_response({"url": f"{self.url}/{name[7:]}", "name": name[7:], "id": "0"})

    def _uploads(self, asked: dict[str, Any]) -> web.Response:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.url}/store/{each['oid']}"}}} for each in asked["objects"]
        ]
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _store(self, request: web.BaseRequest, digest: str) -> web.StreamResponse:
        if request.method == "PUT":
            data = await request.read()
            if _sha256(data) != digest:
                return web.Response(status=400)
            self._large[digest] = data
            return web.Response()
        data = self._large[digest]
        if self.truncated:
            response = web.StreamResponse()
            response.content_length = len(data)
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
            if request.transport:
                request.transport.abort()
            return response
        return _bytes(request, data)

    def _commit(self, name: str, repository: Repository, text: str) -> web.Response:
        files = repository.revisions["main"]
        for line in map(json.loads, text.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self._large[value["oid"]]
        found = repository.find("main")
        assert found
        about = {"success": True, "commitOid": found[0], "commitUrl": f"{self.url}/{name[7:]}/commit/{found[0]}"}
        return web.json_response(about)

    def _file(self, request: web.BaseRequest, commit: str, files: dict[str, bytes], path: str) -> web.StreamResponse:
        if path not in files:
            return _refused(404, "EntryNotFound", "Entry not found", commit)
        data = files[path]
        digest = _sha256(data)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"'}
        if len(data) <= _LARGE:
            return _bytes(request, data, headers)
        self._large[digest] = data
        large = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        # Another host than the Hub's, as that of its large files is.
        location = f"http://localhost:{self.port}/store/{digest}"
        return web.Response(status=302, headers={**headers, **large, "Location": location})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _bytes(request: web.BaseRequest, data: bytes, headers: dict[str, str] | None = None) -> web.Response:
    if found := request.http_range if "Range" in request.headers else None:
        start, stop = found.start or 0, min(found.stop or len(data), len(data))
        part = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}", **(headers or {})}
        return web.Response(status=206, body=data[start:stop], headers=part)
    return web.Response(body=data, headers=headers)


def _refused(status: int, code: str, message: str, commit: str = "") -> web.Response:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return web.json_response(
        {"error": message}, status=status, headers={**headers, **({"X-Repo-Commit": commit} if commit else {})}
    )


def _validated(content: str) -> web.Response:
    """Refuse what the Hub refuses in a card's head: no YAML, and a licence that it does not list."""
    head = yaml.safe_load(content.split("---\n")[1])
    listed = ("mit", "apache-2.0", "cc-by-nc-4.0", "other")
    errors = [] if head.get("license", "other") in listed else [{"message": '"license" must be one of [...]'}]
    return web.json_response({"errors": errors, "warnings": []}, status=400 if errors else 200)


def _entry(path: str, data: bytes) -> dict[str, Any]:
    large = {"lfs": {"oid": _sha256(data), "size": len(data), "pointerSize": 134}} if len(data) > _LARGE else {}
    return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest(), **large}


def _tree(files: dict[str, bytes], folder: str, recursive: bool) -> web.Response:
    prefix = f"{folder}/" if folder else ""
    inside = {path: data for path, data in files.items() if path.startswith(prefix)}
    if folder and not inside:
        return _refused(404, "EntryNotFound", "Entry not found")
    folders = {prefix + path[len(prefix) :].rpartition("/")[0] for path in inside if "/" in path[len(prefix) :]}
    if not recursive:
        folders = {prefix + each[len(prefix) :].partition("/")[0] for each in folders}
        inside = {path: data for path, data in inside.items() if "/" not in path[len(prefix) :]}
    entries = [{"type": "directory", "path": each, "size": 0, "oid": "0" * 40} for each in sorted(folders)]
    return web.json_response([*entries, *(_entry(path, data) for path, data in inside.items())])


# Runs command lines one after the other in this process, which knows the Hub by its environment alone.
_PROGRAM = """
import json, sys
from click.testing import CliRunner
from batchgender.cli import main

ended = []
for line in json.load(sys.stdin):
    result = CliRunner().invoke(main, line)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    ended.append([result.exit_code, result.stdout, result.stderr])
print(json.dumps(ended))
"""


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one line of an error that a user can cause."""
        assert self.exit_code == 1, self
        last = self.stderr.splitlines()[-1]
        assert last.startswith("Error: ") and self.stderr.count("Error: ") == 1 and "Traceback" not in self.stderr
        return last


def run_lines(environment: dict[str, str], *lines: Sequence[object]) -> list[Ended]:
    """Run command lines of batchgender in one other process of this environment."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([[str(word) for word in line] for line in lines]),
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return [Ended(*each) for each in json.loads(done.stdout)]
