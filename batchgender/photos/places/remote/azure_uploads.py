"""Blobs written to Azure Blob Storage: in blocks, which are committed at the end."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from batchgender.errors import UserError
from batchgender.photos.places.remote.answers import Refused
from batchgender.photos.places.remote.azure import LIMITS, Azure
from batchgender.photos.places.remote.writable import CONDITION_NOT_MET, DIGEST, About, Piece, Stored, Write, as_changed

# An ETag that no blob has.
_IMPOSSIBLE = '"0x0"'
_NO_CONTAINER = "ContainerNotFound"


class AzureUploads(Azure):
    """A container of Azure Blob Storage that is written to."""

    async def stat(self, key: str) -> Stored | None:
        """What is there, None where nothing is."""
        try:
            found = await self._container.get_blob_client(key).get_blob_properties(**LIMITS)
        except Exception as error:
            meant = self._meant(error)
            if isinstance(meant, Refused) and meant.status == 404 and _NO_CONTAINER not in meant.reason:
                return None
            raise meant from error
        return Stored(found.size, found.etag, found.last_modified.timestamp(), (found.metadata or {}).get(DIGEST, ""))

    async def fetch(self, key: str, tag: str, write: Write) -> None:
        """Pass the bytes of this version on."""
        try:
            answer = await self._container.download_blob(key, **_condition(tag), **LIMITS)
            async for chunk in answer.chunks():
                write(chunk)
        except UserError:
            raise
        except Exception as error:
            raise as_changed(self._meant(error), tag) from error

    async def check(self, key: str) -> None:
        """Write on a condition that no blob meets: rights are looked at before it, and nothing is written."""
        try:
            await self._container.get_blob_client(key).upload_blob(b"", **_condition(_IMPOSSIBLE), **LIMITS)
        except Exception as error:
            meant = self._meant(error)
            missing = isinstance(meant, Refused) and meant.status == 404 and _NO_CONTAINER not in meant.reason
            if not (isinstance(meant, Refused) and (meant.status in CONDITION_NOT_MET or missing)):
                raise meant from error

    async def begin(self, key: str, about: About, expected: str | None) -> str:
        """Nothing: blocks are uploaded under their own names."""
        return about.digest

    async def piece(self, key: str, upload: str, about: About, piece: Piece, data: bytes) -> str:
        """Upload a block; its name."""
        # Names of one blob's blocks have one length; those of another upload are others.
        name = b64encode(f"{upload[:32]}{piece.number:06}".encode()).decode()
        try:
            await self._container.get_blob_client(key).stage_block(name, data, length=len(data), **LIMITS)
        except Exception as error:
            raise self._meant(error) from error
        return name

    async def finish(self, key: str, upload: str, about: About, pieces: Sequence[str], expected: str | None) -> None:
        """Commit the blocks."""
        from azure.storage.blob import BlobBlock, ContentSettings

        settings = {"metadata": {DIGEST: about.digest}, "content_settings": ContentSettings(about.kind or None)}
        try:
            await self._container.get_blob_client(key).commit_block_list(
                [BlobBlock(name) for name in pieces], **settings, **_condition(expected), **LIMITS
            )
        except Exception as error:
            raise as_changed(self._meant(error), expected) from error

    async def cancel(self, key: str, upload: str) -> None:
        """Nothing: blocks that are not committed go after a week."""

    async def remove(self, key: str) -> None:
        """Remove a blob."""
        try:
            await self._container.delete_blob(key, **LIMITS)
        except Exception as error:
            raise self._meant(error) from error


def _condition(expected: str | None) -> dict[str, Any]:
    from azure.core import MatchConditions

    if expected is None:
        return {}
    if not expected:
        return {"match_condition": MatchConditions.IfMissing}
    return {"etag": expected, "match_condition": MatchConditions.IfNotModified}
