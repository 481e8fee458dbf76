"""Photos to answers on one core: decoded, their faces found, and inferred in batches."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import NoRoom, OutOfMemory, UnreadablePhoto
from batchgender.faces.face import Face
from batchgender.faces.face_finder import FaceFinder
from batchgender.io import Notify
from batchgender.model.open_model import Model
from batchgender.photos.decode import to_size
from batchgender.results.rows import NO_FACE, decided

# The path of a photo with its file's bytes, or its pixels uint8 [height, width, 3], RGB.
NamedData = tuple[str, bytes | NDArray[np.uint8]]
# Is told the place of the photo that is decoded next, and `INFERRING` before a batch is inferred.
Begins = Callable[[int], None]
INFERRING = -1
# A graph for pictures of the model's size is made after so many pixels: for the others it gains more than that takes.
_MANY_PIXELS = 5_000 * 96**2


class Answer(NamedTuple):
    """What is found of a photo, or of one face in it: a prediction and its probabilities, or an error."""

    prediction: str = ""
    probabilities: tuple[float, ...] = ()
    error: str = ""
    face: Face | None = None


class Inference:
    """Answers photos; several threads may call it, each of which computes on one core.

    `batch_size` is the number of photos that are inferred together; it falls where the memory is too small, and
    `notify` gets a line then.
    """

    def __init__(self, model: Model, batch_size: int, faces: FaceFinder | None, notify: Notify) -> None:
        self.model, self.batch_size, self.faces = model, batch_size, faces
        self._notify, self._lock = notify, Lock()
        # What infers: `model`, which takes pictures of any size, and after many pixels its graph for one size.
        self._inferring, self._left = model, _MANY_PIXELS

    def answers(
        self, photos: Sequence[NamedData], thresholds: Mapping[str, float], begins: Begins = lambda place: None
    ) -> list[list[Answer]]:
        """The answers of each photo: one, or one a face where every face is classified.

        In smaller batches from now on where the memory is too small. Raises UserError where it is too small for one
        photo, and where an answer is no number.
        """
        answers: list[list[Answer]] = []
        while (done := len(answers)) < len(photos):
            size = self.batch_size

            def begins_here(place: int, done: int = done) -> None:
                begins(place if place == INFERRING else done + place)

            try:
                answers += self._of_batch(photos[done : done + size], thresholds, begins_here)
            except (OutOfMemory, MemoryError):
                self._make_smaller(size)
        return answers

    def _of_batch(
        self, photos: Sequence[NamedData], thresholds: Mapping[str, float], begins: Begins
    ) -> list[list[Answer]]:
        answers: list[list[Answer]] = []
        # Pictures that wait for the model, and the places of their answers. A photo may have hundreds of faces.
        images: list[NDArray[np.uint8]] = []
        places: list[tuple[int, int]] = []

        def infer() -> None:
            if not images:
                return
            begins(INFERRING)
            self._count(len(images))
            found = self._inferring.predict(np.stack(images)).tolist()
            for (photo, at), probabilities in zip(places, found, strict=True):
                prediction, rounded = decided(probabilities, self.model.info.classes, thresholds, photos[photo][0])
                answers[photo][at] = Answer(prediction, rounded, face=answers[photo][at].face)
            images.clear()
            places.clear()

        for place, (_, data) in enumerate(photos):
            begins(place)
            try:
                views = self._views(data)
            except UnreadablePhoto as error:
                # Beside fewer photos there may be room.
                if isinstance(error, NoRoom) and len(photos) > 1:
                    raise OutOfMemory(str(error)) from error
                answers.append([Answer(error=str(error))])
                continue
            answers.append([Answer(face=face) for face, _ in views] or [Answer(error=NO_FACE)])
            for at, (_, image) in enumerate(views):
                places.append((place, at))
                images.append(image)
                if len(images) == self.batch_size:
                    infer()
        infer()
        return answers

    def _views(self, data: bytes | NDArray[np.uint8]) -> list[tuple[Face | None, NDArray[np.uint8]]]:
        """What is classified of a photo: each of its faces, or the whole of it."""
        if self.faces:
            return [*self.faces.cut(data, self.model.size)]
        return [(None, to_size(data, self.model.size))]

    def _count(self, images: int) -> None:
        """Have the pictures after the first many go through a graph of their size; the answers stay the same."""
        height, width = self.model.size
        pixels = images * height * width
        with self._lock:
            due = 0 < self._left <= pixels
            self._left -= pixels
        if due:
            self._inferring = self.model.at_its_size()

    def _make_smaller(self, size: int) -> None:
        with self._lock:
            if self.batch_size == 1:
                raise OutOfMemory(f"{self.model.file}: the memory has no room for one photo at a time; try --workers 1")
            # Another worker may have been here first.
            if self.batch_size == size:
                self.batch_size = size // 2
                self._notify(f"the memory has no room for batches of {size} photos: {self.batch_size} from here on")
