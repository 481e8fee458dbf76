"""Folders looked at again and again: photos that are ready to be read, and those that are gone."""

import os
import time
from collections.abc import Callable, Collection, Generator
from contextlib import closing
from dataclasses import dataclass

from batchgender.io import Notify
from batchgender.photos.photo import LocalFile, Photo, printable
from batchgender.photos.places.folder import Folder
from batchgender.photos.source import PhotoSource
from batchgender.photos.versions_ahead import noted

# Seconds that a file must stay as it is before it is read.
SETTLED = 2.0


@dataclass(frozen=True)
class _Unsettled:
    """A photo that may still be written: its version, and since when it has that, by the monotonic clock."""

    version: str
    since: float


class WatchedFolders:
    """The folders of `source`, looked at again and again.

    A photo is ready when its size and time of change were the same in two looks that are `SETTLED` seconds apart; at
    the first look, when it was not changed for so long. `notify` gets a line where a folder can't be listed or photos
    only seem to be gone, once until that is over.
    """

    def __init__(self, source: PhotoSource, notify: Notify) -> None:
        self.source, self._notify = source, notify
        self.unsettled: dict[str, _Unsettled] = {}
        # Of folders, by what begins the paths of their photos: the disk that photos were last seen on.
        self.disks: dict[str, int] = {}
        self.is_first = True
        self._said: set[str] = set()

    def look(self, is_done: Callable[[Photo], bool]) -> "Look":
        """Begin to look; `is_done` says whether there are rows of a photo as it is."""
        return Look(self, is_done)

    @property
    def in_trouble(self) -> bool:
        """Whether something was not as it should be at the last look."""
        return bool(self._said)

    def tell(self, troubles: set[str]) -> None:
        """Tell what is wrong since the last look, and when all is well again."""
        for line in sorted(troubles - self._said):
            self._notify(line)
        if self._said and not troubles:
            self._notify("all folders can be read again")
        self._said = troubles

    def folder_of(self, path: str) -> Folder | None:
        """The folder that a photo of this path lies under."""
        return next((each for each in self.source.folders if path.startswith(each.prefix)), None)


class Look:
    """One look at folders: iterate `ready` to its end, then ask for the photos that are `gone`.

    `photos` counts those that were found, `waiting` those of them that may still be written.
    """

    def __init__(self, folders: WatchedFolders, is_done: Callable[[Photo], bool]) -> None:
        self._folders, self._is_done = folders, is_done
        self._found: set[str] = set()
        self._troubles: set[str] = set()
        # By what begins the paths of photos: their disk, and whether those not found only seem to be gone.
        self._disks: dict[str, int] = {}
        self._elsewhere: dict[str, bool] = {}
        self._findings, self._walk = folders.source.look(self._troubles.add)
        self.waiting = 0

    @property
    def photos(self) -> int:
        """How many photos were found until now."""
        return len(self._found)

    def ready(self) -> Generator[Photo]:
        """Yield photos to be read, with their versions noted: those that are not done, and no longer written."""
        unsettled: dict[str, _Unsettled] = {}
        with closing(noted(self._walk)) as photos:
            for photo in photos:
                if photo.path in self._found:
                    continue
                self._found.add(photo.path)
                if (prefix := photo.path.rpartition("/")[0]) not in self._disks:
                    self._note_disk(prefix, photo)
                if self._is_done(photo):
                    continue
                if self._folders.is_first and _age(photo) >= SETTLED:
                    yield photo
                    continue
                now, version = time.monotonic(), photo.content.version()
                before = self._folders.unsettled.get(photo.path)
                same = before if before and before.version == version else _Unsettled(version, now)
                unsettled[photo.path] = same
                if now - same.since >= SETTLED:
                    yield photo
                else:
                    self.waiting += 1
        self._folders.unsettled, self._folders.is_first = unsettled, False

    def gone(self, known: Collection[str]) -> list[str]:
        """Those paths of `known` whose photos are gone, and tell of those that only seem to be."""
        missing = [path for path in known if path not in self._found]
        dropped = missing
        if missing and self._findings.unlistable:
            self._troubles.add("as long as a folder can't be listed, no rows are dropped")
            dropped = []
        else:
            empty = self._empty() if missing else set()
            dropped = [path for path in missing if not self._seems_gone(path, empty)]
            # Others that were put there since do not make its disk the right one.
            right = {prefix: disk for prefix, disk in self._disks.items() if not self._elsewhere.get(prefix)}
            self._folders.disks.update(right)
        self._folders.tell(self._troubles)
        return dropped

    def _empty(self) -> set[str]:
        """The folders that were given and show no photo: an unmounted disk looks so."""
        shown = {folder.folder for path in self._found if (folder := self._folders.folder_of(path))}
        return {each.folder for each in self._folders.source.folders} - shown

    def _seems_gone(self, path: str, empty: set[str]) -> bool:
        """Whether a photo that is not found may be there still, and only its disk is not."""
        folder = self._folders.folder_of(path)
        if folder is None:
            return False
        if folder.folder in empty:
            self._troubles.add(
                f"{printable(folder.folder)}: shows no photos; was its disk disconnected? Their rows are kept until"
                " there is one"
            )
            return True
        prefix = path.rpartition("/")[0]
        if prefix not in self._elsewhere:
            self._elsewhere[prefix] = self._is_elsewhere(folder, prefix)
        return self._elsewhere[prefix]

    def _is_elsewhere(self, folder: Folder, prefix: str) -> bool:
        """Whether a folder, or what is left above it, is on another disk than its photos were."""
        disk = self._folders.disks.get(prefix)
        place = os.path.join(folder.folder, prefix.removeprefix(folder.prefix.rstrip("/")).lstrip("/"))
        while not os.path.isdir(place) and len(place) > len(folder.folder):
            place = os.path.dirname(place)
        if disk is None or _disk(place) == disk:
            return False
        self._troubles.add(
            f"{printable(place)}: is not on the disk that it was on; was that disconnected? The rows of its photos are"
            " kept"
        )
        return True

    def _note_disk(self, prefix: str, photo: Photo) -> None:
        if isinstance(photo.content, LocalFile):
            disk = _disk(os.path.dirname(photo.content.file))
            # Asked for behind the folder's disk: this one is there still.
            if disk is not None and os.path.exists(photo.content.file):
                self._disks[prefix] = disk


def _disk(folder: str) -> int | None:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _age(photo: Photo) -> float:
    """Seconds since a photo's file was last changed, by the clock; 0 where that is not known."""
    if not isinstance(photo.content, LocalFile):
        return 0.0
    try:
        status = os.stat(photo.content.file)
    except OSError:
        return 0.0
    return time.time() - max(status.st_mtime, status.st_ctime)
