"""Photos that a program gives by name: pairs of a name and bytes, pixels, or a function that reads them."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import first_line
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.photo import Photo, content_hash, printable
from batchgender.photos.places.place import Findings

# An image file's bytes, pixels uint8 [height, width, 3] RGB, or a function without arguments that returns either.
Data = bytes | bytearray | memoryview | NDArray[np.uint8] | Callable[[], Any]
# A name and its photo, and perhaps its label.
Named = tuple[str | os.PathLike[str], Data] | tuple[str | os.PathLike[str], Data, str | None]


@dataclass(frozen=True)
class NamedPhotos:
    """A source that others wrote: what it yields are tuples (name, data) or (name, data, label), see `Named`.

    It is iterated once or more, always in the same order, and each name stands in it once. `origin` is what a resumed
    run compares, `title` what messages call it. `labels_are_classes` says that nothing else stands for a class in it.
    """

    source: Iterable[Named]
    title: str
    origin: str
    labels_are_classes: bool = False
    sequential = False

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos in its own order."""
        names = DEFAULT_NAMES if findings.names and self.labels_are_classes else findings.names
        return (photo_of(each, names) for each in self.source)


@dataclass(frozen=True)
class Given:
    """What a program gives of a photo; a function is called on the thread that asks for the bytes."""

    data: Data = field(compare=False)

    @property
    def held(self) -> int:
        """How many bytes it takes before it is read."""
        if callable(self.data):
            return 0
        return self.data.nbytes if isinstance(self.data, np.ndarray | memoryview) else len(self.data)

    def size(self) -> int:
        """Not known before it is read."""
        return 0

    def read(self, size: int) -> bytes | NDArray[np.uint8]:
        """The bytes or pixels; raises UnreadablePhoto on anything else, and where the function raises anything."""
        if not callable(self.data):
            return checked(self.data)
        try:
            data = self.data()
        except UnreadablePhoto:
            raise
        except Exception as error:  # Of others' code.
            raise UnreadablePhoto(f"can't read it: {type(error).__name__}: {first_line(error)}") from error
        return checked(data)

    def version(self) -> str:
        """A hash of what is in memory; of a function nothing is known."""
        return "" if callable(self.data) else content_hash(self.data)


def is_named(given: object) -> bool:
    """Whether this is a tuple of a name and a photo's data, and not one of paths."""
    return (
        isinstance(given, tuple)
        and len(given) in (2, 3)
        and isinstance(given[0], str | os.PathLike)
        and (callable(given[1]) or isinstance(given[1], bytes | bytearray | memoryview | np.ndarray))
    )


def photo_of(given: Named, names: LabelNames | None) -> Photo:
    """The photo of a tuple; raises UserError where it is none. Its row's path is its name.

    Where it has no label, the folders in its name decide.
    """
    if not is_named(given):
        raise UserError(f"a source gave {_described(given)}; a photo is (name, data) or (name, data, label)")
    name, data, label = (*given, None)[:3]
    return Photo(printable(os.fspath(name)), Given(data), names=names, label=label)


def checked(data: Any) -> bytes | NDArray[np.uint8]:
    """A photo's bytes, or its pixels; raises UnreadablePhoto on what is neither."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if not isinstance(data, np.ndarray):
        raise UnreadablePhoto(f"{_described(data)}: neither bytes nor an array")
    if data.dtype != np.uint8 or data.ndim != 3 or data.shape[2] != 3 or not data.size:
        raise UnreadablePhoto(f"an array of {data.dtype} {list(data.shape)}; give uint8 [height, width, 3], RGB")
    return data


def _described(given: object) -> str:
    if isinstance(given, tuple):
        return f"({', '.join(type(each).__name__ for each in given)})"
    return type(given).__name__
