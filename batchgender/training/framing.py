"""Where the faces of the training photos are: how they are framed, as who uses the model cuts them, and each box."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto
from batchgender.faces.detector import open_detector
from batchgender.faces.detector_file import detector_at_hand, find_detector
from batchgender.faces.face_finder import FaceFinder
from batchgender.faces.framing import TIGHT, FoundFaces, measured_framing
from batchgender.io import Notify
from batchgender.progress import Progress
from batchgender.threads import available_cores, ordered_prefetch
from batchgender.training.data.labelled_photos import LabelledPhotos

_PHOTOS = 200
# Photos that are looked at before they are asked for.
_AHEAD = 256


def framing_of(photos: LabelledPhotos, notify: Notify) -> dict[str, float]:
    """The framing of a split, as a model file's metadata has it; empty where it is not known.

    A detector is taken where one is at hand; a training fetches none. Raises UserError where BATCHGENDER_DETECTOR names
    what is none.
    """
    if not detector_at_hand():
        notify(
            "how the faces are framed is not measured, for no face detector is here (`batchgender fetch-detector`):"
            " `classify` will take these for face crops"
        )
        return {}
    finder = FaceFinder(open_detector(find_detector(None, notify)), TIGHT.margin)
    found: list[FoundFaces] = []
    for index in photos.spread(_PHOTOS):
        try:
            found.append(finder.found_in(photos.read(index)))
        except UnreadablePhoto:
            continue  # Told when it is trained on.
    framing = measured_framing(found)
    return asdict(framing) if framing else {}


def faces_of(photos: LabelledPhotos, notify: Notify) -> NDArray[np.float32]:
    """The box of each photo's largest face, float32 [n, 4]: x, y, width and height in shares of the photo's.

    NaN where none is found, and where a photo can't be read. Raises UserError where no detector can be had.
    """
    finder = FaceFinder(open_detector(find_detector(None, notify)), TIGHT.margin)
    boxes = np.full((len(photos), 4), np.nan, np.float32)

    def find(index: int) -> None:
        try:
            found = finder.found_in(photos.read(index))
        except UnreadablePhoto:
            return  # Told when it is trained on.
        if len(found.boxes):
            boxes[index] = found.largest_box / np.tile([found.width, found.height], 2)

    with (
        ThreadPoolExecutor(available_cores()) as pool,
        closing(ordered_prefetch(pool, find, range(len(photos)), _AHEAD)) as work,
        Progress("find faces", "photos", notify, total=len(photos)) as progress,
    ):
        for _ in work:
            progress.update(1)
    shown = int((~np.isnan(boxes[:, 0])).sum())
    notify(f"faces found in {shown:,} of {len(photos):,} training photos: views are drawn around them")
    return boxes
