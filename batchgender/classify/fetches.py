"""Remote photos fetched ahead: many at a time, within a limit of memory, in order."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from batchgender.photos.photo import Photo
from batchgender.photos.places.remote.answers import LargePhoto
from batchgender.photos.places.remote.remote_file import RemoteFile, result_of
from batchgender.photos.reading import BYTE_LIMIT

# Bytes that a photo is taken for whose size is not known, as long as none has come.
_USUAL = 1_000_000


class Fetches:
    """Reads of remote photos that are under way for a run; closed, they all end."""

    def __init__(self) -> None:
        self._running: set[Future[bytes]] = set()
        self._lock, self._closed = Lock(), False
        # What a photo of unknown size is likely to take: a mean over some of the last.
        self.expected = float(_USUAL)

    def begin(self, content: RemoteFile, limit: int) -> "Future[bytes]":
        """Begin to read a photo, as `RemoteFile.begin`; the result raises CancelledError once this is closed."""
        future = content.begin(limit)
        with self._lock:
            self._running.add(future)
            closed = self._closed
        future.add_done_callback(self._ended)
        if closed:
            future.cancel()
        return future

    def read(self, content: RemoteFile, size: int) -> bytes:
        """Read one of `size` bytes; raises UnreadablePhoto, PlaceLost, and CancelledError once this is closed."""
        return result_of(self.begin(content, size), size)

    def photo(self, photo: Photo) -> bytes | NDArray[np.uint8]:
        """As `Photo.read`; raises CancelledError, too, for a remote one once this is closed."""
        content = photo.content
        if isinstance(content, RemoteFile):
            return self.read(content, content.size() or BYTE_LIMIT)
        return photo.read()

    def close(self) -> None:
        """End all reads that are under way, whatever they wait for."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for future in running:
            future.cancel()

    def _ended(self, future: "Future[bytes]") -> None:
        with self._lock:
            self._running.discard(future)
        if not future.cancelled() and not future.exception():
            self.expected += (len(future.result()) - self.expected) / 8


class FetchAhead:
    """The remote ones of some photos, read ahead as long as those begun are likely to take less than `room` bytes.

    Left out are those that are listed as larger.
    """

    def __init__(self, photos: Iterable[Photo], fetches: Fetches, room: int) -> None:
        remote = (photo.content for photo in photos if isinstance(photo.content, RemoteFile))
        self._coming = deque(content for content in remote if (content.listed or 0) <= room)
        self._fetches, self._room = fetches, room
        self._begun: deque[tuple[Future[bytes], float]] = deque()
        self._held = 0.0
        self._begin_more()

    def take(self) -> bytes | LargePhoto:
        """The bytes of the next one, or its size where that was not known and is larger; raises UnreadablePhoto."""
        future, size = self._begun.popleft()
        self._held -= size
        self._begin_more()
        try:
            return future.result()
        except LargePhoto as large:
            return large

    def _begin_more(self) -> None:
        while self._coming and (self._held < self._room or not self._begun):
            content = self._coming.popleft()
            size = self._fetches.expected if content.listed is None else float(content.listed)
            self._begun.append((self._fetches.begin(content, self._room), size))
            self._held += size
