"""A photo found: what its row shows of it, and where its bytes are."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.reading import read_regular, regular_size

# A backslash that would be taken for the first of an undecoded byte.
_ESCAPE = re.compile(r"\\(?=x[0-9a-f]{2})")


class Content(Protocol):
    """The bytes of a photo, wherever they are. Several threads read at once, each another photo."""

    @property
    def held(self) -> int:
        """How many bytes of memory it holds before it is read."""

    def size(self) -> int:
        """How many bytes reading takes; raises UnreadablePhoto, where they are too many, too."""

    def read(self, size: int) -> bytes | NDArray[np.uint8]:
        """The bytes, of which `size` has said how many there are, or pixels; raises UnreadablePhoto."""

    def version(self) -> str:
        """What is another where its bytes are others: size and time, a check sum; "" where nothing is known of them."""


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine; `noted` is its version where it was looked up already."""

    file: str
    noted: str | None = field(default=None, compare=False)
    held = 0

    def size(self) -> int:
        """Its size in bytes; raises UnreadablePhoto where it is no file, or too large."""
        return regular_size(self.file)

    def read(self, size: int) -> bytes:
        """Its bytes; raises UnreadablePhoto."""
        return read_regular(self.file, size)

    def version(self) -> str:
        """Its size and its time of change, or that it can't be looked up."""
        if self.noted is not None:
            return self.noted
        try:
            status = os.stat(self.file)
        except (OSError, ValueError):
            return "not there"
        return f"{status.st_size} {status.st_mtime_ns}"


@dataclass(frozen=True)
class InMemory:
    """A photo that is in memory already: a file's bytes, or its pixels uint8 [height, width, 3], RGB."""

    data: bytes | NDArray[np.uint8] = field(compare=False)

    @property
    def held(self) -> int:
        """How many bytes it takes."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.nbytes

    def size(self) -> int:
        """Nothing more to read."""
        return 0

    def read(self, size: int) -> bytes | NDArray[np.uint8]:
        """What it was made of."""
        return self.data

    def version(self) -> str:
        """A hash of it."""
        return content_hash(self.data)


@dataclass(frozen=True)
class Refused:
    """A photo that can't be read, and why."""

    reason: str
    held = 0

    def size(self) -> int:
        """Raises UnreadablePhoto."""
        raise UnreadablePhoto(self.reason)

    def read(self, size: int) -> NoReturn:
        """Raises UnreadablePhoto."""
        raise UnreadablePhoto(self.reason)

    def version(self) -> str:
        """Why it can't be read."""
        return self.reason


@dataclass(frozen=True)
class Photo:
    """A photo found: the path that its row shows (with `/`), its content, and what it may be labelled by.

    `label` is what a list, an archive or a dataset calls it, as it is written there, "" where that states nothing; None
    where its folders decide: then `root` is the name of the folder it was found under. `names` are what labels and
    folders may call the classes, None where no photo has a label. `time` is where a frame stands in its video, in
    seconds.
    """

    path: str
    content: Content
    root: str = ""
    names: LabelNames | None = DEFAULT_NAMES
    label: str | None = None
    time: float | None = None

    def label_among(self, classes: Sequence[str]) -> str:
        """The one of a model's classes that it is labelled with, "" where it is with none of them."""
        if self.names is None:
            return ""
        if self.label is not None:
            return self.names.class_named(self.label, classes)
        return self.names.label_of(self.path, classes, self.root)

    def read(self) -> bytes | NDArray[np.uint8]:
        """Its file's bytes, or its pixels; raises UnreadablePhoto."""
        return self.content.read(self.content.size())


def content_hash(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> str:
    """A hash of a photo that is in memory."""
    plain = np.ascontiguousarray(data).data if isinstance(data, np.ndarray) else data
    return hashlib.blake2b(plain, digest_size=8).hexdigest()


def printable(path: str) -> str:
    r"""Show a path as valid UTF-8: bytes that are not become `\xNN`.

    A backslash that stands before such an `xNN` in the name itself becomes `\x5c`: two paths are never shown alike.
    """
    if os.name != "posix":
        return path
    if "\\x" in path:
        path = _ESCAPE.sub(r"\\x5c", path)
    return os.fsencode(path).decode("utf-8", "backslashreplace")
