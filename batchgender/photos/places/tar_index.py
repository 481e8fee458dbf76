"""What is in a tar, found by its headers: photos, links to them, and labels beside them."""

import bz2
import gzip
import lzma
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import IO, Any, NamedTuple

from batchgender.errors import os_reason
from batchgender.photos.file_type import HEAD, named_as_photo, picture_format
from batchgender.photos.photo import printable
from batchgender.photos.places.archive import ArchiveFile, followed, is_left_alone, linked, member_path
from batchgender.photos.places.place import counted_ending
from batchgender.photos.places.tar_headers import HARD_LINK, SYMBOLIC_LINK, DamagedTar, Header, headers
from batchgender.photos.places.webdataset import label_in, may_label, sample_of

# Photos hardly get smaller; what unpacks to so many times its size, and to more than a gigabyte, is no archive of them.
_MOST_TIMES, _SMALL = 100, 2**30
_PACKED: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
# What a stream raises where it is damaged, or ends early.
STREAM_ERRORS = (DamagedTar, EOFError, OSError, zlib.error, lzma.LZMAError)


class Member(NamedTuple):
    """Where the bytes of a member are, in the unpacked tar; or why it can't be read."""

    start: int
    size: int
    problem: str = ""


@dataclass(frozen=True)
class TarIndex:
    """What is in a tar.

    `photos` are paths and members in the order of the paths, `labels` by sample what it states, `column` the name of
    these, `skipped` the other files by ending; `twice` is how many names several members have, `end` why it ends early,
    "" where it does not.
    """

    photos: list[tuple[str, Member]]
    labels: dict[str, str]
    column: str
    skipped: Counter[str]
    twice: int
    end: str


def is_packed(stream: IO[bytes]) -> bool:
    """Whether a tar, at its beginning, is compressed, whatever its name says."""
    return _opener(stream) is not None


def unpacked(stream: IO[bytes]) -> IO[bytes]:
    """The tar in an open file: itself, or what is compressed in it, to be read forward alone."""
    opener = _opener(stream)
    return opener(stream) if opener else stream


def _opener(stream: IO[bytes]) -> Callable[[Any], Any] | None:
    head = stream.read(max(map(len, _PACKED)))
    stream.seek(0)
    return next((opener for start, opener in _PACKED.items() if head.startswith(start)), None)


# Asked several times, and by two threads.
@lru_cache(maxsize=2)
def tar_index(archive: ArchiveFile) -> TarIndex:
    """Look through a tar; raises UnreadablePhoto where its file can't be opened."""
    found = _Found()
    end = ""
    with archive.opened() as file:
        stream = unpacked(file)
        most = float("inf") if stream is file else max(_MOST_TIMES * archive.size, _SMALL)
        try:
            for header in headers(stream):
                found.add(header, stream)
                if header.start + header.size > most:
                    raise DamagedTar(f"it unpacks to more than {_MOST_TIMES} times its size")
        except STREAM_ERRORS as error:
            end = os_reason(error) if isinstance(error, OSError) else str(error) or "it is cut short"
    return found.index(end)


class _Found:
    """What the headers of a tar have told so far."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        self._others: set[str] = set()
        self._twice: set[str] = set()
        # Files of unknown endings that begin as pictures do, and files that are labels.
        self._pictures: set[str] = set()
        self._label_files: set[str] = set()
        self._labels: dict[str, str] = {}
        self._column = ""

    def add(self, header: Header, stream: IO[bytes]) -> None:
        """Take a member; what says what it is is read from the stream, which stands at its beginning."""
        path = member_path(header.name)
        if not path or header.is_folder:
            return
        self._forget(path)
        if header.kind in (HARD_LINK, SYMBOLIC_LINK):
            hard = header.kind == HARD_LINK
            self._links[path] = member_path(header.link) if hard else linked(path, header.link)
        elif not header.is_file:
            self._others.add(path)
        else:
            self._members[path] = Member(header.start, header.size, "a sparse file" if header.sparse else "")
            if may_label(path, header.size):
                if found := label_in(path, stream.read(header.size)):
                    self._column, self._labels[sample_of(path)] = found
                    self._label_files.add(path)
            elif named_as_photo(path) is None and picture_format(stream.read(min(header.size, HEAD))):
                self._pictures.add(path)

    def _forget(self, path: str) -> None:
        """Forget an earlier member of this path."""
        for found in (self._members, self._links):
            if found.pop(path, None) is not None:
                self._twice.add(path)
        for paths in (self._others, self._pictures, self._label_files):
            paths.discard(path)

    def index(self, end: str) -> TarIndex:
        """What is known once the tar ends, because of `end` where that is early."""
        photos = []
        skipped: Counter[str] = Counter()
        for path in chain(self._members, self._links, self._others):
            if is_left_alone(path):
                continue
            file = followed(self._links, path, self._members) if path in self._links else path
            if self._is_photo(path, file):
                gone = f"a link to {printable(self._links[path])}, which is not in the archive" if file is None else ""
                photos.append((path, self._members[file] if file else Member(0, 0, gone)))
            elif path not in self._label_files:
                skipped[counted_ending(path)] += 1
        return TarIndex(sorted(photos), self._labels, self._column, skipped, len(self._twice), end)

    def _is_photo(self, path: str, file: str | None) -> bool:
        """Whether a member is a photo; `file` is where its bytes are, that of a link elsewhere."""
        known = path not in self._others and named_as_photo(path)
        if known is None and file:
            return file in self._pictures or bool(named_as_photo(file))
        return bool(known)
