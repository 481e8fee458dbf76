"""One photo to its place: copied, linked or moved, whole or not at all, and never over another file."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from batchgender.errors import UnreadablePhoto, UserError, os_reason
from batchgender.io import sync_folder
from batchgender.photos.photo import LocalFile, Photo
from batchgender.photos.reading import open_at_once

COPY, LINK, MOVE = "copy", "link", "move"
_CHUNK = 2**20
_EFFECTIVE_IDS = os.access in os.supports_effective_ids
# What a name can cause, and no other photo's: the run goes on. "Not a directory" is a photo where a folder should be.
_OF_THE_NAME = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP}
# Where no hard link can be made, but a symbolic one: another file system, one without them, a file of somebody else's.
_NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


class NotPlaced(Exception):
    """Why a photo stays where it is."""


class Placer:
    """Puts photos into place under the folder `into`, by `how`: COPY, LINK or MOVE.

    `folders` are the names of the folders in it that earlier runs may have put photos into. A link is a hard one, a
    symbolic one where the system makes no hard one; `symbolic` counts these. What is made has another name until it is
    whole. One process at a time works in a folder.
    """

    def __init__(self, into: Path, how: str, folders: Collection[str]) -> None:
        self.into, self.how, self._folders = into, how, folders
        self.symbolic = 0
        self._part = into / ".placing.part"

    def place(self, photo: Photo, folder: str, below: Path, shared: bool = False) -> bool:
        """Have the photo at the path `below` a folder; False where it was there already.

        Where another file is there, or the name is `shared` with another photo, digits of a digest of the photo's path
        and bytes are added to its name. Where it lies in another of the folders, it is renamed. Raises NotPlaced where
        the photo is the reason that it can't be done, and UserError where the target is; no file is lost or half
        written in either case.
        """
        original = _Original(photo, thorough=self.how == MOVE)
        try:
            for target in self._names(original, self.into / folder / below, shared):
                if original.is_at(target):
                    return self._settle(original, target)
                if os.path.lexists(target):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                if earlier := self._find(original, folder, below, shared):
                    os.rename(earlier, target)
                    self._settle(original, target)
                else:
                    self._make(original, target)
                return True
        except OSError as error:
            reason = os_reason(error)
            if error.errno in _OF_THE_NAME:
                raise NotPlaced(reason) from error
            raise UserError(f"{self.into / folder / below}: can't write ({reason})") from error
        raise NotPlaced("its name is taken")

    def close(self) -> None:
        """Remove what is unfinished."""
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _names(self, original: "_Original", wanted: Path, shared: bool) -> Iterator[Path]:
        if not shared:
            yield wanted
        end = f"-{original.digest()}{wanted.suffix}"
        stem = os.fsencode(wanted.stem)[: 255 - len(os.fsencode(end))].decode("utf-8", "ignore")
        yield wanted.with_name(stem + end)

    def _find(self, original: "_Original", folder: str, below: Path, shared: bool) -> Path | None:
        """Where an earlier run has put the photo."""
        for other in self._folders:
            if other != folder:
                for name in self._names(original, self.into / other / below, shared):
                    if original.is_at(name):
                        return name
                    if not os.path.lexists(name):
                        break
        return None

    def _settle(self, original: "_Original", target: Path) -> bool:
        """What is left to do where the photo is in its place; False, for nothing was put there, or True."""
        file = original.file
        if file is None or self.how == LINK or _same_entry(file, target):
            return False
        if self.how == MOVE:
            _check_removable(file)
            if target.is_symlink() and not os.path.islink(file):
                # A link of an earlier run.
                self._make(original, target)
            else:
                _remove(file)
        elif os.path.samefile(file, target):
            # A link of an earlier run.
            self._make(original, target)
            return True
        return False

    def _make(self, original: "_Original", target: Path) -> None:
        file = original.file
        # What a killed run left may be a link to a photo: it is removed, never opened to be written.
        self._part.unlink(missing_ok=True)
        if self.how == MOVE:
            assert file is not None
            self._move(original, file, target)
            return
        if self.how == LINK:
            assert file is not None
            self._link(os.path.realpath(file))
        else:
            original.write(self._part)
        os.replace(self._part, target)

    def _link(self, file: str) -> None:
        _status(file)
        try:
            os.link(file, self._part)
        except OSError as error:
            if error.errno not in _NO_HARD_LINK:
                raise
            os.symlink(file, self._part)
            self.symbolic += 1

    def _move(self, original: "_Original", file: str, target: Path) -> None:
        _check_removable(file)
        if os.path.islink(file):
            # A relative link would lead nowhere from there.
            os.symlink(os.path.realpath(file), self._part)
            os.replace(self._part, target)
            _remove(file)
            return
        _status(file)
        try:
            os.rename(file, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            original.write(self._part, durable=True)
            os.replace(self._part, target)
            sync_folder(target.parent)
            try:
                _remove(file)
            except NotPlaced:
                target.unlink()
                raise


class _Original:
    """A photo as it is found: a file of its own, or bytes."""

    def __init__(self, photo: Photo, thorough: bool) -> None:
        self.file = photo.content.file if isinstance(photo.content, LocalFile) else None
        self._photo, self._thorough = photo, thorough
        self._data: bytes | None = None

    def is_at(self, target: Path) -> bool:
        """Whether a file is this photo: its bytes, or, unless `thorough`, its size and the time of its last change."""
        try:
            there = os.stat(target)
            if self.file is not None:
                here = _status(self.file)
                if os.path.samestat(here, there):
                    return True
                if here.st_size != there.st_size:
                    return False
                # Of a photo out of an archive the time has whole seconds: others may have the same.
                exact = here.st_mtime_ns == there.st_mtime_ns and here.st_mtime_ns % 1_000_000_000 != 0
                if exact and not self._thorough:
                    return True
            with open(target, "rb", opener=open_at_once) as stream:
                theirs = iter(lambda: stream.read(_CHUNK), b"")
                return all(ours == next(theirs, b"") for ours in self._chunks()) and not next(theirs, b"")
        except FileNotFoundError:
            return False

    def digest(self) -> str:
        """Eight digits of a digest of its path and its bytes."""
        digest = hashlib.sha256(self._photo.path.encode("utf-8", "surrogateescape") + b"\0")
        for chunk in self._chunks():
            digest.update(chunk)
        return digest.hexdigest()[:8]

    def write(self, part: Path, durable: bool = False) -> None:
        """Write a copy, with the time of its last change; `durable`: it is on the disk when this returns."""
        with open(part, "xb") as stream:
            for chunk in self._chunks():
                stream.write(chunk)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        if self.file is not None:
            # Not every file system takes all of it.
            with suppress(OSError):
                shutil.copystat(self.file, part)

    def _chunks(self) -> Iterator[bytes]:
        """Its bytes, in pieces; raises NotPlaced where they can't be read."""
        if self.file is None:
            yield self._bytes()
            return
        _status(self.file)
        try:
            with open(self.file, "rb", opener=open_at_once) as stream:
                yield from iter(lambda: stream.read(_CHUNK), b"")
        except OSError as error:
            raise NotPlaced(f"can't read the file: {os_reason(error)}") from error

    def _bytes(self) -> bytes:
        if self._data is None:
            try:
                data = self._photo.read()
            except UnreadablePhoto as error:
                raise NotPlaced(str(error)) from error
            if not isinstance(data, bytes):
                raise NotPlaced("pixels without a file")
            self._data = data
        return self._data


def _status(file: str) -> os.stat_result:
    """What the system says of a photo's file; raises NotPlaced where it is none: a pipe would be waited for."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise NotPlaced(f"can't read the file: {os_reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        raise NotPlaced("a directory, pipe or device, not a file")
    return status


def _check_removable(file: str) -> None:
    """Raise NotPlaced where a file can't be removed from its folder, before it is anywhere else."""
    if not os.access(os.path.dirname(file) or ".", os.W_OK | os.X_OK, effective_ids=_EFFECTIVE_IDS):
        raise NotPlaced("can't remove it from its folder: Permission denied")


def _remove(file: str) -> None:
    try:
        os.unlink(file)
    except OSError as error:
        raise NotPlaced(f"can't remove it from its folder: {os_reason(error)}") from error


def _same_entry(file: str, target: Path) -> bool:
    """Whether both are one name in one folder, by whatever way: not two links to one file."""
    return _entry(file) == _entry(str(target))


def _entry(file: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(file)), os.path.basename(file))
