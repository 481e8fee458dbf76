"""What a kind of object store or web server offers; a module beside this one is such a kind."""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from batchgender.photos.places.remote.answers import LargePhoto

# Keys in a page of a listing: what S3 gives at most.
KEYS_A_PAGE = 1000
# Seconds for a connection to come about, and for the next bytes to come.
CONNECT_LIMIT, SILENCE_LIMIT = 10.0, 30.0
# Bytes that are taken from an answer at a time.
CHUNK = 2**16


@dataclass(frozen=True)
class Page:
    """A page of a listing: objects in the order of their keys; `token` gets the next one, "" for none."""

    entries: list["Entry"]
    token: str


class Entry(NamedTuple):
    """An object of a listing: its key, its size in bytes, and what changes with its bytes, "" where none is listed."""

    key: str
    size: int
    tag: str


class Store(Protocol):
    """Photos by their keys. Its methods run on fsspec's event loop, many at a time.

    They raise TryAgain where the same request may do next time, Refused where it never will, and UserError where no
    request can: without credentials.
    """

    # What to do where the credentials are missing or are not enough.
    credentials_advice: str

    async def get(self, key: str, limit: int) -> bytes:
        """The bytes of a photo; raises LargePhoto where they are more than `limit`."""


class ObjectStore(Store, Protocol):
    """A bucket, which lists its keys."""

    async def page(self, prefix: str, token: str = "", count: int = KEYS_A_PAGE) -> Page:
        """The page at `token` of all keys that begin with `prefix`, in the order of their UTF-8."""


def options(protocols: tuple[str, ...], ours: dict[str, Any]) -> dict[str, Any]:
    """Options for a file system of fsspec: `ours`, where the user's configuration of fsspec has no others."""
    from fsspec.config import conf

    merged = {"skip_instance_cache": True, **ours}
    for protocol in protocols:
        for name, value in conf.get(protocol, {}).items():
            both = isinstance(value, dict) and isinstance(merged.get(name), dict)
            merged[name] = {**merged[name], **value} if both else value
    return merged


async def whole(chunks: AsyncIterable[bytes], length: int | None, limit: int) -> bytes:
    """All chunks of an answer that announces `length` bytes; raises LargePhoto where they are more than `limit`."""
    if length is not None and length > limit:
        raise LargePhoto(length)
    parts: list[bytes] = []
    held = 0
    async for chunk in chunks:
        held += len(chunk)
        if held > limit:
            raise LargePhoto(0)
        parts.append(chunk)
    return b"".join(parts)
