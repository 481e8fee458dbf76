"""Archives for tests: a folder packed by others' programs, and zips and tars written byte by byte."""

import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

UNIX, DOS = 3, 0


def pack(folder: Path, file: Path) -> Path:
    """Pack what is in a folder as the file's ending says."""
    names = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir())
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                # As of others: neither in the order of the paths, nor all packed in one way.
                archive.write(folder / name, name, zipfile.ZIP_STORED if name.endswith("png") else None)
    elif file.suffix == ".parquet":
        rows = [{"image": {"bytes": (folder / name).read_bytes(), "path": name}} for name in names]
        pd.DataFrame(rows).to_parquet(file, row_group_size=100)
    else:
        mode = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(file.suffix, "w")
        with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
            for name in names:
                archive.add(folder / name, name)
    return file


@dataclass
class Zipped:
    """A member of a zip as it is written, whatever that says of it: packed bytes, and what the archive claims."""

    name: bytes
    data: bytes
    method: int = 0
    packed: bytes | None = None
    size: int | None = None
    crc: int | None = None
    flags: int = 0
    system: int = UNIX
    mode: int = 0o100644
    extra: bytes = b""


def write_zip(file: Path, members: list[Zipped], disk: int = 0) -> Path:
    """Write a zip of these members; `disk` is the number that the end of it has, above 0 in a split one."""
    directory = b""
    with open(file, "wb") as stream:
        for each in members:
            packed = each.data if each.packed is None else each.packed
            size = len(each.data) if each.size is None else each.size
            crc = zlib.crc32(each.data) if each.crc is None else each.crc
            sizes = struct.pack("<L2L", crc, len(packed), min(size, 0xFFFFFFFF))
            # A size that a zip of 1993 has no room for stands behind the name.
            extra = each.extra + (struct.pack("<2HQ", 1, 8, size) if size >= 0xFFFFFFFF else b"")
            about = struct.pack("<5H", 20, each.flags, each.method, 0, 33)
            lengths = struct.pack("<2H", len(each.name), len(extra))
            directory += b"PK\1\2" + bytes([20, each.system]) + about + sizes + lengths + struct.pack("<3H", 0, 0, 0)
            directory += struct.pack("<2L", each.mode << 16, stream.tell()) + each.name + extra
            stream.write(b"PK\3\4" + about + sizes + lengths + each.name + extra + packed)
        at = stream.tell()
        count = len(members)
        stream.write(directory + struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, count, count, len(directory), at, 0))
    return file


def zeros(count: int) -> Iterator[bytes]:
    """About `count` zeros, deflated, in pieces: each says of a megabyte what takes a kilobyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    piece = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(count // 2**20):
        yield piece
    yield packer.flush()


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, by path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if os.path.isfile(file)}
