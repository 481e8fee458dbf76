"""What a kind of place offers, and what is noted while one is looked through."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from batchgender.io import Notify, silent
from batchgender.photos.labels import LabelNames
from batchgender.photos.photo import Photo
from batchgender.photos.shard import ShardWalk

# The ending that a file is counted by; what follows a full stop within a sentence is none.
_ENDING = re.compile(r"\.[\w~-]{1,16}")


@dataclass
class Findings:
    """What is found beside photos: files left out, by ending, and places that can't be listed.

    `names` are what folders may call the classes, None where they carry no label; `fps` is how many frames a second are
    taken of videos, None where these are left out; `leave_out` is a folder that no walk looks into; `notify` gets each
    line once. `shard_walk` is asked for each video, None where all are taken: the frames of others are not decoded.
    """

    notify: Notify
    names: LabelNames | None
    fps: float | None = None
    leave_out: str | None = None
    shard_walk: ShardWalk | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    unlistable: int = 0
    _notified: set[str] = field(default_factory=set)
    _left_out: tuple[int, int] | None = None

    def begin(self) -> None:
        """Count anew: the places are looked through again."""
        self.skipped.clear()
        self.unlistable = 0
        # Looked up for each walk: the folder may have been made since.
        self._left_out = None
        if self.leave_out is not None:
            with suppress(OSError):
                status = os.stat(self.leave_out)
                self._left_out = status.st_dev, status.st_ino

    def beside(self) -> "Findings":
        """Findings of a walk beside this one, of which nothing is said."""
        return Findings(silent, self.names, self.fps, self.leave_out)

    def is_left_out(self, folder: tuple[int, int]) -> bool:
        """Whether a folder, by its device and inode, is the one that is not looked into."""
        return folder == self._left_out

    def skip(self, name: str) -> None:
        """Count a file that is no photo."""
        self.skipped[counted_ending(name)] += 1

    def not_listed(self, line: str) -> None:
        """Count a folder whose photos are missing, and say so."""
        self.unlistable += 1
        self.notify_once(line)

    def notify_once(self, line: str) -> None:
        """Pass a line on, the first time: a large tree is walked more than once."""
        if line not in self._notified:
            self._notified.add(line)
            self.notify(line)


def counted_ending(name: str) -> str:
    """What a file is counted by that is no photo: its ending in small letters, or that it has none."""
    ending = os.path.splitext(name)[1].lower()
    return ending if _ENDING.fullmatch(ending) else "no ending"


class Place(Protocol):
    """A folder, a file, an archive: anything that holds photos. Looked through several times."""

    @property
    def sequential(self) -> bool:
        """Whether its photos come with their bytes, for it can only be read from its beginning on."""

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos in the order of their paths (a sequential one in its own); raises UserError."""


@runtime_checkable
class Counted(Protocol):
    """A place that knows how many photos it has before it reads them."""

    def count(self, findings: Findings) -> int:
        """How many photos it will yield; what it leaves out is noted as `photos` does."""


class OpenedPlace(Place, Protocol):
    """A place that was opened before the source: a list, or photos that a program gives."""

    @property
    def title(self) -> str:
        """What messages call it."""

    @property
    def origin(self) -> str:
        """What a resumed run compares: the same for the same photos."""
