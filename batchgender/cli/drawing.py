"""What commands print of figures: tables and bars on a terminal, plain text elsewhere."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from batchgender.io import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from batchgender.report.figures import Figures
    from batchgender.report.text import Counted

# Wider lines are hard to read.
_WIDEST = 120


def print_figures(figures: "Figures", title: str = "", err: bool = False) -> None:
    """Print a summary of photos without labels, and after `title` the report of others; to stderr with `err`."""
    from batchgender.report.text import LIMIT, NOTE, report_text, summary_text

    texts = [summary_text(figures)] if figures.unlabelled else []
    texts += [title + report_text(figures), NOTE] if figures.labelled else [LIMIT]

    def drawn(console: "Console") -> "list[RenderableType]":
        from batchgender.report.terminal import report_drawn, summary_drawn

        parts = [summary_drawn(figures, console)] if figures.unlabelled else []
        return [*parts, *([report_drawn(figures, console, title), NOTE] if figures.labelled else [LIMIT])]

    _print(texts, drawn, err)


def print_counts(rows: "Sequence[Counted]") -> None:
    """Print counts, and what a prediction is."""
    from batchgender.report.text import LIMIT, counts_text

    def drawn(console: "Console") -> "list[RenderableType]":
        from batchgender.report.terminal import counts_drawn

        return [counts_drawn(rows, console), LIMIT]

    _print([counts_text(rows), LIMIT], drawn, err=False)


def _print(texts: Sequence[str], drawn: "Callable[[Console], list[RenderableType]]", err: bool) -> None:
    """Print texts, with empty lines between, or on a terminal what `drawn` makes for it, which imports rich."""
    stream = sys.stderr if err else sys.stdout
    if not _draws_on(stream):
        click.echo("\n".join(map(one_line, "\n\n".join(texts).split("\n"))), err=err)
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, _WIDEST)
    for at, part in enumerate(drawn(console)):
        console.print(*([""] if at else []), part, sep="\n")


def _draws_on(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that shows lines and bars; NO_COLOR takes colours alone, and rich heeds it."""
    if stream is None or not stream.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return stream.encoding.lower().replace("-", "") == "utf8"
