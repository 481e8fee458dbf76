"""The content of a photo behind an address."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchgender.errors import UnreadablePhoto
from batchgender.photos.places.remote.answers import LargePhoto
from batchgender.photos.reading import BYTE_LIMIT, check_size

if TYPE_CHECKING:
    from batchgender.photos.places.remote.endpoint import Endpoint


@dataclass(frozen=True)
class RemoteFile:
    """A photo behind an address, and what the listing has of it.

    `listed` is its size in bytes, None where there is none, `tag` what changes with its bytes (an ETag), or "".
    """

    endpoint: "Endpoint"
    key: str
    listed: int | None = None
    tag: str = ""
    held = 0

    def size(self) -> int:
        """Its size in bytes, 0 where it is not known; raises UnreadablePhoto where it is too large."""
        size = self.listed or 0
        check_size(size)
        return size

    def begin(self, limit: int) -> Future[bytes]:
        """Begin to read it.

        The result raises UnreadablePhoto, PlaceLost, and LargePhoto where a size that is not known is above `limit`.
        """
        return self.endpoint.begin(self.endpoint.photo(self.key, self.listed, limit))

    def read(self, size: int) -> bytes:
        """Its bytes, where its size is not known up to the limit; raises UnreadablePhoto, and PlaceLost."""
        limit = size or BYTE_LIMIT
        return result_of(self.begin(limit), limit)

    def version(self) -> str:
        """Its size and its tag, as listed; "" where the listing has neither, or there is none."""
        return "" if self.listed is None else f"{self.listed} {self.tag}"


def result_of(begun: "Future[bytes]", size: int) -> bytes:
    """The bytes of a photo that was begun, up to `size`; raises UnreadablePhoto and PlaceLost."""
    try:
        return begun.result()
    except LargePhoto as large:
        raise UnreadablePhoto(f"larger than the limit of {size // 1_000_000} MB") from large
