"""What a caller of the library gives to `Classifier.classify`, as photos."""

import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import Notify
from batchgender.photos.labels import LabelNames
from batchgender.photos.photo import InMemory, Photo
from batchgender.photos.places.named import checked, is_named, photo_of
from batchgender.photos.source import PhotoSource

# A path or pattern, an array, several of either, or a source that others wrote, see `named.Named`.
Photos = str | os.PathLike[str] | NDArray[np.uint8] | Iterable[Any]

# What can be iterated, and is one thing.
_ONE_THING = (str, bytes, bytearray, os.PathLike, np.ndarray)


def photos_given(given: tuple[Photos, ...], notify: Notify, names: LabelNames | None) -> PhotoSource | Iterator[Photo]:
    """The photos of paths as a source, those of arrays and of a source that others wrote one by one.

    Raises UserError where what is given is mixed, is no photo, or does not exist.
    """
    if given and is_named(given[0]):
        return (photo_of(each, names) for each in given)  # type: ignore[arg-type]
    if len(given) == 1 and isinstance(given[0], Iterable) and not isinstance(given[0], _ONE_THING):
        # What is an iterator gives its first once.
        rest = iter(given[0])
        first = list(islice(rest, 1))
        given = (chain(first, rest),)
        if first and is_named(first[0]):
            return (photo_of(each, names) for each in given[0])
    found = _flat(given)
    if arrays := [each for each in found if isinstance(each, np.ndarray)]:
        if len(arrays) < len(found):
            raise UserError("paths and arrays in one call; give either")
        return map(_photo_of_array, range(len(arrays)), arrays)
    return PhotoSource([os.fspath(each) for each in found], notify, names)


def _flat(photos: Iterable[Any]) -> list[Any]:
    """Paths and arrays, out of the lists that hold them."""
    found: list[Any] = []
    for each in photos:
        if isinstance(each, str | os.PathLike) or (isinstance(each, np.ndarray) and each.ndim <= 3):
            found.append(each)
        elif isinstance(each, Iterable) and not isinstance(each, bytes | bytearray):
            found += _flat(each)
        else:
            raise UserError(f"{type(each).__name__}: no photo; give paths, arrays, or tuples (name, data)")
    return found


def _photo_of_array(index: int, pixels: NDArray[Any]) -> Photo:
    try:
        return Photo(str(index), InMemory(checked(pixels)), names=None)
    except UnreadablePhoto as error:
        raise UserError(f"photo {index}: {error}") from error
