"""HEIF containers that no library writes, made byte by byte around pictures that pillow-heif encoded."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from photo_files import encoded
from PIL import Image


@dataclass(frozen=True)
class Item:
    """An item of a HEIF container: type, bytes, property boxes, and the items (from 1) that it refers to."""

    kind: bytes
    data: bytes
    properties: Sequence[bytes] = ()
    references: Mapping[bytes, Sequence[int]] = field(default_factory=dict)


def box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", len(data) + 8) + kind + data


def full_box(kind: bytes, version: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *parts)


def size_property(width: int, height: int) -> bytes:
    return full_box(b"ispe", 0, struct.pack(">II", width, height))


def coded(picture: Image.Image, **options: Any) -> Item:
    """The picture as a coded item."""
    data = encoded("HEIF", picture, **options)
    at = data.index(b"hvcC") - 4
    config = data[at : at + int.from_bytes(data[at : at + 4])]
    return Item(b"hvc1", data[data.index(b"mdat") + 4 :], [size_property(*picture.size), config])


def grid(width: int, height: int, columns: int, rows: int, tiles: Sequence[int]) -> Item:
    """An item of tiles."""
    data = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)
    return Item(b"grid", data, [size_property(width, height)], {b"dimg": tiles})


def container(items: Sequence[Item], primary: int = 1, brand: bytes = b"heic") -> bytes:
    """A HEIF file of items, numbered from 1, whose boxes come before their bytes."""
    every = list(dict.fromkeys(each for item in items for each in item.properties))
    infos = [
        full_box(b"infe", 2, struct.pack(">HH", number, 0), item.kind, b"\0") for number, item in enumerate(items, 1)
    ]
    links = [
        box(kind, struct.pack(f">HH{len(to)}H", number, len(to), *to))
        for number, item in enumerate(items, 1)
        for kind, to in item.references.items()
    ]
    owned = [
        struct.pack(">HB", number, len(item.properties))
        + bytes(0x80 | every.index(each) + 1 for each in item.properties)
        for number, item in enumerate(items, 1)
    ]
    head = box(b"ftyp", brand, bytes(4), b"mif1", brand)

    def meta(start: int) -> bytes:
        places = b""
        for number, item in enumerate(items, 1):
            places += struct.pack(">HHHII", number, 0, 1, start, len(item.data))
            start += len(item.data)
        return full_box(
            b"meta",
            0,
            full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, struct.pack(">H", primary)),
            full_box(b"iloc", 0, b"\x44\0", struct.pack(">H", len(items)), places),
            full_box(b"iinf", 0, struct.pack(">H", len(items)), *infos),
            *([full_box(b"iref", 0, *links)] if links else []),
            box(b"iprp", box(b"ipco", *every), full_box(b"ipma", 0, struct.pack(">I", len(items)), *owned)),
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(item.data for item in items))
