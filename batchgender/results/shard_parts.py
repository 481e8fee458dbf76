"""The parts of a run in shards, in a folder beside its results: each is whole or not there, so that a run goes on."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchgender.errors import CannotResume, UserError, os_reason
from batchgender.io import written_whole
from batchgender.photos.shard import positions
from batchgender.results.settings import check_settings
from batchgender.results.shard_record import read_record, record_file

_ENDING = ".parts"
_RUN = "run.json"


class ShardParts:
    """The folder `OUT.parts` of a run in `of` shards."""

    def __init__(self, folder: Path, of: int) -> None:
        self.folder, self.of = folder, of

    def file(self, number: int) -> Path:
        """The results file of a shard."""
        return self.folder / f"{number:05}-of-{self.of:05}.csv"

    def add(self, number: int, rows: bytes, record: bytes) -> None:
        """Write a shard that is done; raises UserError where that can't be."""
        file = self.file(number)
        try:
            # The record first: what has rows is done.
            for target, data in ((record_file(file), record), (file, rows)):
                with written_whole(target, "wb") as stream:
                    stream.write(data)
        except OSError as error:
            raise UserError(f"{file}: can't write ({os_reason(error)}); the other shards are kept") from error

    def photos(self, number: int) -> int:
        """How many photos a shard that is there has."""
        record = read_record(self.file(number))
        return sum(1 for _ in positions(record.before)) if record else 0

    def done(self) -> list[int]:
        """The numbers of the shards that are there."""
        return [number for number in range(1, self.of + 1) if self.file(number).exists()]

    def remove(self) -> None:
        """Remove all of them: they are merged."""
        shutil.rmtree(self.folder, ignore_errors=True)


def parts_folder(out: Path) -> Path:
    """Where the parts of these results lie while they are made."""
    return out.with_name(out.name + _ENDING)


def begin_parts(out: Path, of: int, settings: Mapping[str, Any], resume: bool, overwrite: bool) -> ShardParts:
    """The parts of a run that begins, in `of` shards, or, with `resume`, of the one that was stopped, in as many as it.

    Raises UserError where there are some and neither is said, and where the run was begun with other `settings`.
    """
    folder = parts_folder(out)
    note = folder / _RUN
    if folder.exists() and not (resume or overwrite):
        raise UserError(f"{folder}: an unfinished run; go on with --resume or start again with --overwrite")
    wanted = json.loads(json.dumps(settings))
    if folder.exists() and resume:
        try:
            before = json.loads(note.read_text(encoding="utf-8"))
            begun_with, of = dict(before["settings"]), int(before["of"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CannotResume(f"{note}: missing or damaged; start again with --overwrite") from error
        check_settings(begun_with, wanted, folder)
        return ShardParts(folder, of)
    try:
        if folder.exists():
            shutil.rmtree(folder)
        os.makedirs(folder)
        with written_whole(note) as stream:
            json.dump({"of": of, "settings": wanted}, stream, indent=1)
    except OSError as error:
        raise UserError(f"{folder}: can't write ({os_reason(error)}); choose another --out") from error
    return ShardParts(folder, of)
