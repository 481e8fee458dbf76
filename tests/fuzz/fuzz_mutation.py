"""Bytes of a sound file changed as disks, networks and hostile people change them; the same seed, the same change."""

import random
from collections.abc import Sequence

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TEXTS = (
    b"\0",
    b"\n",
    b'"',
    b",",
    b"nan",
    b"inf",
    b"1e999",
    b"-1",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"9" * 5000,
    b"[" * 3000,
)


def mutated(data: bytes, others: Sequence[bytes], seed: str) -> bytes:
    """The bytes with one to six changes."""
    draw = random.Random(seed)
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        at = draw.randrange(len(changed) + 1)
        # Headers decide more than what follows.
        at = draw.randrange(min(len(changed), 256) + 1) if draw.random() < 0.4 else at
        count = draw.choice((1, 2, 4, 16, 200, 2048))
        way = draw.randrange(8)
        if way == 0 and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << draw.randrange(8)
        elif way == 1:
            size = draw.choice((1, 2, 4))
            number = draw.choice(_NUMBERS) & (1 << 8 * size) - 1
            changed[at : at + size] = number.to_bytes(size, draw.choice(("big", "little")))
        elif way == 2:
            changed[at : at + count] = bytes(count)
        elif way == 3:
            del changed[at : at + count]
        elif way == 4:
            changed[at:at] = changed[at : at + count] * draw.choice((1, 2, 8))
        elif way == 5:
            del changed[at:]
        elif way == 6:
            other = draw.choice(others)
            changed[at:] = other[min(at, len(other)) :]
        else:
            changed[at : at + draw.choice((0, 1))] = draw.choice(_TEXTS)
    return bytes(changed)
