"""Zip archives: read member by member, on several threads, without unpacking them."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import chain
from typing import IO, NamedTuple

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.file_type import HEAD, named_as_photo, picture_format
from batchgender.photos.photo import Content, Photo, Refused, printable
from batchgender.photos.places.archive import (
    ArchiveFile,
    archive_file,
    followed,
    is_left_alone,
    linked,
    member_path,
    twice_line,
)
from batchgender.photos.places.place import Findings
from batchgender.photos.places.zip_directory import Directory, Entry, entry_at, find_directory, names_of
from batchgender.photos.reading import check_head, check_size

_STORED, _DEFLATED = 0, 8
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd"}
_LOCAL_HEADER = 30
# Packed bytes that are unpacked at a time, of a large member: of others all.
_PORTION = 2**20
# So much longer is what deflating can't make shorter, in bytes and as a share.
_OVERHEAD, _OVERHEAD_SHARE = 1024, 0.01
_LONGEST_LINK = 4096


@dataclass(frozen=True)
class ZipFile:
    """The photos of a zip, in the order in which a folder of them is walked. `prefix` begins their paths."""

    archive: ArchiveFile
    directory: Directory
    prefix: str
    sequential = False

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos, none read yet but links and what has an unknown ending."""
        try:
            listing = _listing(self.archive, self.directory)
        except (UnreadablePhoto, ValueError) as error:
            findings.not_listed(f"{self.archive.title}: can't list its members ({error}), its photos are missing")
            return
        if listing.twice:
            findings.notify_once(twice_line(self.archive.title, listing.twice))
        root = self.archive.root
        for path in listing.paths:
            content = self._content(listing, path)
            known = named_as_photo(path)
            if known or (known is None and isinstance(content, ZipMember) and content.is_picture()):
                yield Photo(printable(self.prefix + path), content, root, findings.names)
            else:
                findings.skip(path)

    def _content(self, listing: "_Listing", path: str) -> Content:
        member = followed(listing.links, path, listing.members) if path in listing.links else path
        if member is None:
            return Refused(f"a link to {printable(listing.links[path])}, which is not in the archive")
        return _member(self.archive, self.directory, listing.bytes, listing.members[member])


class _Listing(NamedTuple):
    """The central directory, where in it the entry of each member is by path, where links lead, the paths in order.

    `twice` is how many paths several members have.
    """

    bytes: bytes
    members: dict[str, int]
    links: dict[str, str]
    paths: list[str]
    twice: int


# Walked several times, and by two threads: two, for a large one takes a second.
@lru_cache(maxsize=2)
def _listing(archive: ArchiveFile, directory: Directory) -> _Listing:
    """List a zip; raises UnreadablePhoto where it can't be read, ValueError where its directory is damaged."""
    with archive.opened() as stream:
        stream.seek(directory.start)
        data = stream.read(directory.size)
    members: dict[str, int] = {}
    links: dict[str, str] = {}
    twice: set[str] = set()
    for name, at, is_link in names_of(data):
        if name.endswith("/") or not (path := member_path(name)):
            continue
        if path in members or path in links:
            twice.add(path)
            members.pop(path, None)
            links.pop(path, None)
        target = _target(_member(archive, directory, data, at)) if is_link else None
        if target is None:
            members[path] = at
        else:
            links[path] = linked(path, target)
    paths = sorted(path for path in chain(members, links) if not is_left_alone(path))
    return _Listing(data, members, links, paths, len(twice))


def _member(archive: ArchiveFile, directory: Directory, data: bytes, at: int) -> Content:
    try:
        return ZipMember(archive, entry_at(data, at, directory.shift))
    except ValueError as error:
        return Refused(f"damaged: {error}")


def _target(member: Content) -> str | None:
    """What a symbolic link holds; None where that is no path: then it is taken for a file, whose row says why."""
    try:
        size = member.size()
        text = member.read(size) if size <= _LONGEST_LINK else b""
    except UnreadablePhoto:
        return None
    return text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) and text else None


@dataclass(frozen=True)
class ZipMember:
    """A member of a zip, unpacked when it is read."""

    archive: ArchiveFile
    entry: Entry
    held = 0

    def size(self) -> int:
        """Its size in bytes; raises UnreadablePhoto where it can't be unpacked, or is larger than any picture."""
        entry = self.entry
        if entry.encrypted:
            raise UnreadablePhoto("encrypted; unpack the archive with its password and give the folder")
        if entry.method not in (_STORED, _DEFLATED):
            method = _METHODS.get(entry.method, f"method {entry.method}")
            raise UnreadablePhoto(f"packed by {method}, which is not supported; unpack the archive and give the folder")
        check_size(entry.size)
        if entry.packed > entry.size * (1 + _OVERHEAD_SHARE) + _OVERHEAD:
            raise UnreadablePhoto("damaged: it takes more packed than unpacked")
        return entry.size

    def read(self, size: int) -> bytes:
        """Its bytes; raises UnreadablePhoto, of a large one as soon as it is no picture."""
        check_head(size, lambda: self._unpacked(HEAD))
        # One byte more shows that it is larger than it should be.
        data = self._unpacked(size + 1)
        if len(data) > size:
            raise UnreadablePhoto(f"damaged: larger than the {size:,} bytes that the archive says it has")
        if len(data) < size:
            raise UnreadablePhoto(f"damaged: {len(data):,} of its {size:,} bytes are there")
        if zlib.crc32(data) != self.entry.crc:
            raise UnreadablePhoto("damaged: its check sum is wrong")
        return data

    def version(self) -> str:
        """Its size and its check sum, as the archive has them."""
        return f"{self.entry.size} {self.entry.crc}"

    def is_picture(self) -> bool:
        """Whether its first bytes are a picture's; what can't be read is none."""
        try:
            self.size()
            return bool(picture_format(self._unpacked(HEAD)))
        except UnreadablePhoto:
            return False

    def _unpacked(self, most: int) -> bytes:
        """Unpack up to `most` bytes: all of it may be a thousand times as large as what is packed."""
        with self.archive.opened() as stream:
            stream.seek(self.entry.at)
            header = stream.read(_LOCAL_HEADER)
            if not header.startswith(b"PK\3\4") or len(header) < _LOCAL_HEADER:
                raise UnreadablePhoto("damaged: no member where the archive's directory says that it is")
            name, fields = struct.unpack_from("<2H", header, _LOCAL_HEADER - 4)
            stream.seek(name + fields, os.SEEK_CUR)
            if self.entry.method == _STORED:
                return stream.read(min(self.entry.packed, most))
            return _inflated(stream, self.entry.packed, most)


def _inflated(stream: IO[bytes], packed: int, most: int) -> bytes:
    """Inflate `packed` bytes of a stream to up to `most`."""
    unpacker, data = zlib.decompressobj(-zlib.MAX_WBITS), BytesIO()
    try:
        while data.tell() < most and (portion := stream.read(min(packed, most + _PORTION))):
            packed -= len(portion)
            data.write(unpacker.decompress(portion, most - data.tell()))
    except zlib.error as error:
        raise UnreadablePhoto("damaged: it can't be unpacked") from error
    return data.getvalue()


def open_zip(file: str, prefix: str) -> ZipFile:
    """Find a zip's directory; raises UserError where it has none, is a part of a split one, or can't be read."""
    archive = archive_file(file)
    try:
        with archive.opened() as stream:
            return ZipFile(archive, find_directory(stream, archive.size, archive.title), prefix)
    except UnreadablePhoto as error:
        raise UserError(f"{archive.title}: {error}") from error
