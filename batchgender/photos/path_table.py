"""A CSV of paths and what is known of each, its groups or its label, read, and joined with the photos by path."""

import csv
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from batchgender.csv_files import CsvText, open_csv, same_name
from batchgender.errors import UserError, os_reason
from batchgender.io import Notify


@dataclass(frozen=True)
class PathTable:
    """Such a file: its name, its columns but for the path, and for each path its cell in each, "" for none.

    `decimal` is the sign before decimals in its numbers. Joined with photos, `own` has the paths in the file of
    those that are called otherwise.
    """

    file: str
    columns: list[str]
    rows: dict[str, tuple[str, ...]]
    decimal: str = "."
    own: Mapping[str, str] = field(default_factory=dict)

    def of(self, path: str) -> tuple[str, ...]:
        """The cells of a photo by its path, "" for each where it has none."""
        return self.rows.get(path) or ("",) * len(self.columns)


def read_path_table(file: str, option: str = "--groups", only: Sequence[str] = ()) -> PathTable:
    """Read a CSV with a column `path` and others, of which `only` some count; raises UserError, naming `option`.

    It is read as `csv_files.open_csv` says. It holds the rows in memory: a million take about two seconds and 150 MB.
    """
    try:
        with open_csv(file, "path") as text:
            return _read(file, text, only)
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file; check {option}") from error
    except OSError as error:
        raise UserError(f"{file}: can't read it ({os_reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{file}: damaged or no CSV ({error})") from error


def _read(file: str, text: CsvText, only: Sequence[str]) -> PathTable:
    reader = text.records()
    names = [name.strip() for name in next(reader, [])]
    while names and not names[-1]:
        # Spreadsheets write columns that were used once and are empty now.
        names.pop()
    if "path" not in names:
        raise UserError(f"{file}: no column `path` in its first line; name the columns path and those after it")
    at = names.index("path")
    columns = [name for index, name in enumerate(names) if index != at]
    if only:
        columns = [name for name in columns if name in only]
        if not columns:
            raise UserError(f"{file}: no column `{only[0]}` in its first line; name the columns path and {only[0]}")
    if not columns:
        raise UserError(f"{file}: no column beside `path`; add one, and name it")
    if "" in columns or len(set(names)) < len(names):
        raise UserError(f"{file}: a column without a name or with that of another; name each in the first line")
    wanted = [names.index(name) for name in columns]
    rows: dict[str, tuple[str, ...]] = {}
    # Few combinations stand in many rows: each is cleaned and kept once.
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for cells in reader:
        if not any(cells):
            continue
        while len(cells) > len(names) and not cells[-1]:
            cells.pop()
        if len(cells) != len(names):
            line = text.first_line + reader.line_num - 1
            raise UserError(f"{file}: line {line} has {len(cells)} cells, the first line {len(names)}")
        path = cells[at]
        raw = tuple(cells[index] for index in wanted)
        groups = known.get(raw) or known.setdefault(raw, tuple(" ".join(cell.split()) for cell in raw))
        if rows.setdefault(path, groups) != groups:
            raise UserError(f"{file}: {path!r} stands twice with different values; keep one of the lines")
    return PathTable(file, columns, rows, text.decimal)


def join_by_path(groups: PathTable, paths: Callable[[], Iterable[str]], notify: Notify) -> PathTable:
    """Key the rows by the paths of the photos; `paths` gives all of them, each time it is called.

    A row whose path is a photo's exactly is that photo's alone; others are joined in any spelling (`_spelling`). Where
    none is a photo's, paths are compared from their ends: a row is a photo's where the one's whole path is the end of
    the other's, the longest such, and neither fits another as well. `notify` gets a line with the photos that have no
    row. Raises UserError where none has, and where one path in two spellings has different values.
    """
    spellings, twice = _spellings(groups)
    first, count, found = "", 0, 0
    # Of rows that have other spellings, those that are a photo's exactly.
    exact: set[str] = set()
    respelled: dict[str, str] = {}
    for path in paths():
        first = first or path
        count += 1
        if path in groups.rows:
            found += 1
            if spellings and _spelling(path) in spellings:
                exact.add(path)
        elif spellings and (row := spellings.get(_spelling(path))):
            respelled[path] = row
    for one, other in twice:
        if not exact.issuperset((one, other)):
            raise UserError(
                f"{groups.file}: {_spelling(one)!r} stands twice, in two spellings, with different values;"
                " keep one of the lines"
            )
    rows = {photo: groups.rows[row] for photo, row in respelled.items() if row not in exact}
    if rows:
        groups = replace(groups, rows={**groups.rows, **rows}, own={photo: respelled[photo] for photo in rows})
    found += len(rows)
    if not found:
        groups = _join_by_path_ends(groups, paths())
        found = len(groups.rows)
    if found < count:
        notify(f"{groups.file}: {count - found:,} of {count:,} photos have no row of their own in it")
    return groups


def _spelling(path: str) -> str:
    """A path as all systems would share it: letters composed, and slashes where Windows has backslashes."""
    return same_name(path.replace("\\", "/") if "\\" in path else path)


def _spellings(groups: PathTable) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The rows that may be spelled in more ways, by their spelling, and pairs of rows of one spelling that differ."""
    spellings: dict[str, str] = {}
    twice = []
    for path in groups.rows:
        if not path.isascii() or "\\" in path:
            other = spellings.setdefault(_spelling(path), path)
            if groups.rows[other] != groups.rows[path]:
                twice.append((other, path))
    return spellings, twice


def _join_by_path_ends(groups: PathTable, photos: Iterable[str]) -> PathTable:
    spelled = {_spelling(path): path for path in groups.rows}
    # Sorted backwards, the rows that end as a photo's path does stand together.
    backwards = sorted(map(_backwards, spelled))
    claims: dict[str, str] = {}
    example = ""
    for photo in photos:
        example = example or photo
        if row := _row_by_end(_spelling(photo), spelled, backwards):
            # Two photos that fit one row: it is neither's.
            claims[row] = "" if row in claims else photo
    own = {photo: spelled[row] for row, photo in claims.items() if photo}
    if not own:
        theirs = next(iter(groups.rows), None)
        raise UserError(
            f"{groups.file}: none of its paths is that of one photo"
            f" ({'no rows' if theirs is None else repr(theirs)} there, {example!r} here);"
            " write them as in the column path of the results CSV"
        )
    return replace(groups, rows={photo: groups.rows[path] for photo, path in own.items()}, own=own)


def _row_by_end(photo: str, rows: Mapping[str, str], backwards: list[str]) -> str | None:
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
