"""Tar archives: plain ones read member by member, on several threads, compressed ones from their beginning on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import IO

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.file_type import HEAD
from batchgender.photos.label_columns import stated_classes
from batchgender.photos.labels import label_names
from batchgender.photos.photo import Content, InMemory, Photo, Refused, printable
from batchgender.photos.places.archive import ArchiveFile, archive_file, twice_line
from batchgender.photos.places.place import Findings
from batchgender.photos.places.tar_headers import headers
from batchgender.photos.places.tar_index import STREAM_ERRORS, Member, TarIndex, is_packed, tar_index, unpacked
from batchgender.photos.places.webdataset import sample_of
from batchgender.photos.reading import check_head, check_size

_CUT_SHORT = "the archive ends before the photo does"


@dataclass(frozen=True)
class TarFile:
    """The photos of a tar. `prefix` begins their paths.

    They come in the order in which a folder of them is walked; of a compressed tar, which is `sequential`, in the
    order of the archive.
    """

    archive: ArchiveFile
    prefix: str
    sequential: bool

    def count(self, findings: Findings) -> int:
        """How many photos it has."""
        index = self._index(findings)
        return len(index.photos) if index else 0

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos, read already where it is compressed."""
        index = self._index(findings)
        if index is None:
            return
        label_of = _labels(index, findings)
        root = self.archive.root
        for path, content in self._read(index) if self.sequential else self._placed(index):
            label = label_of(path)
            yield Photo(printable(self.prefix + path), content, root, label_names(findings.names, label), label)

    def _index(self, findings: Findings) -> TarIndex | None:
        title = self.archive.title
        try:
            index = tar_index(self.archive)
        except UnreadablePhoto as error:
            findings.not_listed(f"{title}: {error}, its photos are missing")
            return None
        findings.skipped.update(index.skipped)
        if index.twice:
            findings.notify_once(twice_line(title, index.twice))
        if index.end:
            findings.not_listed(
                f"{title}: ends early after {len(index.photos):,} photos, any others are missing ({index.end})"
            )
        return index

    def _placed(self, index: TarIndex) -> Iterator[tuple[str, Content]]:
        for path, member in index.photos:
            yield path, Refused(member.problem) if member.problem else TarMember(self.archive, member)

    def _read(self, index: TarIndex) -> Iterator[tuple[str, Content]]:
        found = sorted(index.photos, key=lambda each: each[1].start)
        with ExitStack() as opened:
            try:
                stream = unpacked(opened.enter_context(self.archive.opened()))
            except UnreadablePhoto as error:
                yield from ((path, Refused(str(error))) for path, _ in found)
                return
            # Links to a member have its bytes, which pass once.
            for member, same in groupby(found, key=lambda each: each[1]):
                content = _content(stream, member)
                yield from ((path, content) for path, _ in same)


@dataclass(frozen=True)
class TarMember:
    """A member of a plain tar."""

    archive: ArchiveFile
    member: Member
    held = 0

    def size(self) -> int:
        """Its size in bytes; raises UnreadablePhoto where it is larger than any picture."""
        check_size(self.member.size)
        return self.member.size

    def read(self, size: int) -> bytes:
        """Its bytes; raises UnreadablePhoto, of a large one as soon as it is no picture."""
        with self.archive.opened() as stream:
            stream.seek(self.member.start)
            check_head(size, lambda: stream.read(HEAD))
            stream.seek(self.member.start)
            data = stream.read(size)
        if len(data) < size:
            raise UnreadablePhoto(_CUT_SHORT)
        return data

    def version(self) -> str:
        """Where it is, and the archive's size and time of change: a tar has no check sums of its members."""
        return f"{self.member.start} {self.member.size} {self.archive.size} {self.archive.changed}"


def _content(stream: IO[bytes], member: Member) -> InMemory | Refused:
    """Read a member of a compressed tar, if it may be a photo: what comes later is behind it."""
    try:
        if member.problem:
            raise UnreadablePhoto(member.problem)
        check_size(member.size)
        stream.seek(member.start)
        head = stream.read(min(member.size, HEAD))
        check_head(member.size, lambda: head)
        data = head + stream.read(member.size - len(head))
    except UnreadablePhoto as error:
        return Refused(str(error))
    except MemoryError:
        return Refused("too large for the memory of this machine")
    except STREAM_ERRORS:
        return Refused(_CUT_SHORT)
    return InMemory(data) if len(data) == member.size else Refused(_CUT_SHORT)


def _labels(index: TarIndex, findings: Findings) -> Callable[[str], str | None]:
    """What gives the label that the tar states of a photo, by its path; None where it states none."""
    if findings.names is None:
        return lambda path: None
    labels = index.labels
    class_of = stated_classes(None, labels.values(), index.column, findings.names, findings.notify_once)
    return lambda path: class_of.get(labels[sample], "") if (sample := sample_of(path)) in labels else None


def open_tar(file: str, prefix: str) -> TarFile:
    """Open a tar, compressed or not; raises UserError where it is none, or can't be read."""
    archive = archive_file(file)
    try:
        with archive.opened() as stream:
            packed = is_packed(stream)
            next(headers(unpacked(stream)), None)
    except UnreadablePhoto as error:
        raise UserError(f"{archive.title}: {error}") from error
    except STREAM_ERRORS as error:
        raise UserError(
            f"{archive.title}: no tar archive, or one that is cut short or damaged; copy or download it again"
        ) from error
    return TarFile(archive, prefix, packed)
