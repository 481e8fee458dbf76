"""What a kind of object store offers to whoever writes to it; `s3_uploads` and its neighbours are such kinds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from batchgender.photos.places.remote.answers import Refused
from batchgender.photos.places.remote.store import ObjectStore

# The name, letters and digits for Azure, of the SHA-256 of an object's bytes among what is stored with it.
DIGEST = "batchgendersha256"
# Statuses of a request whose condition is not met: the object is another, is there, or is not there.
CONDITION_NOT_MET = frozenset({409, 412})
# Takes the next bytes; raises UserError where it can't.
Write = Callable[[bytes], None]


class Stored(NamedTuple):
    """An object that is there.

    `tag` changes with each version, `modified` is when it was written, in seconds since 1970, and `digest` the SHA-256
    of its bytes where this package wrote it, else "".
    """

    size: int
    tag: str
    modified: float
    digest: str


class About(NamedTuple):
    """An object that is to be: its size in bytes, the SHA-256 of these, and its media type."""

    size: int
    digest: str
    kind: str


class Piece(NamedTuple):
    """A piece of an object: its number from 0 on, and the bytes before it."""

    number: int
    begin: int


class Changed(Exception):
    """An object that is not, or no longer, what a request expects."""


class WritableStore(ObjectStore, Protocol):
    """A bucket that objects are written to: each in pieces, and visible once all of them are there.

    `expected` is the tag of the version that is replaced, "" where there is to be none, None where it may be any:
    Changed is raised where it is another.
    """

    async def stat(self, key: str) -> Stored | None:
        """What is there, None where nothing is."""

    async def fetch(self, key: str, tag: str, write: Write) -> None:
        """Pass the bytes of this version on."""

    async def check(self, key: str) -> None:
        """Raise Refused where this key may not be written; nothing is left of it."""

    async def begin(self, key: str, about: About, expected: str | None) -> str:
        """Begin an upload; its name."""

    async def piece(self, key: str, upload: str, about: About, piece: Piece, data: bytes) -> Any:
        """Upload a piece; what `finish` must know of it. Each but the last has a multiple of 256 KiB."""

    async def finish(self, key: str, upload: str, about: About, pieces: Sequence[Any], expected: str | None) -> None:
        """Have the object be there."""

    async def cancel(self, key: str, upload: str) -> None:
        """Have nothing left of an upload."""

    async def remove(self, key: str) -> None:
        """Remove an object."""


def as_changed(meant: Exception, expected: str | None) -> Exception:
    """What an answer means for a request that expects a version: Changed, or what it meant."""
    if isinstance(meant, Refused) and expected is not None:
        gone = meant.status == 404 and expected
        if meant.status in CONDITION_NOT_MET or gone:
            return Changed(meant.reason)
    return meant
