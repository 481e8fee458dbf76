"""The versions of files, looked up ahead of the one who asks: on threads where that is slow, as on a network mount."""

import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice

from batchgender.photos.photo import LocalFile, Photo
from batchgender.photos.source import PhotoSource
from batchgender.threads import ordered_prefetch

_THREADS, _AT_ONCE = 8, 32
# Seconds a file from which on threads are faster.
_SLOW = 5e-4


def versions_ahead(source: PhotoSource) -> Generator[Photo]:
    """Yield the photos, those that are files by themselves with their versions noted."""
    if not source.of_files or source.fps:
        yield from source
        return
    with closing(noted(source)) as found:
        yield from found


def noted(photos: Iterable[Photo]) -> Generator[Photo]:
    """Pass photos on that hold no bytes, those that are files by themselves with their versions noted."""
    pending = iter(photos)

    def groups() -> Iterator[list[Photo]]:
        while group := list(islice(pending, _AT_ONCE)):
            yield group

    for group in groups():
        began = time.perf_counter()
        found = _noted(group)
        is_slow = time.perf_counter() - began > _SLOW * len(group)
        yield from found
        if is_slow:
            break
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        closing(ordered_prefetch(pool, _noted, groups(), 2 * _THREADS)) as ahead,
    ):
        for group in ahead:
            yield from group


def _noted(group: list[Photo]) -> list[Photo]:
    return [
        replace(photo, content=LocalFile(photo.content.file, photo.content.version()))
        if isinstance(photo.content, LocalFile)
        else photo
        for photo in group
    ]
