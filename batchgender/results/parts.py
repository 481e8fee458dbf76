"""Results files that are parts of one: checked against each other, and merged row by row."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby
from operator import itemgetter

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.labels import DEFAULT_NAMES
from batchgender.photos.shard import positions
from batchgender.results.rows import Row, RowLayout
from batchgender.results.settings import changed_settings
from batchgender.results.shard_record import ShardRecord, read_record, record_file
from batchgender.results.stored_rows import StoredRows, stored_layout

# So many shards, or settings, are named where there are more.
_NAMED = 20
# Files that a process has open beside the parts.
_OTHERS = 64
# The rows of one photo, and where it stands: its place among all photos, or its path.
_Photo = tuple[int | str, list[Row]]


@dataclass(frozen=True)
class Part:
    """A results file, empty where `rows` are None; `record` says which shard it is, None where it is of no shard."""

    file: str
    rows: StoredRows | None
    record: ShardRecord | None

    def photos(self, by_place: bool) -> Iterator[_Photo]:
        """Yield the rows of each photo, by its place among all photos or by its path.

        Raises UserError where they are not those of the shard, or, of no shard, not in the order of their paths.
        """
        places = positions(self.record.before) if self.record else iter(())
        before: str | None = None
        for path, rows in groupby(self.rows or (), key=lambda row: row.path):
            if self.record:
                place = next(places, None)
                if place is None or not self.record.shard.holds(path):
                    raise self._damaged(f"{path!r} is not of shard {self.record.shard}")
            elif before is not None and path <= before:
                raise UserError(
                    f"{self.file}: its rows are not in the order of their paths ({path!r} after {before!r}), so that"
                    " merge can't tell whether photos stand twice; classify with --shard, whose parts are merged in any"
                    " order"
                )
            before = path
            yield (place if by_place and place is not None else path), list(rows)
        if next(places, None) is not None:
            raise self._damaged("rows are missing")

    def _damaged(self, why: str) -> UserError:
        return UserError(f"{self.file}: {why}, as {record_file(self.file).name} has it; run this shard again")


@dataclass(frozen=True)
class Parts:
    """Parts that fit together, and the columns of the rows that they make.

    With `by_place` the rows come in the order of the one run that would have written them, else by their paths.
    """

    parts: tuple[Part, ...]
    layout: RowLayout
    by_place: bool

    @property
    def records(self) -> list[ShardRecord]:
        """What is known of the shards; empty where the parts are of none."""
        return [part.record for part in self.parts if part.record]

    def __iter__(self) -> Iterator[Row]:
        """Yield all rows, holding those of one photo a part; raises UserError where a photo stands in two parts."""
        before: tuple[int | str, str] | None = None
        for place, rows, file in merge(*map(self._named, self.parts), key=itemgetter(0)):
            if before and before[0] == place:
                raise UserError(f"{rows[0].path!r} stands in {before[1]} and in {file}; leave one of them out")
            before = place, file
            yield from rows

    def _named(self, part: Part) -> Iterator[tuple[int | str, list[Row], str]]:
        return ((place, rows, part.file) for place, rows in part.photos(self.by_place))

    def paths(self) -> Iterator[str]:
        """Yield the path of each photo once, though it may have several rows."""
        return (path for path, _ in groupby(self, key=lambda row: row.path))


def open_parts(files: Sequence[str], allow_missing: bool, notify: Notify) -> Parts:
    """Open results files as parts of one.

    Raises UserError where one is no results file, where they are of other columns or classes, where a file or a shard
    is given twice, where shards are of other runs, and, without `allow_missing`, where shards are missing. `notify`
    gets a line where these, or photos that changed between the shards, are passed over.
    """
    real = Counter(map(os.path.realpath, files))
    if twice := next((file for file in files if real[os.path.realpath(file)] > 1), None):
        raise UserError(f"{twice}: given twice")
    _allow_open(len(files))
    records = [read_record(file) for file in files]
    found = [stored_layout(file) for file in files]
    known = [record.layout if record else own for record, own in zip(records, found, strict=True)]
    layout = _common_layout(files, known)
    parts = []
    for file, record, own in zip(files, records, found, strict=True):
        if record and own:
            _check_columns(file, own, layout)
        parts.append(Part(file, StoredRows(file, layout) if own else None, record))
    if not any(records):
        return Parts(tuple(parts), layout, by_place=False)
    return Parts(tuple(parts), layout, by_place=_check_shards(parts, allow_missing, notify))


def _allow_open(count: int) -> None:
    """Let this process have as many files open, as far as the system lets it."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < count + _OTHERS:
            wanted = count + _OTHERS if hard == resource.RLIM_INFINITY else min(count + _OTHERS, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _common_layout(files: Sequence[str], layouts: Sequence[RowLayout | None]) -> RowLayout:
    """The columns that all have, with their classes as the rows of any of them spell them."""
    common: RowLayout | None = None
    names: list[list[str]] = []
    for file, layout in zip(files, layouts, strict=True):
        if layout is None:
            raise UserError(f"{file}: no rows in it, and no {record_file(file).name} beside it; leave it out")
        common = common or layout
        _check_columns(file, layout, common, files[0])
        names.append(list(layout.classes))
    assert common
    # A part in which a class never stands has it as it is mostly written.
    classes = (next(filter(_is_spelled, of_class), of_class[0]) for of_class in zip(*names, strict=True))
    return replace(common, classes=tuple(classes))


def _is_spelled(name: str) -> bool:
    return name != DEFAULT_NAMES.canonical_name(name.lower())


def _check_columns(file: str, layout: RowLayout, common: RowLayout, first: str = "") -> None:
    if layout.columns != common.columns:
        differing = sorted(set(layout.columns) ^ set(common.columns)) or ["their order"]
        where = f" and {first}" if first else f" and {record_file(file).name}"
        raise UserError(
            f"{file}{where}: other columns ({', '.join(differing)}); merge results of one model and the same options"
        )


def _check_shards(parts: Sequence[Part], allow_missing: bool, notify: Notify) -> bool:
    """Whether the shards are of the same photos; raises UserError where they are not those of one run."""
    owners: dict[int, str] = {}
    first = parts[0]
    for part in parts:
        if part.record is None or first.record is None:
            alone = part if part.record is None else first
            raise UserError(
                f"{alone.file}: no {record_file(alone.file).name} beside it, which other parts have; copy it there, too"
            )
        record, shard = part.record, part.record.shard
        if shard.of != first.record.shard.of:
            raise UserError(
                f"{part.file} is shard {shard}, {first.file} is shard {first.record.shard}: merge shards of one N"
            )
        if shard.number in owners:
            raise UserError(f"{owners[shard.number]} and {part.file}: both are shard {shard}; leave one of them out")
        owners[shard.number] = part.file
        if changed := changed_settings(first.record.settings, record.settings):
            raise UserError(
                f"{part.file} and {first.file}: classified with another {', '.join(changed)}; run one of them again"
            )
    assert first.record
    of = first.record.shard.of
    if missing := [str(number) for number in range(1, of + 1) if number not in owners]:
        named = ", ".join(missing[:_NAMED]) + (" and others" if len(missing) > _NAMED else "")
        line = f"{len(missing):,} of {of:,} shards are missing: {named}"
        if not allow_missing:
            raise UserError(f"{line}; run these, or merge what there is with --allow-missing")
        notify(line)
    same = len({(part.record.photos, part.record.digest) for part in parts if part.record}) == 1
    if not same:
        notify(
            "the photos were not the same for all shards: some were added, removed or renamed in between; the rows are"
            " merged in the order of their paths"
        )
    return same


def common_about(records: Iterable[ShardRecord]) -> dict[str, object]:
    """What the report says of all shards: the places of their photos may be called otherwise on each machine."""
    abouts = [dict(record.about) for record in records]
    if not abouts:
        return {}
    places = [place for about in abouts for place in about.get("photos_from", [])]
    return {**abouts[0], "photos_from": list(dict.fromkeys(places))}
