"""The content of a photo behind an address."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchgender.errors import UnreadablePhoto
from batchgender.photos.limits import BYTE_LIMIT, TOO_LARGE, check_bytes
from batchgender.photos.places.remote.answers import LargePhoto

if TYPE_CHECKING:
    from batchgender.photos.places.remote.endpoint import Endpoint


@dataclass(frozen=True)
class RemoteFile:
    """A photo behind an address; `listed` is its size in bytes as the listing has it, None where it has none."""

    endpoint: "Endpoint"
    key: str
    listed: int | None = None
    held = 0

    def size(self) -> int:
        """Its size in bytes, 0 where it is not known; raises UnreadablePhoto where it is too large."""
        size = self.listed or 0
        check_bytes(size)
        return size

    def begin(self, limit: int) -> Future[bytes]:
        """Begin to read it.

        The result raises UnreadablePhoto, PlaceLost, and LargePhoto where a size that is not known is above `limit`.
        """
        return self.endpoint.begin(self.endpoint.photo(self.key, self.listed, limit))

    def read(self, size: int) -> bytes:
        """Its bytes, where its size is not known up to the limit; raises UnreadablePhoto, and PlaceLost."""
        return result_of(self.begin(size or BYTE_LIMIT))


def result_of(begun: "Future[bytes]") -> bytes:
    """The bytes of a photo that was begun; raises UnreadablePhoto, where they are too many, too, and PlaceLost."""
    try:
        return begun.result()
    except LargePhoto as large:
        raise UnreadablePhoto(TOO_LARGE) from large
