"""The report drawn for a terminal, by rich: the figures of `text` as tables, shares and intervals as bars."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchgender.io import bounds, one_line, percent
from batchgender.model.metadata import Interval
from batchgender.model.thresholds import UNSURE
from batchgender.report.figures import Figures, GroupingFigures
from batchgender.report.statistics import share
from batchgender.report.text import (
    CLASSES_MEANING,
    COVERAGE_MEANING,
    GROUPS_SHOWN,
    Counted,
    grouping_notes,
    groups_notes,
    overall_rows,
    summary_counts,
    title_text,
)

# Cells of a bar, and the fewest that show anything; between two columns.
_CELLS, _FEWEST, _BETWEEN = 26, 12, 2
# More columns than any table has.
_UNBOUNDED = 10_000
# From so many columns on, groups have their intervals in numbers, too.
_WIDE = 110
# Longer names of groups and classes are folded.
_LONGEST_NAME = 30
_BAR, _RIGHT, _WRONG, _MEANING = "cyan", "green", "red", "dim"


def report_drawn(figures: Figures, console: Console, title: str = "") -> RenderableType:
    """The figures of labelled photos, after a title, for the width of a terminal."""
    with_shares = _confusion(figures, shares=True)
    parts: list[RenderableType] = [
        Text(f"{title}{title_text(figures)}\n", "bold"),
        _overall(figures),
        Text(),
        _with_bars(console, partial(_classes, figures)),
        Text(f"{CLASSES_MEANING}; the bar: the recall's 95 % interval", _MEANING),
        Text(),
        with_shares if _width(console, with_shares) <= console.width else _confusion(figures, shares=False),
        Text(),
        _with_bars(console, partial(_coverage, figures)),
        Text(COVERAGE_MEANING, _MEANING),
    ]
    for name, column in figures.groups.columns.items() if figures.groups else ():
        table = _with_bars(console, partial(_grouping, name, column, console.width >= _WIDE))
        parts += [Text(), table, *map(Text, grouping_notes(column))]
    if figures.groups:
        parts += [Text(f"\n{note}".replace(",\n", ", "), _MEANING) for note in groups_notes(figures.groups)]
    return Group(*parts)


def summary_drawn(figures: Figures, console: Console) -> RenderableType:
    """How many photos got which prediction, for the width of a terminal."""
    return counts_drawn(summary_counts(figures), console)


def counts_drawn(rows: Sequence[Counted], console: Console) -> RenderableType:
    """Counts, with their shares as bars where they have some, for the width of a terminal."""
    return _with_bars(console, partial(_counts, rows))


def _with_bars(console: Console, build: Callable[[int], Table]) -> Table:
    """A table with bars of as many cells as there is room for, which `build` makes; with none where they are few."""
    cells = min(console.width - _width(console, build(0)) - _BETWEEN, _CELLS)
    return build(cells if cells >= _FEWEST else 0)


def _width(console: Console, table: Table) -> int:
    """The columns that a table takes where nothing in it is folded."""
    return console.measure(table, options=console.options.update(max_width=_UNBOUNDED)).maximum


def _share_bar(part: float | None, cells: int) -> Text:
    """A share in 0..1 as a bar."""
    if part is None:
        return Text()
    filled = round(part * cells)
    return Text.assemble(("━" * filled, _BAR), ("─" * (cells - filled), "dim"))


def _interval_bar(value: float | None, interval: Interval | None, low: float, cells: int) -> Text:
    """A share and its interval on a scale from `low` to 1."""
    if value is None or interval is None:
        return Text()
    first, last, point = (round((each - low) / (1 - low) * (cells - 1)) for each in (*interval, value))
    drawn = ["─"] * (last - first + 1)
    drawn[0], drawn[-1] = "├", "┤"
    drawn[point - first] = "●"
    return Text.assemble(("·" * first, "dim"), ("".join(drawn), _BAR), ("·" * (cells - 1 - last), "dim"))


def _scale(low: float, cells: int) -> Text:
    """The head of a column of intervals: where their scale begins and ends."""
    first, last = f"{100 * low:.0f} %", "100 %"
    return Text(first + " " * (cells - len(first) - len(last)) + last, "dim")


def _scale_from(intervals: Sequence[Interval | None]) -> float:
    """Where a scale begins that shows all these intervals: at a tenth."""
    return int(10 * min((each[0] for each in intervals if each), default=0.0)) / 10


def _plain_table(align: str) -> Table:
    """A table without lines; `align` is as for `io.text_table`."""
    table = Table.grid(padding=(0, _BETWEEN, 0, 0))
    for side in align:
        table.add_column(justify="right" if side == ">" else "left", overflow="fold")
    return table


def _headed_table(*columns: str | Text) -> Table:
    """A table with a head; the first column is left, the others right."""
    # One more column is between two of them than the padding has.
    padding = (0, _BETWEEN - 1, 0, 0)
    table = Table(box=SIMPLE_HEAD, padding=padding, show_edge=False, header_style="bold", border_style="dim")
    for at, column in enumerate(columns):
        longest = None if at else _LONGEST_NAME
        table.add_column(column, justify="right" if at else "left", overflow="fold", max_width=longest)
    return table


def _counts(rows: Sequence[Counted], cells: int) -> Table:
    table = _plain_table("<>><<" if cells else "<>><")
    for row in rows:
        style = "" if row.name.startswith(" ") else "bold"
        table.add_row(
            Text(one_line(row.name), style),
            Text(f"{row.count:,}", style),
            "" if row.part is None else percent(row.part),
            *([_share_bar(row.part, cells)] if cells else []),
            Text(row.meaning, _MEANING),
        )
    return table


def _overall(figures: Figures) -> Table:
    table = _plain_table("<><")
    for name, value, meaning in overall_rows(figures):
        table.add_row(name, Text(value, "bold", no_wrap=True), Text(meaning, _MEANING))
    return table


def _classes(figures: Figures, cells: int) -> Table:
    classes = figures.classes
    low = _scale_from([each.recall_interval_95 for each in classes.values()])
    table = _headed_table("class", "recall", *([_scale(low, cells)] if cells else []), "precision", "F1", "photos")
    for name, each in classes.items():
        table.add_row(
            Text(one_line(name)),
            Text(percent(each.recall), "bold"),
            *([_interval_bar(each.recall, each.recall_interval_95, low, cells)] if cells else []),
            percent(each.precision),
            percent(each.f1),
            f"{each.support:,}",
        )
    return table


def _confusion(figures: Figures, shares: bool) -> Table:
    predicted = [*figures.classes, UNSURE] if figures.unsure else list(figures.classes)
    table = _headed_table("labelled", *(Text(one_line(f"as {name}")) for name in predicted))
    for name in figures.classes:
        row = figures.confusion[name]
        cells = []
        for column in predicted:
            style = _RIGHT if column == name else _WRONG if row[column] and column != UNSURE else ""
            part = f"{percent(share(row[column], sum(row.values()))):>9}" if shares else ""
            cells.append(Text.assemble((f"{row[column]:,}", f"bold {style}"), (part, _MEANING)))
        table.add_row(Text(one_line(name)), *cells)
    return table


def _coverage(figures: Figures, cells: int) -> Table:
    table = _headed_table("confidence at least", "coverage", *([""] if cells else []), "accuracy")
    for at in figures.coverage:
        table.add_row(
            f"{at.threshold:.2f}",
            percent(at.coverage),
            *([_share_bar(at.coverage, cells)] if cells else []),
            Text(percent(at.accuracy), "bold"),
        )
    return table


def _grouping(name: str, column: GroupingFigures, in_numbers: bool, cells: int) -> Table:
    groups = dict(islice(column.groups.items(), GROUPS_SHOWN))
    classes = list(next(iter(groups.values())).classes) if groups else []
    low = _scale_from([group.accuracy_interval_95 for group in groups.values()])
    bars = [_scale(low, cells)] if cells else []
    table = _headed_table(
        Text(one_line(name)), "photos", "accuracy", *bars, *(Text(one_line(f"recall {each}")) for each in classes)
    )
    for group, figures in groups.items():
        answered = f"{figures.count - figures.unsure:,} of " if figures.unsure else ""
        table.add_row(
            Text(one_line(group + (" *" if figures.small else "")), _MEANING if figures.small else ""),
            f"{answered}{figures.count:,}",
            Text(percent(figures.accuracy), "bold"),
            *([_interval_bar(figures.accuracy, figures.accuracy_interval_95, low, cells)] if cells else []),
            *(
                f"{percent(each.recall)} ({bounds(each.recall_interval_95)})"
                if in_numbers and each.recall_interval_95
                else percent(each.recall)
                for each in figures.classes.values()
            ),
        )
    return table
