"""Photos to batches of pixels, decoded ahead by threads."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto
from batchgender.io import Notify
from batchgender.photos.decode import decode
from batchgender.photos.resize import Size, resize
from batchgender.threads import available_cores, ordered_prefetch
from batchgender.training.data.labelled_photos import LabelledPhotos

# A photo and its index in the split to uint8 [size, size, 3].
View = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
# Images uint8 [B, size, size, 3], labels int64 [B], and the photos' indices in the split.
Batch = tuple[NDArray[np.uint8], NDArray[np.int64], list[int]]
# Batches that are decoded before they are asked for.
_AHEAD = 4


class Batches:
    """Photos decoded ahead by threads, in uint8 [B, height, width, 3] batches with int64 [B] labels, in order.

    A photo that can't be read is left out, and named once to `notify`; `unreadable` has the names and reasons of all.
    """

    def __init__(self, photos: LabelledPhotos, size: Size, batch_size: int, notify: Notify) -> None:
        self.photos, self.size, self.batch_size, self._notify = photos, size, batch_size, notify
        self.unreadable: dict[str, str] = {}

    def __call__(self, order: Sequence[int] | None = None, view: View | None = None) -> Iterator[Batch]:
        """Yield (images, labels, indices) for the photos at `order` (all), each as `view` shows it, else resized."""
        order = range(len(self.photos)) if order is None else order
        with ThreadPoolExecutor(available_cores(), initializer=_give_way) as pool:
            work = ordered_prefetch(pool, lambda index: self._load(index, view), order, _AHEAD * self.batch_size)
            with closing(work):
                numbered = zip(order, work, strict=True)
                while group := list(islice(numbered, self.batch_size)):
                    loaded = [(index, image) for index, image in group if image is not None]
                    if loaded:
                        indices = [int(index) for index, _ in loaded]
                        yield np.stack([image for _, image in loaded]), self.photos.labels[indices], indices

    def _load(self, index: int, view: View | None) -> NDArray[np.uint8] | None:
        try:
            image = decode(self.photos.read(index))
            return view(image, index) if view else resize(image, self.size)
        except UnreadablePhoto as error:
            name = self.photos.names[index]
            if name not in self.unreadable:
                self.unreadable[name] = str(error)
                self._notify(f"{name}: {error}; left out")
            return None


def _give_way() -> None:
    """Lower a decoding thread's priority, where the network's threads wait for each other: one held up holds up all."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + 10))
