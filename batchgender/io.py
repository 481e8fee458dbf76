"""Text and files: what every room tells, prints and writes with."""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any
from unicodedata import category

from batchgender.errors import UserError

_EFFECTIVE_IDS = os.access in os.supports_effective_ids
# Gets one line for the user: a notice, a warning, a note of progress.
Notify = Callable[[str], None]
# Seconds that a pipe is waited for which nothing has opened to write.
_PIPE_WAIT = 10.0


def silent(line: str) -> None:
    """A `Notify` that tells nobody."""


def percent(part: float | None) -> str:
    """Print a share: "84.3 %"."""
    return "-" if part is None else f"{100 * part:.1f} %"


def bounds(interval: Sequence[float] | None) -> str:
    """Print an interval of shares in percent: "82.1 to 86.3"."""
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def one_line(text: str) -> str:
    """Text on one line: a name may hold a newline, or what a terminal takes for a command."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    # Spaces of other widths stand in many names, and do nothing.
    if character.isprintable() or category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def bytes_shown(text: str) -> str:
    r"""Text without the halves of surrogates that stand for a file name's undecoded bytes: UTF-8, or `\xNN`."""
    return re.sub(
        "[\udc80-\udcff]+",
        lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        text,
    )


def is_number(text: str) -> bool:
    """Whether a text is a number, as Python reads it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, without its full stop; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def text_table(rows: Sequence[Sequence[str]], align: str = "") -> list[str]:
    """Lay cells out in columns, two spaces between; the lines have no spaces at their ends.

    `align` has a character for each column: "<" left, ">" right; columns that it does not name are left.
    """
    columns = max(map(len, rows), default=0)
    widths = [max((len(row[at]) for row in rows if at < len(row)), default=0) for at in range(columns)]
    sides = align.ljust(columns, "<")
    return ["  ".join(f"{cell:{sides[at]}{widths[at]}}" for at, cell in enumerate(row)).rstrip() for row in rows]


def open_given(file: str | os.PathLike[str]) -> BufferedReader:
    """Open a file that a user names, to read its bytes; raises OSError, on what may never come or end, too.

    A device is refused, and a pipe that nothing opens to write within ten seconds.
    """
    mode = os.stat(file).st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "a device, not a file")
    if not stat.S_ISFIFO(mode):
        return open(file, "rb")
    opened = Queue[BufferedReader | OSError]()

    def open_pipe() -> None:
        try:
            opened.put(open(file, "rb"))  # noqa: SIM115
        except OSError as error:
            opened.put(error)

    Thread(target=open_pipe, daemon=True).start()
    try:
        found = opened.get(timeout=_PIPE_WAIT)
    except Empty:
        raise OSError(errno.ETIMEDOUT, "a pipe that nothing is written to") from None
    if isinstance(found, OSError):
        raise found
    return found


def check_writable(file: str | os.PathLike[str], option: str) -> None:
    """Raise UserError, naming `option`, where a file of this name can't be made; folders that are missing can be."""
    if Path(file).is_dir():
        raise UserError(f"{str(file)!r}: is a folder; give {option} the name of a file")
    folder = next(each for each in Path(file).absolute().parents if each.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE_IDS):
        raise UserError(f"{folder}: can't write in this folder; choose another {option}")


@contextmanager
def written_whole(
    path: str | os.PathLike[str], mode: str = "w", ending: str = ".part", **options: Any
) -> Iterator[IO[Any]]:
    """Open a file that takes its name when the block ends, and is not there, nor changed, where the block fails.

    It is written beside its place, under its name and `ending`, and synced to the disk, as is its name; its folder is
    made. A link that stands there is removed, never followed. `mode` is "w" or "wb", text is UTF-8, `options` are those
    of `open`. Raises OSError.
    """
    target = Path(path)
    part = target.with_name(target.name + ending)
    if "b" not in mode:
        # Half a surrogate pair, which JSON may hold, is no UTF-8: its escape is, and means the same in JSON.
        options = {"encoding": "utf-8", "errors": "backslashreplace", **options}
    target.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    try:
        with open(part, mode.replace("w", "x"), **options) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        replace_durably(part, target)
    finally:
        part.unlink(missing_ok=True)


def replace_durably(file: Path, target: Path) -> None:
    """Give a file another name in its folder, which a power cut does not undo; raises OSError."""
    os.replace(file, target)
    # It has its name: some file systems sync no folder.
    with suppress(OSError):
        sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, on systems that can do so; raises OSError."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def not_a_link(file: str, flags: int) -> int:
    """An `opener` for `open`: raises OSError where the file is a symbolic link, on systems that tell."""
    return os.open(file, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
