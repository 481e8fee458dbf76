"""A HEIF file before it is decoded: which coded pictures its primary one is made of, what they claim, what is missing.

libheif shows what it can of a damaged file, and leaves out tiles without a word.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator

from batchgender.errors import UnreadablePhoto
from batchgender.photos.iso_boxes import boxes
from batchgender.photos.limits import PIXEL_LIMIT, check_pixels

_HEVC = b"hvc1"
# A grid of tiles, pictures laid over each other, and a picture that is turned or cut once more.
_MADE_OF_OTHERS = frozenset({b"grid", b"iovl", b"iden"})
_ALPHA = (b"urn:mpeg:hevc:2015:auxid:1\0", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
# Tiles stand out over the edges, and transparency is a picture of its own.
_LIMIT = 2 * PIXEL_LIMIT
# Pictures made of pictures, in so many steps at most.
_STEPS = 8
# libheif takes no more items, and none in more pieces.
_ITEMS, _PIECES = 1000, 32
# HEVC writes no three zeros in a row inside its units: a hole in the file does.
_HOLE = bytes(3)
# Where the decoder's settings say how long the length before a unit is.
_LENGTH_SIZE = 21


def coded_pixels(data: bytes) -> int:
    """How many pixels are decoded for the primary picture: its own, or its tiles', and its transparency's.

    Raises UnreadablePhoto where the file has no primary picture, where it is coded as something else than HEVC, where
    it claims more pixels than the limits, and where a part of it is missing.
    """
    try:
        items = _Items(data)
        if items.primary not in items.kinds:
            raise UnreadablePhoto("damaged HEIC, or a sequence alone: it has no primary picture")
        pixels, pictures = items.coded(items.primary)
    except (struct.error, IndexError) as error:
        raise UnreadablePhoto("damaged HEIC: its boxes hold less than they say") from error
    if pictures == 1:
        check_pixels(pixels, f"{pixels:,} pixels", len(data))
    else:
        check_pixels(pixels, f"{pixels:,} pixels in {pictures:,} tiles", len(data), limit=_LIMIT)
    return pixels


class _Items:
    """The items of a HEIF file by their numbers: kinds, sizes, bytes, and what each is made of."""

    def __init__(self, data: bytes) -> None:
        self.primary = -1
        self.kinds: dict[int, bytes] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        # Where the bytes of each lie in the file: start and length; of those that lie elsewhere, nothing.
        self._places: dict[int, list[tuple[int, int]]] = {}
        self._length_sizes: dict[int, int] = {}
        self._alphas: set[int] = set()
        # By item: what it is made of, and what belongs to it (transparency, depth, brightness).
        self._parts: dict[int, list[int]] = defaultdict(list)
        self._auxiliary: dict[int, list[int]] = defaultdict(list)
        self._known: dict[int, tuple[int, int]] = {}
        self._data = data
        for kind, start, end in boxes(data):
            if kind == b"meta":
                self._read(start + 4, end)
                return

    def coded(self, item: int, step: int = 0) -> tuple[int, int]:
        """The pixels and the number of the coded pictures that an item is made of; raises UnreadablePhoto."""
        if item in self._known:
            return self._known[item]
        kind = self.kinds.get(item)
        if not kind:
            raise UnreadablePhoto("damaged HEIC: a tile of its picture is missing")
        if kind != _HEVC and kind not in _MADE_OF_OTHERS:
            name = kind.decode("ascii", "backslashreplace")
            raise UnreadablePhoto(f"HEIF whose picture is not coded as HEVC, but as {name!r}; convert it to JPEG")
        if step > _STEPS:
            raise UnreadablePhoto("damaged HEIC: its picture is made of pictures without an end")
        width, height = self._sizes.get(item, (0, 0))
        pixels, pictures = (width * height, 1) if kind == _HEVC else (0, 0)
        if kind == _HEVC:
            self._check_bytes(item)
        for part in (*self._parts[item], *(each for each in self._auxiliary[item] if each in self._alphas)):
            more_pixels, more = self.coded(part, step + 1)
            pixels, pictures = pixels + more_pixels, pictures + more
        self._known[item] = pixels, pictures
        return pixels, pictures

    def _check_bytes(self, item: int) -> None:
        """Raise UnreadablePhoto where the bytes of a coded picture lie behind the file's end, or have a hole."""
        places = self._places.get(item, [])
        size = len(self._data)
        if any(start + length > size for start, length in places) or sum(length for _, length in places) > size:
            raise UnreadablePhoto("truncated HEIC: the file ends before the picture does")
        units = b"".join(self._data[start : start + length] for start, length in places)
        size, at = self._length_sizes.get(item, 4), 0
        while at < len(units):
            start = at + size
            at = start + int.from_bytes(units[at:start])
            if at == start or at > len(units) or units.find(_HOLE, start, at) >= 0:
                raise UnreadablePhoto("damaged HEIC: a part of the picture is missing")

    def _read(self, start: int, end: int) -> None:
        for kind, content, stop in boxes(self._data, start, end):
            version = self._data[content] if content < stop else 0
            if kind == b"pitm":
                (self.primary,) = struct.unpack_from(">I" if version else ">H", self._data, content + 4)
            elif kind == b"iinf":
                for _, inside, _ in boxes(self._data, content + (8 if version else 6), stop):
                    number = ">IH4s" if self._data[inside] == 3 else ">HH4s"
                    item, _, self.kinds[item] = struct.unpack_from(number, self._data, inside + 4)
            elif kind == b"iloc":
                self._read_places(version, content + 4)
            elif kind == b"iref":
                for link, item, to in self._links(content + 4, stop, ">I" if version else ">H"):
                    if link == b"dimg":
                        self._parts[item] += to
                    elif link == b"auxl":
                        for each in to:
                            self._auxiliary[each].append(item)
            elif kind == b"iprp":
                self._read_properties(content, stop)

    def _read_places(self, version: int, at: int) -> None:
        offsets, lengths = divmod(self._data[at], 16)
        bases, indices = divmod(self._data[at + 1], 16)
        at += 2

        def number(size: int) -> int:
            nonlocal at
            at += size
            if at > len(self._data):
                raise struct.error
            return int.from_bytes(self._data[at - size : at])

        def few(count: int, most: int) -> range:
            if count > most:
                raise UnreadablePhoto("HEIC of more pictures and pieces than a photo has")
            return range(count)

        wide = 2 if version < 2 else 4
        for _ in few(number(wide), _ITEMS):
            item = number(wide)
            elsewhere = number(2) & 15 if version else 0
            number(2)  # In which file: this one.
            base, places = number(bases), []
            for _ in few(number(2), _PIECES):
                number(indices if version else 0)
                start, length = base + number(offsets), number(lengths)
                places.append((start, length or max(len(self._data) - start, 0)))
            if not elsewhere:
                self._places[item] = places

    def _links(self, start: int, end: int, number: str) -> Iterator[tuple[bytes, int, list[int]]]:
        """Yield each reference: its kind, from which item it is, and to which."""
        width = struct.calcsize(number)
        for kind, content, _ in boxes(self._data, start, end):
            (item,) = struct.unpack_from(number, self._data, content)
            (count,) = struct.unpack_from(">H", self._data, content + width)
            to = struct.unpack_from(f">{count}{number[1]}", self._data, content + width + 2)
            yield kind, item, list(to)

    def _read_properties(self, start: int, end: int) -> None:
        places = list(boxes(self._data, start, end))
        properties = [each for kind, *place in places if kind == b"ipco" for each in boxes(self._data, *place)]
        for kind, content, _ in places:
            if kind != b"ipma":
                continue
            version, wide = self._data[content], self._data[content + 3] & 1
            (count,) = struct.unpack_from(">I", self._data, content + 4)
            at = content + 8
            for _ in range(count):
                item, owned = struct.unpack_from(">IB" if version else ">HB", self._data, at)
                at += 5 if version else 3
                for index in struct.unpack_from(f">{owned}{'H' if wide else 'B'}", self._data, at):
                    # The highest bit says whether it matters.
                    self._add_property(item, properties, index & (0x7FFF if wide else 0x7F))
                at += owned * (2 if wide else 1)

    def _add_property(self, item: int, properties: list[tuple[bytes, int, int]], index: int) -> None:
        if not 0 < index <= len(properties):
            return
        kind, content, end = properties[index - 1]
        if kind == b"ispe":
            width, height = struct.unpack_from(">II", self._data, content + 4)
            self._sizes[item] = width, height
        elif kind == b"hvcC":
            self._length_sizes[item] = (self._data[content + _LENGTH_SIZE] & 3) + 1
        elif kind == b"auxC" and self._data[content + 4 : end].startswith(_ALPHA):
            self._alphas.add(item)
