"""Results at addresses, to be read as files of this machine."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from batchgender.errors import UserError
from batchgender.io import Notify, one_line
from batchgender.photos.places.remote.address import is_address, parse_target
from batchgender.results.shard_record import record_file


@contextmanager
def fetched(files: Sequence[str], notify: Notify) -> Iterator[list[str]]:
    """The names of results files, of which those at addresses are fetched, with the records of shards beside them.

    They lie in a temporary folder until the block ends. Raises UserError where one can't be read.
    """
    if not any(map(is_address, files)):
        yield list(files)
        return
    with tempfile.TemporaryDirectory(prefix="batchgender-") as folder:
        yield [
            _fetch(file, Path(folder, str(number)), notify) if is_address(file) else file
            for number, file in enumerate(files)
        ]


def _fetch(text: str, folder: Path, notify: Notify) -> str:
    from batchgender.photos.places.remote.answers import Refused
    from batchgender.photos.places.remote.bucket import Bucket
    from batchgender.photos.places.remote.writable import Changed

    address = parse_target(text)
    bucket = Bucket(address, notify)
    above, _, name = address.key.rstrip("/").rpartition("/")
    file, start = folder / name, f"{above}/" if above else ""
    record = record_file(file)
    parts = [entry.key for entry in bucket.listed(address.key)] if address.key.endswith("/") else [address.key]
    found = 0
    try:
        for key in (*parts, start + record.name):
            # A key that ends in a slash stands for an empty folder.
            if not key.endswith("/") and (version := bucket.stat(key)):
                bucket.fetch(key, version, folder / key.removeprefix(start))
                found += key != start + record.name
    except Refused as refused:
        raise UserError(f"{one_line(text)}: can't read it: {refused.reason}") from refused
    except Changed as changed:
        raise UserError(f"{one_line(text)}: is being written; read it again") from changed
    if not found:
        raise UserError(f"{one_line(text)}: no such object; check the address")
    return str(file)
