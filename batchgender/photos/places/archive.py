"""What all archives share: the archive's file, the paths that members' names show, and members that can't be read."""

import os
import posixpath
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO

from batchgender.errors import UnreadablePhoto, UserError, os_reason
from batchgender.photos.file_type import container_ending
from batchgender.photos.photo import printable
from batchgender.photos.places.folder import is_system_folder

# As many links to links are followed; Linux follows 40.
_LINKS = 40


@dataclass(frozen=True)
class ArchiveFile:
    """A file as it was found, its size in bytes and its time of change; it is opened anew by each thread that reads."""

    file: str
    size: int
    changed: int

    @property
    def title(self) -> str:
        """What messages call it."""
        return printable(self.file)

    @property
    def root(self) -> str:
        """The folder that it stands for: its name without the ending."""
        name = os.path.basename(os.path.abspath(self.file))
        return name.removesuffix(container_ending(name))

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open it for a block; raises UnreadablePhoto where it changed, or can't be read, in the block, too."""
        try:
            with open(self.file, "rb") as stream:
                status = os.fstat(stream.fileno())
                if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
                    raise UnreadablePhoto("the archive was changed while it was read")
                yield stream
        except OSError as error:
            raise UnreadablePhoto(f"can't read the archive: {os_reason(error)}") from error
        except MemoryError as error:
            raise UnreadablePhoto("too large for the memory of this machine") from error


def archive_file(file: str) -> ArchiveFile:
    """Find an archive; raises UserError where it can't be opened."""
    try:
        with open(file, "rb") as stream:
            status = os.fstat(stream.fileno())
    except OSError as error:
        raise UserError(f"{printable(file)}: can't read this archive ({os_reason(error)})") from error
    return ArchiveFile(file, status.st_size, status.st_mtime_ns)


def member_path(name: str) -> str:
    """The path that a member's name shows: relative, with `/`, without steps out of the archive; "" where none is left.

    Nothing is ever written under it.
    """
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def is_left_alone(path: str) -> bool:
    """Whether a member is hidden, or lies in a folder that is hidden or that a system made."""
    folder, _, name = path.rpartition("/")
    return name.startswith(".") or _is_left_alone(folder)


# Many members lie in one folder.
@lru_cache(maxsize=1024)
def _is_left_alone(folder: str) -> bool:
    return any(map(is_system_folder, folder.split("/")))


def linked(path: str, target: str) -> str:
    """The path that a symbolic link at `path` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def followed(links: Mapping[str, str], path: str, members: Container[str]) -> str | None:
    """The member that a link leads to in the end; None where it leads to none."""
    for _ in range(_LINKS):
        path = links[path]
        if path in members:
            return path
        if path not in links:
            break
    return None


def twice_line(title: str, count: int) -> str:
    """The line on members whose names others have, too."""
    return f"{title}: names that stand in it several times: {count:,}; the last member of each name counts"
