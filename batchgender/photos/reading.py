"""Files to bytes: a photo's file read whole, and what is none not waited for."""

import os
import stat
from collections.abc import Callable

from batchgender.errors import UnreadablePhoto, os_reason
from batchgender.photos.file_type import HEAD, named_as_photo, picture_format
from batchgender.photos.limits import PIXEL_LIMIT

# What that many pixels take uncompressed, with transparency.
BYTE_LIMIT = 4 * PIXEL_LIMIT
# How the error of a file begins that can't be opened: whatever it holds is not known.
OUT_OF_REACH = "can't read the file: "
# A larger file is looked at before it is read whole.
_LARGE = 2**23
_CHUNK = 2**20
# As `open` opens a file to read its bytes, on Windows too.
_READ_ONLY = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)


def read_bytes(file: str) -> bytes:
    """Read a file whole; raises UnreadablePhoto."""
    return read_regular(file, regular_size(file))


def regular_size(file: str) -> int:
    """The size of a file in bytes; raises UnreadablePhoto where it is none, or larger than any picture."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise UnreadablePhoto(OUT_OF_REACH + os_reason(error)) from error
    except ValueError as error:
        raise UnreadablePhoto(f"{OUT_OF_REACH}no file can be called so") from error
    # A pipe would be waited for, and a device may never end.
    if not stat.S_ISREG(status.st_mode):
        raise UnreadablePhoto("a directory, pipe or device, not a file")
    check_size(status.st_size)
    return status.st_size


def check_size(size: int) -> None:
    """Raise UnreadablePhoto where so many bytes are more than any picture has."""
    if size > BYTE_LIMIT:
        raise UnreadablePhoto(f"larger than the limit of {BYTE_LIMIT // 1_000_000} MB")


def check_head(size: int, head: Callable[[], bytes]) -> None:
    """Raise UnreadablePhoto where a file of `size` bytes is large and begins, for HEAD bytes, as no picture does."""
    if size > _LARGE and not picture_format(head()):
        raise UnreadablePhoto("no image of a format that can be read")


def read_regular(file: str, size: int) -> bytes:
    """Read a file of about `size` bytes; raises UnreadablePhoto, of a large one as soon as it is no picture."""
    try:
        return _read_large(file, size) if size > _LARGE else _read_small(file, size)
    except OSError as error:
        raise UnreadablePhoto(OUT_OF_REACH + os_reason(error)) from error
    except MemoryError as error:
        raise UnreadablePhoto(f"too large for the memory of this machine: {size / 1e6:,.0f} MB") from error


def _read_small(file: str, size: int) -> bytes:
    # In as few calls as can be: in each the threads that compute may lose the interpreter to another.
    stream = open_at_once(file, _READ_ONLY)
    try:
        # One byte more than there should be: the end is then seen in the same call.
        data = os.read(stream, size + 1)
        if len(data) == size:
            return data
        while more := os.read(stream, _CHUNK):
            data += more
        return data
    finally:
        os.close(stream)


def _read_large(file: str, size: int) -> bytes:
    with open(file, "rb", buffering=0, opener=open_at_once) as stream:
        check_head(size, lambda: stream.read(HEAD))
        # Zeros may be left out of a file, but no picture is mostly zeros.
        if (written := _written(stream.fileno(), size)) < size / 2:
            raise UnreadablePhoto(f"of its {size / 1e6:,.0f} MB only {written / 1e6:,.0f} MB were written")
        stream.seek(0)
        return stream.read()


def is_photo(file: str) -> bool:
    """Whether a file is a photo by its name's ending, or, where the ending is unknown, by its first bytes.

    Only in the latter case is it opened; one that can't be opened is none.
    """
    if (known := named_as_photo(file)) is not None:
        return known
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return False
        with open(file, "rb", buffering=0, opener=open_at_once) as stream:
            return bool(picture_format(stream.read(HEAD) or b""))
    except OSError:
        return False


def _written(file: int, size: int) -> int:
    """How many bytes of an open file hold data, not a hole, as far as the system says."""
    if not hasattr(os, "SEEK_HOLE"):
        return size
    written = at = 0
    try:
        while at < size:
            start = os.lseek(file, at, os.SEEK_DATA)
            at = os.lseek(file, start, os.SEEK_HOLE)
            written += at - start
    except OSError:
        # No data behind this place, or a file system that knows no holes.
        return written if at else size
    return written


def open_at_once(path: str, flags: int) -> int:
    """An opener, for `open` too, that waits for no pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
