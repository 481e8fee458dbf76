"""Photos to their bytes, read ahead of the core that decodes them, within a limit of memory."""

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from batchgender.classify.fetches import FetchAhead, Fetches
from batchgender.errors import UnreadablePhoto
from batchgender.photos.memory import MemoryLimit
from batchgender.photos.photo import Photo
from batchgender.photos.places.remote.answers import LargePhoto
from batchgender.photos.places.remote.remote_file import RemoteFile
from batchgender.photos.reading import check_size

# Photos with their bytes or pixels, or why there are none.
Batch = list[tuple[Photo, bytes | NDArray[np.uint8] | UnreadablePhoto]]
# A thread infers what it has read once it holds this much, so that memory does not grow with the photos' sizes.
BYTES_HELD = 8_000_000
# Bytes of larger files that all threads together read ahead; a photo whose server does not say its size may have all.
_READ_AHEAD = 2**28
_READING = MemoryLimit(_READ_AHEAD, unasked=0)


def read_ahead(photos: Sequence[Photo], fetches: Fetches) -> Generator[Batch]:
    """Yield the photos with their bytes, in several batches where they are large.

    A file larger than a batch may hold is a batch of its own, and is read when the others that are as large leave room.
    Remote ones are fetched many at a time.
    """
    ahead = FetchAhead(photos, fetches, BYTES_HELD)
    batch: Batch = []
    held = 0
    for photo in photos:
        content = photo.content
        try:
            size = content.size()
            fetched = ahead.take() if isinstance(content, RemoteFile) and size <= BYTES_HELD else None
            if isinstance(fetched, LargePhoto):
                check_size(size := fetched.size or _READ_AHEAD)
            if size > BYTES_HELD:
                if batch:
                    yield batch
                    batch, held = [], 0
                with _READING.taken(size):
                    whole = fetches.read(content, size) if isinstance(content, RemoteFile) else content.read(size)
                    yield [(photo, whole)]
                continue
            data = fetched if isinstance(fetched, bytes) else content.read(size)
            held += len(data)
            batch.append((photo, data))
        except UnreadablePhoto as error:
            batch.append((photo, error))
        if held >= BYTES_HELD:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
