"""Objects written to Google Cloud Storage: as resumable uploads."""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote

from batchgender.photos.places.remote.answers import Refused, TryAgain
from batchgender.photos.places.remote.google import Google
from batchgender.photos.places.remote.store import CHUNK
from batchgender.photos.places.remote.writable import DIGEST, About, Piece, Stored, Write, as_changed

# Bytes that the description of an object may have.
_LIMIT = 2**20
# A piece that is taken and not the last, and an upload that is cancelled.
_GO_ON, _CANCELLED = 308, 499


class GoogleUploads(Google):
    """A bucket of Google Cloud Storage that is written to. Tags are generations."""

    _access = "read_write"

    async def stat(self, key: str) -> Stored | None:
        """What is there, None where nothing is."""
        fields = {"fields": "size,generation,updated,metadata"}
        try:
            found = json.loads(await self._answer(_path(key), fields, _LIMIT))
        except Refused as refused:
            # Whether the bucket is missing shows once it is written to.
            if refused.status == 404:
                return None
            raise
        modified = datetime.fromisoformat(found["updated"]).timestamp()
        return Stored(int(found["size"]), found["generation"], modified, found.get("metadata", {}).get(DIGEST, ""))

    async def fetch(self, key: str, tag: str, write: Write) -> None:
        """Pass the bytes of this version on."""
        try:
            async with self._answered("GET", self._url(_path(key)), {"alt": "media", **_condition(tag)}) as answer:
                async for chunk in answer.content.iter_chunked(CHUNK):
                    write(chunk)
        except Refused as refused:
            raise as_changed(refused, tag) from refused

    async def check(self, key: str) -> None:
        """Begin an upload and cancel it: that takes no more than the right to write, and leaves nothing."""
        await self.cancel(key, await self.begin(key, About(0, "", ""), None))

    async def begin(self, key: str, about: About, expected: str | None) -> str:
        """Begin an upload; its URL, which is secret."""
        url = self._url("").replace("/storage/v1/", "/upload/storage/v1/", 1)
        described = {"metadata": {DIGEST: about.digest}, **({"contentType": about.kind} if about.kind else {})}
        query = {"uploadType": "resumable", "name": key, **_condition(expected)}
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        try:
            data = json.dumps(described).encode()
            async with self._answered("POST", url, query, headers=headers, data=data) as answer:
                return str(answer.headers["Location"])
        except Refused as refused:
            raise as_changed(refused, expected) from refused

    async def piece(self, key: str, upload: str, about: About, piece: Piece, data: bytes) -> None:
        """Upload a piece; the last one ends the upload. What a try before left is passed over by the store."""
        end = piece.begin + len(data)
        place = f"bytes {piece.begin}-{end - 1}/{about.size}" if data else f"bytes */{about.size}"
        headers = {"Content-Range": place}
        try:
            async with self._answered("PUT", upload, {}, (200, 201, _GO_ON), headers, data) as answer:
                taken = answer.headers.get("Range", "").rpartition("-")[2]
                if answer.status == _GO_ON and taken != str(end - 1):
                    raise TryAgain("a piece was not taken whole", cut=True)
        except Refused as refused:
            raise as_changed(refused, "") from refused

    async def finish(self, key: str, upload: str, about: About, pieces: Sequence[Any], expected: str | None) -> None:
        """Nothing: the last piece has ended it, on the condition that it was begun with."""

    async def cancel(self, key: str, upload: str) -> None:
        """Have nothing left of an upload."""
        with suppress(Refused):
            async with self._answered("DELETE", upload, {}, (204, _CANCELLED)):
                pass

    async def remove(self, key: str) -> None:
        """Remove an object."""
        async with self._answered("DELETE", self._url(_path(key)), {}, (200, 204)):
            pass


def _path(key: str) -> str:
    return f"/{quote(key, safe='')}"


def _condition(expected: str | None) -> dict[str, str]:
    """The generation that is expected: 0 stands for no object."""
    return {} if expected is None else {"ifGenerationMatch": expected or "0"}
