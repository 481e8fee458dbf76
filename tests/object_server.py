"""A server of photos on loopback that fails as servers do: a web server with pages of links, S3, Google and Azure."""

import asyncio
import contextlib
import hashlib
import html
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from aiohttp import web
from object_uploads import Uploads, conditions_of

# What a photo's answer may be in the place of the photo; a number is a status.
DROP, TRUNCATE, STALL, RESET = "drop", "truncate", "stall", "reset"
Fault = int | str
# A key, its size and its ETag.
Listed = tuple[str, int, str]


@dataclass
class ObjectServer(Uploads):
    """Objects by their keys in one bucket, `photos`, and how each of the next answers to a key fails.

    A request that writes, or looks at an object, has the key `OPERATION KEY` there.

    The last fault of a key stays. An `outage` is a fault of all answers of so many photos, after so many; `latency` are
    seconds before each answer. `page_size` keys stand in a page of a listing; `chunked` answers announce no size; what
    begins with `moved` has moved; with `authorization` photos want that header. `asked` has the keys of photos in the
    order in which they were asked for, and `most_at_once` says of how many requests at one time.
    """

    faults: dict[str, list[Fault]] = field(default_factory=dict)
    outage: tuple[int, Fault, float] | None = None
    latency: float = 0.0
    page_size: int = 1000
    retry_after: str = ""
    chunked: bool = False
    authorization: str = ""
    moved: str = ""
    asked: list[str] = field(default_factory=list)
    pages: int = 0
    most_at_once: int = 0
    port: int = 0
    _now: int = 0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What leads the clients of S3, Google and Azure here, with credentials that are none, and to no other host."""
        account = f"AccountName=account;AccountKey=YQ==;BlobEndpoint={self.url}/account;"
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "STORAGE_EMULATOR_HOST": self.url,
            "FSSPEC_GS_TOKEN": "anon",
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{account}",
        }

    def addresses(self, folder: str) -> dict[str, str]:
        """The addresses of a folder, by their schemes."""
        return {
            **{scheme: f"{scheme}://photos/{folder}/" for scheme in ("s3", "gs", "az")},
            "http": f"{self.url}/web/{quote(folder)}/",
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request of any of its kinds."""
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            return await self._answer(request)
        finally:
            self._now -= 1

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if path.startswith("http://"):
            # Asked as a proxy.
            path = "/" + path.removeprefix("http://").partition("/")[2]
        if self.moved and path.startswith(self.moved):
            return web.Response(status=302, headers={"Location": "/" + path.removeprefix(self.moved)})
        if path.startswith("/storage/v1/b/"):
            bucket, _, key = path.removeprefix("/storage/v1/b/").partition("/o")
            return await self._of_bucket(request, bucket, unquote(key.removeprefix("/")), _google_page)
        if path.startswith("/upload/storage/v1/b/"):
            bucket = path.removeprefix("/upload/storage/v1/b/").partition("/")[0]
            return await self._of_bucket(request, bucket, request.query["name"], _google_page)
        if path.startswith("/account/"):
            bucket, _, key = path.removeprefix("/account/").partition("/")
            return await self._of_bucket(request, bucket, unquote(key), _azure_page)
        if path.startswith("/web/"):
            key = unquote(path.removeprefix("/web/"))
            if not path.endswith("/"):
                return await self._photo(request, key)
            return await self._failed(request, key) or self._links(key)
        bucket, _, key = path.removeprefix("/").partition("/")
        return await self._of_bucket(request, bucket, unquote(key), _s3_page)

    async def _of_bucket(self, request: web.BaseRequest, bucket: str, key: str, page: Any) -> web.StreamResponse:
        if bucket != "photos":
            code = {"closed": 403, "expired": 400}.get(bucket, 404)
            missing = "ContainerNotFound" if page is _azure_page else "NoSuchBucket"
            return self._error(code, {404: missing, 403: "AccessDenied", 400: "ExpiredToken"}[code])
        if key:
            kind = {_s3_page: "s3", _google_page: "google", _azure_page: "azure"}[page]
            if operation := self.operation(kind, request, key):
                named = f"{operation} {key}"
                if self._fault(named) == STALL:
                    await self._ended.wait()
                if failed := await self._failed(request, named):
                    return failed
                return await self.write(kind, operation, request, key)
            return await self._photo(request, key)
        if failed := await self._failed(request, "list"):
            return failed
        self.pages += 1
        query = request.query
        prefix = query.get("prefix", "")
        after = next((query[name] for name in ("continuation-token", "pageToken", "marker") if query.get(name)), "")
        count = min(
            int(next((query[name] for name in ("max-keys", "maxResults", "maxresults") if name in query), 1000)),
            self.page_size,
        )
        keys = sorted((k for k in self.objects if k.startswith(prefix) and k > after), key=str.encode)
        some = keys[:count]
        text = page(
            [(k, len(self.objects[k]), _tag(self.objects[k])) for k in some], some[-1] if len(keys) > count else ""
        )
        kind = "application/json" if text.startswith("{") else "application/xml"
        return web.Response(text=text, content_type=kind)

    def _links(self, folder: str) -> web.StreamResponse:
        self.pages += 1
        inside = {key[len(folder) :].partition("/") for key in self.objects if key.startswith(folder)}
        if not inside:
            return web.Response(status=404)
        names = sorted({name + slash for name, slash, _ in inside}, reverse=True)
        links = "".join(f'<li><a href="{html.escape(quote(name))}">{html.escape(name)}</a></li>\n' for name in names)
        other = '<a href="../">up</a> <a href="?C=M;O=A">by date</a> <a href="/web/elsewhere.jpg">x</a> <a>none</a>'
        page = f'<html><body>{other}<a href="http://127.0.0.1:1/other.jpg">y</a><ul>\n{links}</ul></body></html>'
        return web.Response(text=page, content_type="text/html")

    async def _photo(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        self.asked.append(key)
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return self._error(401, "")
        if failed := await self._failed(request, key):
            return failed
        if key not in self.objects:
            return self._error(404, "NoSuchKey")
        if not self.met(key, conditions_of(request)):
            return self._error(412, "PreconditionFailed")
        data = self.objects[key]
        fault = self._fault(key, pop=True)
        response = web.StreamResponse()
        if self.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(data)
        # Azure's client takes its answers for parts.
        if "x-ms-range" in request.headers:
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes 0-{len(data) - 1}/{len(data)}"
            response.headers["ETag"] = f'"{self.tag(key)}"'
        await response.prepare(request)
        await response.write(data[: len(data) // 2] if fault in (TRUNCATE, STALL) else data)
        if fault == STALL:
            await self._ended.wait()
        if fault == TRUNCATE and request.transport:
            request.transport.close()
        return response

    def _fault(self, key: str, pop: bool = False) -> Fault | None:
        if self.outage and self.outage[0] < len(self.asked) <= self.outage[0] + self.outage[2]:
            return self.outage[1]
        faults = self.faults.get(key, [])
        if pop and len(faults) > 1:
            return faults.pop(0)
        return faults[0] if faults else None

    async def _failed(self, request: web.BaseRequest, key: str) -> web.StreamResponse | None:
        fault = self._fault(key)
        if fault in (None, 200, TRUNCATE, STALL):
            return None
        self._fault(key, pop=True)
        if isinstance(fault, int):
            return self._error(fault, {503: "SlowDown", 403: "AccessDenied", 404: "NoSuchKey"}.get(fault, ""))
        if request.transport:
            request.transport.abort() if fault == RESET else request.transport.close()
        return web.Response()

    def _error(self, status: int, code: str) -> web.Response:
        headers = {"x-ms-error-code": code} if code else {}
        if self.retry_after:
            headers["Retry-After"] = self.retry_after
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml", headers=headers)


def _tag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _s3_page(entries: list[Listed], token: str) -> str:
    keys = "".join(
        f"<Contents><Key>{quote(key)}</Key><Size>{size}</Size><ETag>&quot;{tag}&quot;</ETag></Contents>"
        for key, size, tag in entries
    )
    more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><IsTruncated>{str(bool(token)).lower()}</IsTruncated>{more}{keys}"
        "</ListBucketResult>"
    )


def _google_page(entries: list[Listed], token: str) -> str:
    items = [{"name": key, "size": str(size), "etag": tag} for key, size, tag in entries]
    return json.dumps({**({"items": items} if items else {}), **({"nextPageToken": token} if token else {})})


def _azure_page(entries: list[Listed], token: str) -> str:
    blobs = "".join(
        f"<Blob><Name>{escape(key)}</Name><Properties><Content-Length>{size}</Content-Length>"
        f"<Etag>{tag}</Etag><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for key, size, tag in entries
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{blobs}</Blobs>'
        f"<NextMarker>{escape(token)}</NextMarker></EnumerationResults>"
    )


class _Served(Protocol):
    port: int
    _ended: asyncio.Event

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse: ...


Served = TypeVar("Served", bound=_Served)


@contextlib.contextmanager
def serving(server: Served, certificate: str = "") -> Iterator[Served]:
    """Have a server serve on a port of loopback, on a thread of its own; by TLS with a file of certificate and key."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def serve() -> None:
        # A body that is refused is not waited for.
        handler = web.Server(server.answer, lingering_time=0)
        runner = web.ServerRunner(handler, shutdown_timeout=0)
        await runner.setup()
        tls = None
        if certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
        site = web.TCPSite(runner, "127.0.0.1", server.port, ssl_context=tls)
        await site.start()
        server.port = runner.addresses[0][1]
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            server._ended.set()
            transports = [connection.transport for connection in handler.connections]
            await runner.cleanup()
            # What had connected meanwhile.
            await asyncio.sleep(0.02)
            transports += [connection.transport for connection in handler.connections]
            await handler.shutdown(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*left, return_exceptions=True)
            for transport in transports:
                # One that a client does not read from would wait to be written.
                if transport:
                    transport.abort()
            await asyncio.sleep(0.02)

    task = loop.create_task(serve())

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the server does not start")
    yield server
    loop.call_soon_threadsafe(task.cancel)
    thread.join(10)
    server._ended = asyncio.Event()


def main() -> None:
    """Serve until killed: photos of a folder, with a latency in milliseconds; prints the address."""
    import sys
    from pathlib import Path

    folder = Path(sys.argv[1])
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with serving(ObjectServer(files, latency=float(sys.argv[2]) / 1000)) as server:
        print(server.url, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
