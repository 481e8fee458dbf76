"""Photos to their bytes, read ahead of the core that decodes them, within a limit of memory."""

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto
from batchgender.photos.memory import MemoryLimit
from batchgender.photos.photo import Photo

# Photos with their bytes or pixels, or why there are none.
Batch = list[tuple[Photo, bytes | NDArray[np.uint8] | UnreadablePhoto]]
# A thread infers what it has read once it holds this much, so that memory does not grow with the photos' sizes.
BYTES_HELD = 8_000_000
# Bytes of larger files that all threads together read ahead.
_READING = MemoryLimit(2**28, unasked=0)


def read_ahead(photos: Sequence[Photo]) -> Generator[Batch]:
    """Yield the photos with their bytes, in several batches where they are large.

    A file larger than a batch may hold is a batch of its own, and is read when the others that are as large leave room.
    """
    batch: Batch = []
    held = 0
    for photo in photos:
        try:
            size = photo.content.size()
            if size > BYTES_HELD:
                if batch:
                    yield batch
                    batch, held = [], 0
                with _READING.taken(size):
                    yield [(photo, photo.content.read(size))]
                continue
            data = photo.content.read(size)
            held += len(data)
            batch.append((photo, data))
        except UnreadablePhoto as error:
            batch.append((photo, error))
        if held >= BYTES_HELD:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
