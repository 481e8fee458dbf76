"""Text and files: what every room prints and writes with."""

from collections.abc import Sequence


def percent(part: float | None) -> str:
    """Print a share: "84.3 %"."""
    return "-" if part is None else f"{100 * part:.1f} %"


def bounds(interval: Sequence[float] | None) -> str:
    """Print an interval of shares in percent: "82.1 to 86.3"."""
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def one_line(text: str) -> str:
    """Text on one line: a name may hold a newline, or what a terminal takes for a command."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
