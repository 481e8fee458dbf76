"""Pictures that stand in several places: the same files, and nearly the same pictures."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.io import Notify
from batchgender.photos.decode import to_size
from batchgender.photos.photo import Photo
from batchgender.progress import Progress
from batchgender.threads import available_cores, ordered_prefetch

# A perceptual hash of 16 x 16 bits: of faces that are cropped alike, one of 8 x 8 takes different people for the same.
_SIDE = 16
_BITS = _SIDE**2
# Pairs that differ in so many bits or fewer are the same picture. Among 6,000 faces, copies that were scaled, cropped
# a little or watermarked differed in up to 32, pictures of different people in 54 or more.
_NEAR = 40
# Pixels a side that a picture is scaled to before it is hashed.
_PIXELS = 64
# Pictures that are compared with all others at once.
_CHUNK = 2048


@dataclass(frozen=True)
class PhotoPrint:
    """What a photo is compared by: SHA-256 of its content, and perceptual hash bool [256], None where it is unreadable.

    `digest` is "" where its file can't be read.
    """

    path: str
    digest: str
    bits: NDArray[np.bool_] | None


@dataclass(frozen=True)
class SamePictures:
    """Photos by their paths that show the same picture; `exact` where all have the same content."""

    paths: list[str]
    exact: bool


def photo_prints(photos: Sequence[Photo], notify: Notify) -> list[PhotoPrint]:
    """Read each photo and make what it is compared by, on all cores."""
    found: list[PhotoPrint] = []
    cores = available_cores()
    with (
        Progress("look for duplicates", "photos", notify, len(photos)) as progress,
        ThreadPoolExecutor(cores) as pool,
        closing(ordered_prefetch(pool, _print_of, photos, 4 * cores)) as prints,
    ):
        for each in prints:
            found.append(each)
            progress.update(1)
    return found


def same_pictures(prints: Sequence[PhotoPrint]) -> list[SamePictures]:
    """The groups of photos that show the same picture, in the order of their first photos.

    Each is compared with each: 100,000 take minutes.
    """
    # The packages of the extra need it, too.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.array([*_equal_content(prints), *_near_pictures(prints)], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(prints),) * 2)
    _, component = connected_components(graph, directed=False)
    members: dict[int, list[PhotoPrint]] = {}
    for each, at in zip(prints, component.tolist(), strict=True):
        members.setdefault(at, []).append(each)
    return [
        SamePictures([each.path for each in group], len({each.digest for each in group}) == 1)
        for group in members.values()
        if len(group) > 1
    ]


def _print_of(photo: Photo) -> PhotoPrint:
    from imagehash import phash

    try:
        data = photo.read()
        content = data if isinstance(data, bytes) else data.tobytes()
        digest = hashlib.sha256(content).hexdigest()
    except UnreadablePhoto:
        return PhotoPrint(photo.path, "", None)
    try:
        picture = to_size(data, _PIXELS)
    except UnreadablePhoto:
        return PhotoPrint(photo.path, digest, None)
    # Of a picture of one colour all bits are chance, or none.
    flat = int(np.ptp(picture, axis=(0, 1)).max()) < 2
    return PhotoPrint(photo.path, digest, None if flat else phash(Image.fromarray(picture), _SIDE).hash.ravel())


def _equal_content(prints: Iterable[PhotoPrint]) -> Iterator[tuple[int, int]]:
    places: dict[str, list[int]] = {}
    for index, each in enumerate(prints):
        if each.digest:
            places.setdefault(each.digest, []).append(index)
    for of in places.values():
        yield from pairwise(of)


def _near_pictures(prints: Sequence[PhotoPrint]) -> Iterator[tuple[int, int]]:
    """Pairs of indices whose hashes differ in few bits (Hamming distance)."""
    places = np.array([index for index, each in enumerate(prints) if each.bits is not None], np.int64)
    if not len(places):
        return
    bits = np.stack([each.bits for each in prints if each.bits is not None])
    # Of vectors of 1 and -1 the product is the number of equal bits less that of the others.
    signs = bits.astype(np.float32) * 2 - 1
    for start in range(0, len(signs), _CHUNK):
        products = signs[start : start + _CHUNK] @ signs[start:].T
        for row, column in np.argwhere(products >= _BITS - 2 * _NEAR).tolist():
            if column > row:
                yield int(places[start + row]), int(places[start + column])
