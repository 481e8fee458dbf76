"""Text and files: what every room tells, prints and writes with."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

# Gets one line for the user: a notice, a warning, a note of progress.
Notify = Callable[[str], None]


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
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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


@contextmanager
def written_whole(path: str | os.PathLike[str], mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file that takes its name when the block ends, and is not there, nor changed, where the block fails.

    It is written as `PATH.part` beside it and synced to the disk. `mode` is "w" or "wb", text is UTF-8; `options` are
    those of `open`. Raises OSError.
    """
    target = Path(path)
    part = target.with_name(target.name + ".part")
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    try:
        with open(part, mode, **options) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
