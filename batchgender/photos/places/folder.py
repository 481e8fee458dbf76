"""Folders and files of this machine: walked, filtered and ordered."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from batchgender.errors import os_reason
from batchgender.photos.photo import LocalFile, Photo, printable
from batchgender.photos.places.place import Findings
from batchgender.photos.places.video import Video, is_video
from batchgender.photos.reading import is_photo

# What systems and network storage leave beside photos, in small letters: thumbnails, waste baskets, snapshots.
_SYSTEM_FOLDERS = frozenset(
    {
        *("__macosx", "network trash folder", "temporary items"),  # macOS
        *("$recycle.bin", "recycler", "system volume information"),  # Windows; FOUND.000 is below
        *("lost+found", "lost.dir"),  # Linux, Android
        *("@eadir", "@tmp", "@sharebin", "#recycle", "#snapshot"),  # Synology
        *("@recycle", "@recently-snapshot", "@transcode", "@__thumb"),  # QNAP
        *("~snapshot", "trashbox"),  # NetApp, Buffalo
    }
)
_CHECKED_DISK = re.compile(r"found\.\d{3}")


@dataclass(frozen=True)
class Folder:
    """All photos under a folder, but for hidden ones and those in folders that systems make.

    It is walked as it is iterated, so that the first photos are soon there and memory does not grow with their number.
    `prefix` begins the paths of its photos.
    """

    folder: str
    prefix: str
    sequential = False

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos in the order of their paths."""
        root = os.path.basename(os.path.abspath(self.folder))
        # The folders on the way down to this one, as a list: they may lie deeper than calls can.
        way = list[_Level]()
        _enter(self.folder, self.prefix, way, findings)
        while way:
            level = way[-1]
            name = next(level.names, None)
            if name is None:
                way.pop()
            elif name.endswith("/"):
                if not is_system_folder(name[:-1]):
                    _enter(os.path.join(level.folder, name[:-1]), level.prefix + name, way, findings)
            elif name.startswith("."):
                continue
            elif findings.fps and is_video(name):
                yield from Video(os.path.join(level.folder, name), level.prefix + name, root).photos(findings)
            elif is_photo(file := os.path.join(level.folder, name)):
                yield Photo(printable(level.prefix + name), LocalFile(file), root, findings.names)
            else:
                findings.skip(name)


@dataclass(frozen=True)
class _Level:
    """A folder that is walked: its path, what begins the paths of its photos, and its names that are left.

    `key` is its device and inode.
    """

    folder: str
    prefix: str
    key: tuple[int, int]
    names: Iterator[str]


def _enter(folder: str, prefix: str, way: list[_Level], findings: Findings) -> None:
    """List a folder, and add it to the way down, unless it is left out, or on it already."""
    try:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if findings.is_left_out(here):
            return
        if any(here == level.key for level in way):
            findings.notify_once(f"{printable(folder)}: a link back to a folder above it, not followed")
            return
        with os.scandir(folder) as found:
            # A folder sorts as its name and "/", so that this order is the order of the whole paths.
            entries = sorted((entry.name + "/" if _is_folder(entry) else entry.name) for entry in found)
    except OSError as error:
        findings.not_listed(f"{printable(folder)}: can't list this folder ({os_reason(error)}), its photos are missing")
        return
    way.append(_Level(folder, prefix, here, iter(entries)))


@dataclass(frozen=True)
class SingleFile:
    """One file; `path` is what its row shows."""

    file: str
    path: str
    sequential = False

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield it."""
        parent = os.path.basename(os.path.dirname(os.path.abspath(self.file)))
        if findings.fps and is_video(self.file):
            yield from Video(self.file, self.path, parent).photos(findings)
            return
        yield Photo(printable(self.path), LocalFile(self.file), parent, findings.names)


def is_system_folder(name: str) -> bool:
    """Whether a folder of this name is hidden or one that a system made: it holds no photos of anybody's choice."""
    return name.startswith(".") or made_by_a_system(name)


def made_by_a_system(name: str) -> bool:
    """Whether a folder of this name is one that a system made."""
    return (lower := name.lower()) in _SYSTEM_FOLDERS or _CHECKED_DISK.fullmatch(lower) is not None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link to itself: no folder, and as a photo a row with its error.
