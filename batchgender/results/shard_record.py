"""What is kept beside the results of a shard, in `OUT.shard.json`: what `merge` must know, and rows do not tell."""

import json
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from batchgender.errors import UserError, os_reason
from batchgender.io import written_whole
from batchgender.photos.shard import Shard, ShardWalk, parse_shard
from batchgender.results.rows import RowLayout

_ENDING = ".shard.json"
_SCHEMA = 1
# What may differ among the shards of one run: where a machine has its photos, and what computes there.
_OWN = ("shard", "photos_from", "provider")


@dataclass(frozen=True)
class ShardRecord:
    """A shard that is done.

    Its run looked through `photos` in all, whose paths have this `digest`; `before` says which of them are the shard's,
    see `ShardWalk`. `settings` are those in which all shards of a run agree, `about` is what the report says of the run
    beside its figures, `temperature` and `bias` are the calibration of the model.
    """

    shard: Shard
    photos: int
    digest: str
    before: bytes
    layout: RowLayout
    settings: Mapping[str, Any]
    about: Mapping[str, Any]
    temperature: float = 1.0
    bias: tuple[float, ...] = field(default=())


def record_file(out: str | os.PathLike[str]) -> Path:
    """Where the record of these results lies."""
    return Path(out).with_name(Path(out).name + _ENDING)


def make_record(
    shard: Shard,
    walk: ShardWalk,
    layout: RowLayout,
    settings: Mapping[str, Any],
    about: Mapping[str, Any],
    temperature: float,
    bias: tuple[float, ...],
) -> ShardRecord:
    """The record of a run with these settings that has looked through all photos."""
    shared = {key: value for key, value in settings.items() if key not in _OWN}
    return ShardRecord(shard, walk.photos, walk.digest, bytes(walk.before), layout, shared, about, temperature, bias)


def write_record(out: str | os.PathLike[str], record: ShardRecord) -> None:
    """Write it, whole or not at all; raises UserError where it can't be."""
    data = {
        "schema": _SCHEMA,
        **vars(record),
        "shard": str(record.shard),
        "layout": asdict(record.layout),
        "before": b64encode(zlib.compress(record.before)).decode(),
    }
    file = record_file(out)
    try:
        with written_whole(file) as stream:
            json.dump(data, stream, indent=1, ensure_ascii=False)
    except OSError as error:
        raise UserError(f"{file}: can't write ({os_reason(error)}); the rows are kept, go on with --resume") from error


def read_record(out: str | os.PathLike[str]) -> ShardRecord | None:
    """Read it; None where these are no results of a shard. Raises UserError where it can't be read, or is damaged."""
    file = record_file(out)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data.pop("schema") != _SCHEMA:
            raise UserError(f"{file}: written by a newer batchgender; merge with that one")
        layout = data.pop("layout")
        record = ShardRecord(
            shard=parse_shard(data.pop("shard")),
            before=zlib.decompress(b64decode(data.pop("before"), validate=True)),
            layout=RowLayout(**{**layout, "classes": tuple(map(str, layout["classes"]))}),
            bias=tuple(map(float, data.pop("bias"))),
            **data,
        )
        _check(record)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{file}: can't read it ({os_reason(error)})") from error
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise UserError(f"{file}: damaged; run this shard again") from error
    return record


def _check(record: ShardRecord) -> None:
    """Raise ValueError where a value is of another kind than it should be."""
    sound = (
        isinstance(record.photos, int)
        and isinstance(record.digest, str)
        and isinstance(record.settings, dict)
        and isinstance(record.about, dict)
        and isinstance(record.temperature, int | float)
        and len(record.bias) in (0, len(record.layout.classes))
    )
    if not sound:
        raise ValueError
