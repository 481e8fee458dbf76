"""The headers of a tar: ustar, with the extensions of GNU and of pax (POSIX.1-2001)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_BLOCK = 512
_END = bytes(_BLOCK)
# Name, mode and owner, size, time, check sum, kind, link, magic; what ustar has behind it, the last is GNU's.
_HEADER = struct.Struct("100s24s12s12s8ss100s8s80s155s")
_SUM = slice(148, 156)
_POSIX = b"ustar\x0000"
# A name may be long, but a header that claims more is no name: it would be held in memory.
_LONGEST_NAME = 2**20
# No file system has files of this size.
_LARGEST = 2**62
_NO_HEADER = "no header where one should be"
FILES, HARD_LINK, SYMBOLIC_LINK, FOLDER = (b"0", b"\0", b"7", b"S"), b"1", b"2", b"5"
# Of all kinds these have no bytes, whatever size they state.
_WITHOUT_BYTES = (HARD_LINK, SYMBOLIC_LINK, b"3", b"4", FOLDER, b"6")
_GNU_SPARSE = b"S"


class DamagedTar(Exception):
    """What says why a tar can't be read on from here."""


@dataclass(frozen=True, slots=True)
class Header:
    """A member: its name, what it is, where its bytes begin and how many there are, and where it leads as a link."""

    name: str
    kind: bytes
    start: int
    size: int
    link: str
    sparse: bool

    @property
    def is_file(self) -> bool:
        """Whether it is a file with bytes of its own."""
        return self.kind in FILES

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == FOLDER


def headers(stream: IO[bytes]) -> Iterator[Header]:
    """Yield the members of a tar, from its beginning on; the stream is only ever sought forward.

    Raises DamagedTar where it ends before its end mark, or has something else in the place of a header, beside what
    the stream raises.
    """
    at = 0
    shared: dict[str, str] = {}
    own: dict[str, str] = {}
    while (block := _header_block(stream, at)) != _END:
        name, _, size_field, _, _, kind, link, magic, _, before = _HEADER.unpack_from(block)
        start, size = at + _BLOCK, _number(size_field)
        if kind in (b"x", b"X", b"g", b"L", b"K"):
            text = _exactly(stream, size)
            if kind == b"L":
                own["path"] = _text(text)
            elif kind == b"K":
                own["linkpath"] = _text(text)
            else:
                (shared if kind == b"g" else own).update(_records(text))
            at = start + _padded(size)
            continue
        about = {**shared, **own}
        own = {}
        if kind == _GNU_SPARSE:
            start += _more_blocks(stream, block)
        size = _decimal(about["size"]) if "size" in about else size
        full = _text(before) + "/" + _text(name) if magic == _POSIX and before[0] else _text(name)
        full = about.get("GNU.sparse.name") or about.get("path") or full
        # In tars of before 1988 directories are files but for their names.
        kind = FOLDER if kind in FILES and full.endswith("/") else kind
        size = 0 if kind in _WITHOUT_BYTES else size
        sparse = kind == _GNU_SPARSE or any(key.startswith("GNU.sparse.") for key in about)
        yield Header(full, kind, start, size, about.get("linkpath") or _text(link), sparse)
        at = start + _padded(size)


def _header_block(stream: IO[bytes], at: int) -> bytes:
    stream.seek(at)
    block = stream.read(_BLOCK)
    if not block:
        raise DamagedTar("the mark of its end is missing")
    if len(block) < _BLOCK:
        raise DamagedTar("it is cut short")
    if block != _END:
        found = _number(block[_SUM])
        rest = block[: _SUM.start] + b" " * 8 + block[_SUM.stop :]
        # Some old ones added bytes up as signed numbers.
        if found != (total := sum(rest)) and found != total - 256 * sum(byte > 127 for byte in rest):
            raise DamagedTar(_NO_HEADER)
    return block


def _number(field: bytes) -> int:
    """A number as tar writes it: octal digits, or, where these have no room for it, its bytes."""
    if field[0] == 0x80:
        return _possible(int.from_bytes(field[1:]))
    try:
        return int(field.rstrip(b"\0 ").lstrip() or b"0", 8)
    except ValueError as error:
        raise DamagedTar(_NO_HEADER) from error


def _decimal(text: str) -> int:
    return _possible(int(text) if text.isdecimal() and len(text) < 20 else _LARGEST)


def _possible(size: int) -> int:
    if size >= _LARGEST:
        raise DamagedTar(_NO_HEADER)
    return size


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _exactly(stream: IO[bytes], size: int) -> bytes:
    if size > _LONGEST_NAME:
        raise DamagedTar(f"a name of {size / 1e6:,.0f} MB")
    if len(data := stream.read(size)) < size:
        raise DamagedTar("it is cut short")
    return data


def _records(data: bytes) -> dict[str, str]:
    """The values of a pax header by their keys: "LENGTH KEY=VALUE" and a line feed, the length that of all."""
    found = {}
    at = 0
    while at < len(data) and data[at]:
        digits = data[at : at + 20].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        key, sign, value = data[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not sign:
            raise DamagedTar("a pax header that can't be read")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found


def _more_blocks(stream: IO[bytes], block: bytes) -> int:
    """How many bytes more the map of a sparse file of GNU's old format takes; they are read."""
    taken, more = 0, block[482]
    while more:
        more = _exactly(stream, _BLOCK)[504]
        taken += _BLOCK
    return taken
