"""Labelled photos made small enough to travel: to a machine with a GPU, which trains on them in minutes."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError, os_reason
from batchgender.io import Notify, written_whole
from batchgender.photos.decode import decode
from batchgender.photos.photo import printable
from batchgender.photos.resize import resize
from batchgender.progress import Progress
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.open_source import open_source

# What a file's entry takes in a zip beside its bytes and its name, which stands there twice.
_ENTRY_BYTES = 100
_TRIED = 300
_QUALITIES = range(95, 25, -5)


def pack_photos(data: str, out: str, side: int, limit: float, notify: Notify) -> tuple[int, int]:
    """Write the splits of a source to a zip as SPLIT/CLASS/NAME.webp; return the number of photos and the quality.

    No photo's shorter side is above `side` pixels. The quality is the best at which the zip is smaller than `limit`
    MiB. The validation split is the one that a training on `data` would split off. Raises UserError where no quality
    is low enough, and on what can't be read or written.
    """
    source = open_source(data, notify)
    splits = {"train": source.train, "val": source.val, "test": source.test}
    room = limit * 2**20
    quality = _quality(splits, side, room)
    try:
        with written_whole(out, "wb") as stream:
            count = _write(splits, stream, side, quality, notify)
        if (size := os.path.getsize(out)) > room:
            os.remove(out)
            raise UserError(
                f"{out}: {size / 2**20:.1f} MiB at quality {quality}, above the limit of {limit:g};"
                f" choose a --side below {side}"
            )
    except OSError as error:
        raise UserError(f"{out}: can't write the photos ({os_reason(error)})") from error
    return count, quality


def _quality(splits: dict[str, LabelledPhotos], side: int, room: float) -> int:
    """The best quality at which some of the photos say that all of them have room."""
    tried: list[tuple[NDArray[np.uint8], int]] = []
    total = sum(len(photos) for photos in splits.values())
    for photos in splits.values():
        for index in photos.spread(max(1, _TRIED * len(photos) // total)):
            try:
                image = _small(photos, index, side)
                _encoded(image, _QUALITIES[0])
            except UnreadablePhoto:
                continue
            tried.append((image, _entry_bytes(photos.names[index])))
    for quality in _QUALITIES:
        size = sum(len(_encoded(image, quality)) + beside for image, beside in tried)
        # Some photos say what all take but for a few hundredths.
        if tried and size / len(tried) * total < 0.97 * room:
            return quality
    raise UserError(f"{total:,} photos don't fit into {room / 2**20:g} MiB; choose a --side below {side}")


def _entry_bytes(name: str) -> int:
    return _ENTRY_BYTES + 2 * len(PurePosixPath(name).name) + 2 * len("train/Female/")


def _write(splits: dict[str, LabelledPhotos], stream: IO[bytes], side: int, quality: int, notify: Notify) -> int:
    count = 0
    with (
        zipfile.ZipFile(stream, "w") as archive,
        Progress("pack", "photos", notify, total=sum(map(len, splits.values()))) as progress,
    ):
        for path, photos, index in _paths(splits):
            try:
                archive.writestr(path, _encoded(_small(photos, index, side), quality))
                count += 1
            except UnreadablePhoto as error:
                notify(f"{photos.names[index]}: {error}; left out")
            progress.update(1)
    return count


def _paths(splits: dict[str, LabelledPhotos]) -> Iterator[tuple[str, LabelledPhotos, int]]:
    """Each photo with its path in the zip, numbered where two have one name."""
    taken: dict[str, int] = {}
    for split, photos in splits.items():
        for index, name in enumerate(photos.names):
            path = f"{split}/{photos.classes[photos.labels[index]]}/{printable(PurePosixPath(name).stem)}"
            taken[path] = number = taken.get(path, 0) + 1
            yield f"{path}{f'-{number}' if number > 1 else ''}.webp", photos, index


def _small(photos: LabelledPhotos, index: int, side: int) -> NDArray[np.uint8]:
    image = decode(photos.read(index), side)
    height, width = image.shape[:2]
    shrink = min(height, width) / side
    return image if shrink <= 1 else resize(image, (round(height / shrink), round(width / shrink)))


def _encoded(image: NDArray[np.uint8], quality: int) -> bytes:
    done, encoded = cv2.imencode(".webp", image[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise UnreadablePhoto("too long or too wide for WebP")
    return encoded.tobytes()


@click.command()
@click.argument("data")
@click.argument("out")
@click.option("--side", type=click.IntRange(16, 1024), default=96, show_default=True, help="The shorter side, pixels.")
@click.option("--limit", type=click.FloatRange(0, min_open=True), default=64, show_default=True, help="MiB.")
def main(data: str, out: str, side: int, limit: float) -> None:
    """Write the labelled photos of DATA to the zip OUT, made small: `train --data OUT` takes it."""
    try:
        count, quality = pack_photos(data, out, side, limit, lambda line: click.echo(line, err=True))
    except UserError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{count:,} photos, {os.path.getsize(out) / 2**20:.1f} MiB, WebP of quality {quality}: {out}")


if __name__ == "__main__":
    main()
