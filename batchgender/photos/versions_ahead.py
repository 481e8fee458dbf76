"""The versions of files, looked up on threads ahead of the one who asks: a network mount is slow to answer."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice

from batchgender.photos.photo import LocalFile, Photo
from batchgender.photos.source import PhotoSource
from batchgender.threads import ordered_prefetch

_THREADS, _AT_ONCE = 8, 32


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

    with (
        ThreadPoolExecutor(_THREADS) as pool,
        closing(ordered_prefetch(pool, _noted, groups(), 2 * _THREADS)) as found,
    ):
        for group in found:
            yield from group


def _noted(group: list[Photo]) -> list[Photo]:
    return [
        replace(photo, content=replace(photo.content, noted=photo.content.version()))
        if isinstance(photo.content, LocalFile)
        else photo
        for photo in group
    ]
