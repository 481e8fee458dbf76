"""A zip's central directory, read as PKWARE's APPNOTE.TXT describes it, with Zip64 and Info-ZIP's Unicode paths."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from batchgender.errors import UserError

# By APPNOTE's sections: 4.3.16, 4.3.15, 4.3.14, 4.3.12.
_END = struct.Struct("<4s4H2LH")
_LOCATOR64 = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s2B5H3L5H2L")
_LONGEST_COMMENT = 2**16
# So large a directory has some ten million members.
_LARGEST = 2**30
# Where a number stands that its field has no room for.
_ELSEWHERE = 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_ENCRYPTED, _UTF_8 = 0x1, 0x800
# Systems that write names in UTF-8 without saying so, and for which a backslash is a letter: Unix, macOS.
_UNIX = (3, 19)
_LINK = 0o120000
_CUT_SHORT = "no zip archive, or one that is cut short: its central directory is missing; copy or download it again"


@dataclass(frozen=True)
class Directory:
    """Where a central directory is; `shift` is how much further all lies than it says, for something stands before."""

    start: int
    size: int
    shift: int


@dataclass(frozen=True)
class Entry:
    """A member as the directory describes it: where its local header is, and its sizes in bytes, packed and not."""

    at: int
    method: int
    encrypted: bool
    packed: int
    size: int
    crc: int


def find_directory(stream: IO[bytes], size: int, title: str) -> Directory:
    """Find the directory of a zip of `size` bytes; raises UserError where there is none, or only a part of the zip."""
    begin = max(size - _END.size - _LONGEST_COMMENT, 0)
    stream.seek(begin)
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise UserError(f"{title}: {_CUT_SHORT}")
    _, disk, _, _, _, length, offset, _ = _END.unpack_from(tail, at)
    end, disks = begin + at, disk + 1
    if end >= _LOCATOR64.size:
        stream.seek(end - _LOCATOR64.size)
        signature, _, _, disks64 = _LOCATOR64.unpack(stream.read(_LOCATOR64.size))
        if signature == b"PK\6\7":
            # It lies right before its locator, whatever stands before the archive.
            end, disks = max(end - _LOCATOR64.size - _END64.size, 0), disks64
            stream.seek(end)
            signature, *_, length, offset = _END64.unpack(stream.read(_END64.size))
            if signature != b"PK\6\6" and disks == 1:
                raise UserError(f"{title}: {_CUT_SHORT}")
    if disks > 1:
        raise UserError(
            f"{title}: a part of a zip that is split into {disks}; join them (zip -s 0 {title} --out whole.zip), and"
            " give the whole"
        )
    if length > min(end, _LARGEST):
        raise UserError(f"{title}: {_CUT_SHORT}")
    return Directory(end - length, length, end - length - offset)


def names_of(directory: bytes) -> Iterator[tuple[str, int, bool]]:
    """Yield the name of each member, where its entry begins, and whether it is a link.

    Names have `/` between their parts. Raises ValueError where the directory is damaged.
    """
    at = 0
    while at < len(directory):
        try:
            signature, _, system, _, flags, *_, length, extra, comment, _, _, attributes, _ = _ENTRY.unpack_from(
                directory, at
            )
        except struct.error as error:
            raise ValueError("it ends early") from error
        if signature != b"PK\1\2":
            raise ValueError("no entry where one should be")
        begin = at + _ENTRY.size
        raw = directory[begin : begin + length]
        name = _text(raw, flags, system, directory[begin + length : begin + length + extra])
        yield name, at, system in _UNIX and (attributes >> 16) & 0o170000 == _LINK
        at = begin + length + extra + comment


def entry_at(directory: bytes, at: int, shift: int) -> Entry:
    """The entry that begins at `at`; raises ValueError where its sizes are missing."""
    _, _, _, _, flags, method, _, _, crc, packed, size, length, extra, _, _, _, _, offset = _ENTRY.unpack_from(
        directory, at
    )
    begin = at + _ENTRY.size + length
    numbers = [size, packed, offset]
    if _ELSEWHERE in numbers and (field := _extra_field(directory[begin : begin + extra], _ZIP64)) is not None:
        for index, number in enumerate(numbers):
            if number == _ELSEWHERE:
                if len(field) < 8:
                    raise ValueError("a size is missing")
                numbers[index], field = int.from_bytes(field[:8], "little"), field[8:]
    size, packed, offset = numbers
    return Entry(offset + shift, method, bool(flags & _ENCRYPTED), packed, size, crc)


def _text(raw: bytes, flags: int, system: int, extra: bytes) -> str:
    """A name in Unicode: as UTF-8 where that is said, or written on Unix; else in CP437, the code page of DOS."""
    field = _extra_field(extra, _UNICODE_PATH) if extra else None
    if field and len(field) > 5 and field[0] == 1 and int.from_bytes(field[1:5], "little") == zlib.crc32(raw):
        name = field[5:].decode("utf-8", "surrogateescape")
    elif raw.isascii() or flags & _UTF_8:
        name = raw.decode("utf-8", "surrogateescape")
    else:
        name = _utf_8(raw) if system in _UNIX else ""
        name = name or raw.decode("cp437")
    name = name.partition("\0")[0]
    return name if system in _UNIX else name.replace("\\", "/")


def _utf_8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _extra_field(extra: bytes, wanted: int) -> bytes | None:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return None
