"""Shards: each photo is in one of N by a hash of its path, whichever machine asks, and in whatever order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

_WRITTEN = re.compile(r"(\d{1,7})/(\d{1,7})", re.ASCII)
# Of a number in bytes: the bits that count, and the one that says that more follow (LEB128).
_BITS, _MORE = 7, 0x80


@dataclass(frozen=True)
class Shard:
    """Shard `number`, from 1, of so many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, path: str) -> bool:
        """Whether a photo is in it, by the path that its rows show."""
        digest = blake2b(_bytes(path), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1


def parse_shard(text: str) -> Shard:
    """Read "3/16"; raises ValueError on anything else."""
    found = _WRITTEN.fullmatch(text)
    shard = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.of:
        raise ValueError(f"{text!r}: write I/N, shard I of N, I from 1 to N: 3/16")
    return shard


class ShardWalk:
    """One walk over all photos: which are in the shard, and where these stand among all.

    `photos` are all photos so far, and `digest` is of their paths: equal for walks over the same ones. `before` has for
    each photo of the shard how many of others stand between it and the one before it, as numbers in LEB128: a byte each
    in up to some fifty shards.
    """

    def __init__(self, shard: Shard) -> None:
        self._shard, self._paths, self._others = shard, blake2b(digest_size=16), 0
        self.photos, self.before = 0, bytearray()

    @property
    def digest(self) -> str:
        """A hash of the paths of all photos, in their order."""
        return self._paths.hexdigest()

    def takes(self, path: str) -> bool:
        """Whether the next photo, of this path, is in the shard; to be asked once for each."""
        self.photos += 1
        self._paths.update(_bytes(path) + b"\0")
        if not self._shard.holds(path):
            self._others += 1
            return False
        others, self._others = self._others, 0
        while others >= _MORE:
            self.before.append(others % _MORE | _MORE)
            others >>= _BITS
        self.before.append(others)
        return True


def positions(before: bytes) -> Iterator[int]:
    """Yield the places of a shard's photos among all, from 0, by what `ShardWalk.before` holds."""
    at, number, shift = -1, 0, 0
    for byte in before:
        number |= (byte % _MORE) << shift
        shift += _BITS
        if byte < _MORE:
            at += number + 1
            yield at
            number = shift = 0


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")
