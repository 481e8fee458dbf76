"""Small pictures of the rows that a page shows, made from the photos, which are read again."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.faces.cutting import square_side
from batchgender.faces.face import Face
from batchgender.faces.face_finder import Look
from batchgender.photos.photo import Photo
from batchgender.report.details import NotableRow
from batchgender.results.rows import NO_FACE
from batchgender.threads import available_cores, ordered_prefetch

# Pixels of the longer side: shown at about half of it, which is sharp on screens of twice the density.
SIDE = 160
_QUALITY = 75
# Around a face's box, on each end, as a share of its longer side.
_MARGIN = 0.3
# Threads a core: most of them wait for a disk, or for a server.
_READERS = 4

# A photo, or a frame of a video, and the number of the face in it.
RowKey = tuple[str, float | None, int | None]


@dataclass(frozen=True)
class HeatMaps:
    """What in the photos spoke for the answers: JPEGs by row, one by each of the methods named in `titles`.

    `low` and `high` are what blue and red stand for.
    """

    titles: list[str]
    low: str
    high: str
    pictures: dict[RowKey, list[bytes]]


def row_key(row: NotableRow) -> RowKey:
    """What a row's picture is found by."""
    return row.path, row.time, row.face.number if row.face else None


def is_pictured(row: NotableRow) -> bool:
    """Whether a page has a picture of a row: what could not be decoded before might now end the program."""
    return bool(row.answer) or row.error == NO_FACE


def thumbnails(rows: Iterable[NotableRow], photos: Iterable[Photo]) -> dict[RowKey, bytes]:
    """JPEGs of the rows, of the face where a row has one; what could not be read, or can't be any more, is left out.

    `photos` are those of the run, looked through until all that are wanted are found.
    """
    wanted: dict[tuple[str, float | None], dict[RowKey, Face | None]] = {}
    for row in rows:
        if is_pictured(row):
            wanted.setdefault((row.path, row.time), {})[row_key(row)] = row.face

    found = ((photo, wanted[photo.path, photo.time]) for photo in photos_at(wanted, photos))
    threads = _READERS * available_cores()
    made: dict[RowKey, bytes] = {}
    with (
        ThreadPoolExecutor(threads) as pool,
        closing(ordered_prefetch(pool, lambda each: _pictures(*each), found, 2 * threads)) as pictures,
    ):
        for some in pictures:
            made |= some
    return made


def photos_at(places: Iterable[tuple[str, float | None]], photos: Iterable[Photo]) -> Iterator[Photo]:
    """Those of the photos at these paths and times, each once, looked through until all are found."""
    left = set(places)
    # A place that can't be read again gives no more pictures; the report itself needs none.
    try:
        for photo in photos:
            if (place := (photo.path, photo.time)) in left:
                left.remove(place)
                yield photo
            if not left:
                return
    except UserError:
        return


def _pictures(photo: Photo, faces: dict[RowKey, Face | None]) -> dict[RowKey, bytes]:
    try:
        look = Look(photo.read(), SIDE)
        return {key: jpeg(_square(look, face) if face else look.copy(SIDE)) for key, face in faces.items()}
    except (UnreadablePhoto, cv2.error, MemoryError):
        return {}


def _square(look: Look, face: Face) -> NDArray[np.uint8]:
    box = np.array([face.x, face.y, face.width, face.height], np.float32)
    image = look.copy(SIDE / square_side(box, _MARGIN) * look.longer)
    across, down = look.scale_of(image)
    half = square_side(box, _MARGIN) / 2
    x, y = face.x + face.width / 2, face.y + face.height / 2
    # No more than the photo has: whoever looks at it should not see a repeated edge.
    left, right = (round(min(max(side, 0), look.width) / across) for side in (x - half, x + half))
    top, bottom = (round(min(max(side, 0), look.height) / down) for side in (y - half, y + half))
    part = image[top:bottom, left:right]
    # A box may lie beyond the edge.
    return part if part.size else image


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Pixels uint8 [height, width, 3] RGB as a small JPEG: the longer side has at most SIDE pixels."""
    scale = min(SIDE / max(image.shape[:2]), 1)
    if scale < 1:
        height, width = (max(round(side * scale), 1) for side in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), _QUALITY, "RGB", "420")
