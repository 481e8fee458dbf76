"""A groups file: a CSV of paths and the groups of each, read, and joined with the photos by path."""

import csv
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from batchgender.csv_files import CsvText, open_csv, same_name
from batchgender.errors import UserError, os_reason
from batchgender.io import Notify


@dataclass(frozen=True)
class GroupsTable:
    """A groups file: its name, its columns but for the path, and for each path its group in each, "" for none.

    Paths are spelled as `csv_files.same_name` does; `decimal` is the sign before decimals in its numbers.
    """

    file: str
    columns: list[str]
    rows: dict[str, tuple[str, ...]]
    decimal: str = "."

    def of(self, path: str) -> tuple[str, ...]:
        """The groups of a photo by its path, "" for each where it has none."""
        return self.rows.get(same_name(path)) or ("",) * len(self.columns)


def read_groups(file: str, option: str = "--groups") -> GroupsTable:
    """Read a CSV with a column `path` and others that are groupings; raises UserError, naming `option`, on others.

    Commas, semicolons or tabs separate its cells.

    It holds the rows in memory: a million take about two seconds and 150 MB.
    """
    try:
        with open_csv(file, "path") as text:
            return _read(file, text)
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file; check {option}") from error
    except OSError as error:
        raise UserError(f"{file}: can't read it ({os_reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{file}: damaged or no CSV ({error})") from error


def _read(file: str, text: CsvText) -> GroupsTable:
    reader = text.records()
    names = [name.strip() for name in next(reader, [])]
    while names and not names[-1]:
        # Spreadsheets write columns that were used once and are empty now.
        names.pop()
    if "path" not in names:
        raise UserError(f"{file}: no column `path` in its first line; name the columns path and those after it")
    at = names.index("path")
    columns = [name for index, name in enumerate(names) if index != at]
    if not columns:
        raise UserError(f"{file}: no column beside `path`; add one, and name it")
    if "" in columns or len(set(names)) < len(names):
        raise UserError(f"{file}: a column without a name or with that of another; name each in the first line")
    rows: dict[str, tuple[str, ...]] = {}
    # Few combinations stand in many rows: each is cleaned and kept once.
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for cells in reader:
        if not any(cells):
            continue
        while len(cells) > len(names) and not cells[-1]:
            cells.pop()
        if len(cells) != len(names):
            raise UserError(f"{file}: line {reader.line_num} has {len(cells)} cells, the first line {len(names)}")
        path = same_name(cells.pop(at))
        raw = tuple(cells)
        groups = known.get(raw) or known.setdefault(raw, tuple(" ".join(cell.split()) for cell in raw))
        if rows.setdefault(path, groups) != groups:
            raise UserError(f"{file}: {path!r} stands twice with different groups; keep one of the lines")
    return GroupsTable(file, columns, rows, text.decimal)


def join_by_path(groups: GroupsTable, paths: Callable[[], Iterable[str]], notify: Notify) -> GroupsTable:
    """Key the rows by the paths of the photos; `paths` gives all of them, each time it is called.

    Where no path is in the file as it is, paths are compared from their ends: a row is a photo's where the one's
    whole path is the end of the other's, the longest such, and neither fits another as well. `notify` gets a line
    with the photos that have no row. Raises UserError where none has.
    """
    first, count, found = "", 0, 0
    for path in paths():
        first = first or path
        count += 1
        found += same_name(path) in groups.rows
    if not found:
        groups = _join_by_path_ends(_with_slashes(groups), map(same_name, paths()))
        found = len(groups.rows)
    if found < count:
        notify(f"{groups.file}: {count - found:,} of {count:,} photos have no row of their own in it")
    return groups


def _with_slashes(groups: GroupsTable) -> GroupsTable:
    """The table with paths as results have them, where Windows wrote its own."""
    if any("/" in path for path in groups.rows):
        return groups
    return replace(groups, rows={path.replace("\\", "/"): row for path, row in groups.rows.items()})


def _join_by_path_ends(groups: GroupsTable, photos: Iterable[str]) -> GroupsTable:
    # Sorted backwards, the rows that end as a photo's path does stand together.
    backwards = sorted(map(_backwards, groups.rows))
    claims: dict[str, str] = {}
    example = ""
    for photo in photos:
        example = example or photo
        if row := _row_by_end(photo, groups.rows, backwards):
            # Two photos that fit one row: it is neither's.
            claims[row] = "" if row in claims else photo
    rows = {photo: groups.rows[row] for row, photo in claims.items() if photo}
    if not rows:
        theirs = next(iter(groups.rows), None)
        raise UserError(
            f"{groups.file}: none of its paths is that of one photo"
            f" ({'no rows' if theirs is None else repr(theirs)} there, {example!r} here);"
            " write them as in the column path of the results CSV"
        )
    return replace(groups, rows=rows)


def _row_by_end(photo: str, rows: dict[str, tuple[str, ...]], backwards: list[str]) -> str | None:
    key = _backwards(photo)
    at = bisect_left(backwards, key)
    longer = [row for row in backwards[at : at + 2] if row.startswith(key)]
    if longer:
        return _backwards(longer[0][:-1]).removesuffix("/") if len(longer) == 1 else None
    rest = photo
    while "/" in rest:
        rest = rest.split("/", 1)[1]
        if rest in rows:
            return rest
    return None


def _backwards(path: str) -> str:
    return "/".join(reversed(path.split("/"))) + "/"
