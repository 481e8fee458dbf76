"""Objects written to S3, and to stores that speak as it does: as multipart uploads."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from batchgender.errors import UserError
from batchgender.photos.places.remote.answers import Refused
from batchgender.photos.places.remote.s3 import S3
from batchgender.photos.places.remote.store import CHUNK
from batchgender.photos.places.remote.writable import DIGEST, About, Piece, Stored, Write, as_changed

_NOT_IMPLEMENTED = 501


class S3Uploads(S3):
    """A bucket of S3 that is written to."""

    async def stat(self, key: str) -> Stored | None:
        """What is there, None where nothing is."""
        try:
            found = await self._asked("head_object", Key=key)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        digest = found.get("Metadata", {}).get(DIGEST, "")
        return Stored(found["ContentLength"], found["ETag"], found["LastModified"].timestamp(), digest)

    async def fetch(self, key: str, tag: str, write: Write) -> None:
        """Pass the bytes of this version on."""
        try:
            answer = await self._asked("get_object", Key=key, IfMatch=tag)
        except Refused as refused:
            raise as_changed(refused, tag) from refused
        try:
            async with answer["Body"] as body:
                async for chunk in body.iter_chunks(CHUNK):
                    write(chunk)
        except UserError:
            raise
        except Exception as error:
            raise self._meant(error) from error

    async def check(self, key: str) -> None:
        """Begin an upload and cancel it: that takes no more than the right to write, and leaves nothing."""
        upload = await self.begin(key, About(0, "", ""), None)
        # Who may write need not be allowed to do this; what is left has no bytes.
        with suppress(Refused):
            await self.cancel(key, upload)

    async def begin(self, key: str, about: About, expected: str | None) -> str:
        """Begin an upload; its name."""
        kind = {"ContentType": about.kind} if about.kind else {}
        answer = await self._asked("create_multipart_upload", Key=key, Metadata={DIGEST: about.digest}, **kind)
        return str(answer["UploadId"])

    async def piece(self, key: str, upload: str, about: About, piece: Piece, data: bytes) -> dict[str, Any]:
        """Upload a part; its number, its ETag and its check sums."""
        number = piece.number + 1
        answer = await self._asked("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data)
        sums = {name: sum for name, sum in answer.items() if name.startswith("Checksum") and name != "ChecksumType"}
        return {"PartNumber": number, "ETag": answer["ETag"], **sums}

    async def finish(
        self, key: str, upload: str, about: About, pieces: Sequence[dict[str, Any]], expected: str | None
    ) -> None:
        """Have the object be there."""
        condition = {"IfMatch": expected} if expected else {} if expected is None else {"IfNoneMatch": "*"}
        whole = {"Key": key, "UploadId": upload, "MultipartUpload": {"Parts": list(pieces)}}
        try:
            await self._asked("complete_multipart_upload", **whole, **condition)
        except Refused as refused:
            # A store that knows no conditions: what is there was looked at just before.
            if refused.status != _NOT_IMPLEMENTED or not condition:
                raise as_changed(refused, expected) from refused
            await self._asked("complete_multipart_upload", **whole)

    async def cancel(self, key: str, upload: str) -> None:
        """Have nothing left of an upload."""
        await self._asked("abort_multipart_upload", Key=key, UploadId=upload)

    async def remove(self, key: str) -> None:
        """Remove an object."""
        await self._asked("delete_object", Key=key)

    async def _asked(self, method: str, **arguments: Any) -> Any:
        try:
            return await self._call(method, **arguments)
        except UserError:
            raise
        except Exception as error:
            raise self._meant(error) from error
