"""The header of a JPEG XL file: its plugin decodes the whole picture before it tells how large it is."""

from dataclasses import dataclass

from batchgender.errors import UnreadablePhoto
from batchgender.photos.iso_boxes import boxes

_CODESTREAM = b"\xff\x0a"
# More than the part of the header that is read takes.
_HEAD = 64
# Width to height, by the number in the header.
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
# By a number of two bits: how many bits a value has, and what is added to it.
_SIDE = ((9, 1), (13, 1), (18, 1), (30, 1))
_PREVIEW_SIDE = ((6, 1), (8, 65), (10, 321), (12, 1345))
_PREVIEW_EIGHTHS = ((0, 16), (0, 32), (5, 1), (9, 33))
_BITS = ((0, 8), (0, 10), (0, 12), (6, 1))
_EXTRA_CHANNELS = ((0, 0), (0, 1), (4, 2), (12, 1))


@dataclass(frozen=True)
class JpegXlHeader:
    """Width and height as the pixels are stored, how many channels there are beside colours, and whether it moves."""

    width: int
    height: int
    extra_channels: int = 0
    animated: bool = False


def read_header(data: bytes) -> JpegXlHeader:
    """Read the header of a JPEG XL file; raises UnreadablePhoto where it is not whole."""
    codestream = _codestream(data)
    if not codestream.startswith(_CODESTREAM):
        raise UnreadablePhoto("damaged JPEG XL: it holds no picture")
    bits = _Bits(codestream[2:])
    width, height = bits.size()
    if bits.take(1):
        return JpegXlHeader(width, height)  # All else is as usual.
    if bits.take(1):
        bits.take(3)  # Which way up: the decoder turns it.
        if bits.take(1):
            bits.size()  # The size at which it is to be shown.
        if bits.take(1):
            bits.preview()
        if bits.take(1):
            return JpegXlHeader(width, height, animated=True)
    floats = bits.take(1)
    bits.choice(_BITS)
    # The bits of an exponent, and whether 16 bits are enough to compute with.
    bits.take(5 if floats else 1)
    return JpegXlHeader(width, height, bits.choice(_EXTRA_CHANNELS))


def _codestream(data: bytes) -> bytes:
    """The first bytes of the codestream: the file itself, or in boxes, perhaps in parts that begin with a number."""
    if data.startswith(_CODESTREAM):
        return data[:_HEAD]
    head = b""
    for kind, start, end in boxes(data):
        if kind in (b"jxlc", b"jxlp") and len(head) < _HEAD:
            start += 4 if kind == b"jxlp" else 0
            head += data[start : min(end, start + _HEAD)]
    return head


class _Bits:
    """Bytes as bits, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """The number that the next bits are."""
        if count > self._left:
            raise UnreadablePhoto("truncated JPEG XL: the file ends before the picture does")
        value = self._value & ((1 << count) - 1)
        self._value, self._left = self._value >> count, self._left - count
        return value

    def choice(self, kinds: tuple[tuple[int, int], ...]) -> int:
        """A value of one of four kinds."""
        bits, offset = kinds[self.take(2)]
        return self.take(bits) + offset

    def size(self) -> tuple[int, int]:
        """Width and height."""
        eighths = self.take(1)

        def side() -> int:
            return 8 * (self.take(5) + 1) if eighths else self.choice(_SIDE)

        height = side()
        ratio = self.take(3)
        across, down = _RATIOS.get(ratio, (0, 1))
        return (height * across // down if ratio else side()), height

    def preview(self) -> None:
        """Pass over the size of a preview."""
        kinds = _PREVIEW_EIGHTHS if self.take(1) else _PREVIEW_SIDE
        self.choice(kinds)
        if not self.take(3):
            self.choice(kinds)
