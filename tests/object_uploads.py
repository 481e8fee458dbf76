"""What the server of photos on loopback takes: uploads as S3, Google and Azure have them, each on its conditions."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from aiohttp import web

_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Upload:
    """An upload that is begun: its key, what is stored beside its bytes, its condition, and its pieces."""

    key: str
    beside: dict[str, str]
    condition: dict[str, str]
    pieces: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Uploads:
    """Objects, and uploads under way.

    `writes` has each request that writes, as `finish set/r.csv`, and `on_write` what happens before it is answered. So
    many `lost_answers` to requests that write an object are none: what they ask for is done, and the connection ends.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    beside: dict[str, dict[str, str]] = field(default_factory=dict)
    begun: dict[str, Upload] = field(default_factory=dict)
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    largest: int = 0
    lost_answers: int = 0
    on_write: dict[str, Callable[[], None]] = field(default_factory=dict)

    def put(self, key: str, data: bytes) -> None:
        """Have others write an object."""
        self.objects[key] = data
        self.beside.pop(key, None)

    def tag(self, key: str) -> str:
        """What changes with each version."""
        return hashlib.md5(self.objects[key], usedforsecurity=False).hexdigest()

    def generation(self, key: str) -> str:
        """As `tag`, a number, as Google has it."""
        return str(int(self.tag(key)[:8], 16) + 1)

    def met(self, key: str, condition: dict[str, str]) -> bool:
        """Whether the conditions of a request are met."""
        there = key in self.objects
        if "none" in condition:
            return not there
        if "generation" in condition:
            return condition["generation"] == (self.generation(key) if there else "0")
        return "match" not in condition or (there and condition["match"].strip('"') == self.tag(key))

    def operation(self, kind: str, request: web.BaseRequest, key: str) -> str:
        """What a request that does not read does, "" for one that reads."""
        method, query = request.method, request.query
        if method == "HEAD" or (kind == "google" and method == "GET" and key and query.get("alt") != "media"):
            return "stat"
        if method == "DELETE":
            return "cancel" if "uploadId" in query or "upload" in query else "remove"
        if method == "POST":
            return "finish" if "uploadId" in query else "begin"
        if method == "PUT":
            last = query.get("comp") == "blocklist" or (kind == "azure" and "comp" not in query)
            return "finish" if last else "piece"
        return ""

    async def write(self, kind: str, operation: str, request: web.BaseRequest, key: str) -> web.StreamResponse:
        """Answer a request that does not read."""
        if "Expect" in request.headers and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Not `request.read`, which takes 1 MB at most.
        data = await request.content.read()
        self.largest = max(self.largest, len(data))
        headers = request.headers
        if operation != "stat":
            self.writes.append(f"{operation} {key}")
            if happens := self.on_write.get(self.writes[-1]):
                happens()
        condition = conditions_of(request)
        beside = {
            name.partition("-meta-")[2].lower(): value for name, value in headers.items() if "-meta-" in name.lower()
        }
        if operation == "stat":
            return self._stat(kind, key)
        if operation == "remove":
            self.objects.pop(key, None)
            return web.Response(status=202 if kind == "azure" else 204)
        before = self.objects.get(key)
        answer = {"s3": self._s3, "google": self._google, "azure": self._azure}[kind](
            operation, request, key, data, beside, condition
        )
        if self.lost_answers and self.objects.get(key) != before and request.transport:
            self.lost_answers -= 1
            request.transport.abort()
        return answer

    def _stat(self, kind: str, key: str) -> web.StreamResponse:
        if key not in self.objects:
            return web.Response(status=404, headers={"x-ms-error-code": "BlobNotFound"} if kind == "azure" else {})
        size, beside = len(self.objects[key]), self.beside.get(key, {})
        if kind == "google":
            about = {"size": str(size), "generation": self.generation(key), "updated": _TIME.isoformat()}
            return web.json_response({**about, "metadata": beside})
        start = "x-amz-meta-" if kind == "s3" else "x-ms-meta-"
        headers = {start + name: value for name, value in beside.items()}
        headers |= {"ETag": f'"{self.tag(key)}"', "Last-Modified": _TIME.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if kind == "azure":
            headers["x-ms-blob-type"] = "BlockBlob"
        return web.Response(headers={**headers, "Content-Length": str(size)})

    def _done(self, key: str, data: bytes, beside: dict[str, str], condition: dict[str, str]) -> bool:
        if not self.met(key, condition):
            return False
        self.objects[key], self.beside[key] = data, beside
        return True

    def _s3(
        self,
        operation: str,
        request: web.BaseRequest,
        key: str,
        data: bytes,
        beside: dict[str, str],
        condition: dict[str, str],
    ) -> web.StreamResponse:
        if operation == "begin":
            name = f"upload{len(self.writes)}"
            self.begun[name] = Upload(key, beside, {})
            return _xml(f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>")
        upload = self.begun.get(request.query["uploadId"])
        if upload is None or upload.key != key:
            return _xml("<Error><Code>NoSuchUpload</Code></Error>", 404)
        if operation == "cancel":
            del self.begun[request.query["uploadId"]]
            return web.Response(status=204)
        if operation == "piece":
            if request.headers.get("Content-Encoding") == "aws-chunked":
                data = _unchunked(data)
            upload.pieces[int(request.query["partNumber"])] = data
            return web.Response(headers={"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'})
        numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)<", data)]
        whole = b"".join(upload.pieces[number] for number in numbers)
        if not self._done(key, whole, upload.beside, condition):
            return _xml("<Error><Code>PreconditionFailed</Code></Error>", 412)
        del self.begun[request.query["uploadId"]]
        return _xml(f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key></CompleteMultipartUploadResult>")

    def _google(
        self,
        operation: str,
        request: web.BaseRequest,
        key: str,
        data: bytes,
        beside: dict[str, str],
        condition: dict[str, str],
    ) -> web.StreamResponse:
        if operation == "begin":
            if not self.met(key, condition):
                return web.Response(status=412)
            name = f"upload{len(self.writes)}"
            self.begun[name] = Upload(key, json.loads(data)["metadata"], condition)
            url = f"http://{request.host}/upload/storage/v1/b/photos/o?name={key}&upload={name}"
            return web.Response(headers={"Location": url})
        upload = self.begun[request.query["upload"]]
        if operation == "cancel":
            del self.begun[request.query["upload"]]
            return web.Response(status=499)
        begin, end, size = map(int, re.findall(r"\d+", request.headers["Content-Range"]))
        upload.pieces[begin] = data
        if end + 1 < size:
            return web.Response(status=308, headers={"Range": f"bytes=0-{end}"})
        whole = b"".join(upload.pieces[begin] for begin in sorted(upload.pieces))
        return web.Response(status=200 if self._done(key, whole, upload.beside, upload.condition) else 412)

    def _azure(
        self,
        operation: str,
        request: web.BaseRequest,
        key: str,
        data: bytes,
        beside: dict[str, str],
        condition: dict[str, str],
    ) -> web.StreamResponse:
        headers = {"ETag": '"0"', "Last-Modified": _TIME.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if operation == "piece":
            self.blocks.setdefault(key, {})[request.query["blockid"]] = data
            return web.Response(status=201, headers=headers)
        names = re.findall(r"<Latest>(.*?)</Latest>", data.decode()) if "comp" in request.query else []
        whole = b"".join(self.blocks[key][name] for name in names)
        if not self._done(key, whole, beside, condition):
            return web.Response(status=412, headers={"x-ms-error-code": "ConditionNotMet"})
        return web.Response(status=201, headers=headers)


def conditions_of(request: web.BaseRequest) -> dict[str, str]:
    """What a request wants the object to be."""
    headers, query = request.headers, request.query
    found = {
        "match": headers.get("If-Match"),
        "none": headers.get("If-None-Match"),
        "generation": query.get("ifGenerationMatch"),
    }
    return {name: value for name, value in found.items() if value}


def _xml(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=f"<?xml version='1.0'?>{text}", content_type="application/xml")


def _unchunked(data: bytes) -> bytes:
    """The bytes of a body in chunks, each behind its size, with a check sum at the end."""
    found = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        found, data = found + rest[:length], rest[length + 2 :]
    return found
