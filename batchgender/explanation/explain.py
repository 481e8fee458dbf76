"""Photos to explanations: each answer, as `classify` gives it, with the map of what speaks for its class."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.classify.face_choice import OFF, FaceOptions, choose_faces
from batchgender.classify.given import Photos, photos_given
from batchgender.classify.pipeline import Classifier
from batchgender.errors import UnreadablePhoto
from batchgender.explanation.occlusion import OCCLUSION, neutral_colour
from batchgender.explanation.open_explained import Method, open_explained
from batchgender.io import Notify, silent
from batchgender.model.foreign_options import NOTHING_SAID, ForeignOptions
from batchgender.photos.decode import decode, to_size
from batchgender.photos.labels import DEFAULT_NAMES
from batchgender.photos.photo import InMemory, Photo, Refused
from batchgender.photos.source import PhotoSource
from batchgender.results.rows import Row

# Pixels of the longer side of the picture that an explanation shows.
_SHOWN = 448
# The share of the picture that is covered to see what its strongest part is worth.
COVERED = 0.1


@dataclass(frozen=True)
class Explanation:
    """One answer, explained: the row that `classify` gives, and what in the picture speaks for the class `explained`.

    `explained` is the class with the largest probability, also where the prediction is `Unsure`. `photo` is what the
    model saw, larger, for people to look at: the square around the face, or the whole photo, uint8 [height, width, 3]
    RGB. `map` covers the same area, float32 [rows, columns] of the model's size: above 0 a pixel speaks for the class,
    below 0 against it. `covered` is the probability of the class once the tenth of the picture that speaks for it most
    is covered by gray. Where the row has an error, `explained` is "", both arrays have no pixels, and `covered` is 1.
    """

    row: Row
    classes: tuple[str, ...]
    explained: str
    method: Method
    photo: NDArray[np.uint8]
    map: NDArray[np.float32]
    covered: float

    @property
    def probability(self) -> float:
        """The probability of the class that is explained."""
        return self.row.confidence or 0.0


def explain(
    *photos: Photos,
    model: str | os.PathLike[str] | None = None,
    method: str = OCCLUSION,
    faces: str | FaceOptions = OFF,
    threshold: float | None = None,
    foreign: ForeignOptions = NOTHING_SAID,
    notify: Notify = silent,
) -> Iterator[Explanation]:
    """Yield an explanation for each row that `Classifier.classify` gives of these photos, in its order.

    `photos`, `faces` and `threshold` are as there; `model` is a checkpoint or an ONNX file, `foreign` describes one
    that is not from batchgender. `method` is "occlusion" or "grad-cam". Raises UserError as `classify` does, and where
    the method can't explain this model.
    """
    classifier, methods = open_explained(model, [method], foreign, notify)
    given = photos_given(photos, notify, DEFAULT_NAMES)
    source = given if isinstance(given, PhotoSource) else None
    wanted = FaceOptions(faces) if isinstance(faces, str) else faces
    found = choose_faces(classifier.info, source, wanted, classifier.workers, notify)
    return explanations(classifier.on_faces(found), methods, given, threshold)


def explanations(
    classifier: Classifier,
    methods: Sequence[Method],
    photos: Iterable[Photo],
    threshold: float | None = None,
    wanted: Callable[[Row], bool] = lambda row: True,
) -> Iterator[Explanation]:
    """Yield an explanation by each method for each row of these photos that is `wanted`, one photo at a time.

    The rows are those of `classifier`.
    """
    classes = tuple(classifier.info.classes)
    for photo in photos:
        # Read once: a photo may come from afar.
        try:
            read = replace(photo, content=InMemory(photo.read()))
        except UnreadablePhoto as error:
            read = replace(photo, content=Refused(str(error)))
        rows = list(classifier.rows([read], threshold))
        if rows[0].error:
            nothing = np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.float32)
            for method in methods if wanted(rows[0]) else ():
                yield Explanation(rows[0], classes, "", method, *nothing, covered=1.0)
            continue
        for row, (seen, shown) in zip(rows, _views(classifier, read.read()), strict=True):
            target = int(np.argmax(row.probabilities))
            for method in methods if wanted(row) else ():
                found = method.map(seen, target)
                covered = _covered(classifier, seen, found, target)
                yield Explanation(row, classes, classes[target], method, shown, found, covered)


def _views(
    classifier: Classifier, data: bytes | NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """What the classifier sees of a photo, and the same area for people to look at: each face, or the whole."""
    size = classifier.model.size
    if classifier.faces:
        for _, (seen, shown) in classifier.faces.cut_at(data, [size, _SHOWN]):
            yield seen, shown
        return
    whole = decode(data, _SHOWN)
    share = _SHOWN / max(whole.shape)
    sides = [max(round(side * share), 1) for side in whole.shape[1::-1]]
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    yield to_size(data, size), np.asarray(cv2.resize(whole, sides, interpolation=way), np.uint8)


def _covered(classifier: Classifier, seen: NDArray[np.uint8], found: NDArray[np.float32], target: int) -> float:
    """The probability of a class with the tenth of the picture covered that speaks for it most."""
    strongest = np.argsort(-found, axis=None, kind="stable")[: round(COVERED * found.size)]
    picture = seen.reshape(-1, 3).copy()
    picture[strongest] = neutral_colour(classifier.info.mean)
    return float(classifier.model.predict(picture.reshape(1, *seen.shape))[0, target])
