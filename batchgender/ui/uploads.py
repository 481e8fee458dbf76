"""What was dropped on the page, as photos: single ones, and those in zip archives, within limits."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import silent
from batchgender.photos.file_type import container_ending
from batchgender.photos.labels import DEFAULT_NAMES
from batchgender.photos.photo import LocalFile, Photo
from batchgender.photos.places.container import open_container
from batchgender.photos.places.place import Findings
from batchgender.photos.reading import is_photo
from batchgender.photos.source import skipped_text


@dataclass(frozen=True)
class Limits:
    """What the page takes at once: photos, megabytes of all of them together, unpacked, and megapixels of each."""

    photos: int = 500
    megabytes: int = 500
    megapixels: int = 64


def uploaded_photos(files: Sequence[str], limits: Limits) -> tuple[list[Photo], str]:
    """The photos among uploaded files, in their order, and a line on what was left out, "" where nothing was.

    Their paths are the files' names, numbered where two have the same; those in a zip begin with the zip's. Folders in
    a zip may carry labels. Raises UserError where there are none, or too many, and where a zip can't be read.
    """
    findings = Findings(silent, DEFAULT_NAMES)
    found: list[Photo] = []
    size = 0
    for photo in _photos(files, findings):
        found.append(photo)
        if len(found) > limits.photos:
            raise UserError(f"more than {limits.photos:,} photos; drop fewer at once, or use `batchgender classify`")
        # Where it can't be told, the photo's row says why.
        with suppress(UnreadablePhoto):
            size += photo.content.size()
        if size > limits.megabytes * 1_000_000:
            raise UserError(
                f"more than {limits.megabytes:,} MB, unpacked; drop fewer at once, or use `batchgender classify`"
            )
    skipped = f"Left out, not photos: {skipped_text(findings.skipped)}." if findings.skipped else ""
    if not found:
        raise UserError(f"no photos in what was dropped. {skipped}".rstrip(" ."))
    return found, skipped


def _photos(files: Sequence[str], findings: Findings) -> Iterator[Photo]:
    names: set[str] = set()
    for file in files:
        name = os.path.basename(file)
        stem, ending = os.path.splitext(name)
        name = next(each for each in chain([name], (f"{stem} ({n}){ending}" for n in count(2))) if each not in names)
        names.add(name)
        if container_ending(file).lower() == ".zip":
            yield from _of_zip(file, name, findings)
        elif is_photo(file):
            yield Photo(name, LocalFile(file), names=DEFAULT_NAMES)
        else:
            findings.skip(name)


def _of_zip(file: str, name: str, findings: Findings) -> Iterator[Photo]:
    unlistable = findings.unlistable
    try:
        yield from open_container(file, f"{name}/").photos(findings)
    except UserError as error:
        # The folder of uploads is nobody's business.
        raise UserError(str(error).replace(file, name)) from error
    if findings.unlistable > unlistable:
        raise UserError(f"{name}: damaged: its members can't be listed")
