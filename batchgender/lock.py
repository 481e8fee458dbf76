"""Locks of files in the making: two runs must not write one file at a time."""

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify, one_line

_ENDING = ".part.lock"

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Far behind the text: Windows lets no other process read what is locked.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_file(file: str | os.PathLike[str]) -> Path:
    """The name of the file whose lock stands for `file`."""
    return Path(file).with_name(Path(file).name + _ENDING)


@contextmanager
def locked(files: Sequence[str | os.PathLike[str]], notify: Notify) -> Iterator[None]:
    """Hold the locks of `files`, which need not exist; folders that are missing are made, and go if they stay empty.

    A lock is one of the system's on `FILE.part.lock`: it ends with the process, however that ends. The file is removed
    at the end of the block; one that a killed process left is taken over. Where the file system has no locks, `notify`
    gets a line and the block goes on without. Raises UserError where another process, or another block of this one,
    holds one, and where a lock's file can't be made.
    """
    with ExitStack() as stack:
        ours: list[os.stat_result] = []
        for file in files:
            path = lock_file(file)
            # The same file under two names, as `r.json` and `./r.json`, is locked once.
            if any(_is(path, each) for each in ours):
                continue
            try:
                missing = [folder for folder in path.parents if not folder.exists()]
                stack.callback(_remove_empty, missing)
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = _take(path, str(file), notify)
            except OSError as error:
                raise UserError(f"{path}: can't write ({os_reason(error)}); choose another name for {file}") from error
            stack.callback(_release, path, descriptor)
            ours.append(os.fstat(descriptor))
        yield


def _take(path: Path, file: str, notify: Notify) -> int:
    """Open and lock a lock's file, and note this process in it; return its descriptor."""
    while True:
        # A link would have the text below in the place of what it leads to.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            try:
                _lock(descriptor)
            except (BlockingIOError, PermissionError):
                holder = os.read(descriptor, 100).decode("utf-8", "replace")
                by = f" ({one_line(holder)})" if holder else ""
                raise UserError(
                    f"{file}: another run{by} is writing it; wait until that has ended, or choose another name"
                ) from None
            except OSError as error:
                notify(f"{file}: no locks on this file system ({os_reason(error)}); start no second run that writes it")
            # A run that ended between the two calls has removed the file: its lock would keep nobody out.
            if _is(path, os.fstat(descriptor)):
                # On a full disk the lock holds without.
                with suppress(OSError):
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _release(path: Path, descriptor: int) -> None:
    # Removed while it is locked, so that nobody takes it in between. Windows removes no open file.
    if sys.platform == "win32":
        os.close(descriptor)
    with suppress(OSError):
        path.unlink()
    if sys.platform != "win32":
        os.close(descriptor)


def _remove_empty(folders: Sequence[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _is(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False
