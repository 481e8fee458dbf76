"""How the training photos are framed around the face, measured once: who uses the model cuts faces so."""

from dataclasses import asdict

from batchgender.errors import UnreadablePhoto
from batchgender.faces.detector import open_detector
from batchgender.faces.detector_file import detector_at_hand, find_detector
from batchgender.faces.face_finder import FaceFinder
from batchgender.faces.framing import TIGHT, FoundFaces, measured_framing
from batchgender.io import Notify
from batchgender.training.data.labelled_photos import LabelledPhotos

_PHOTOS = 200


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
