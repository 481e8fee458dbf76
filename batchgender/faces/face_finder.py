"""A photo to its faces, each cut as the model wants it: looked at small first, and larger where that is needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.errors import NoRoom
from batchgender.faces.cutting import cut_aligned, cut_square, square_side
from batchgender.faces.detector import Boxes, FaceDetector, without_doubles
from batchgender.faces.face import Face
from batchgender.faces.framing import FoundFaces
from batchgender.photos.decode import decode_copy
from batchgender.photos.resize import Size, resize

# The longer side of the pictures that are looked at, one after the other. The last one takes some 100 MB.
_SIDES = (128, 320, 800, 2000)
# Every photo without a face is looked at so large, also where its pixels are fewer: faces that are blurred, or whose
# edges are cut off, are found then.
_ALWAYS = 320
# The detector finds a face of so many pixels.
_SMALLEST_SEEN = 12
# From so many pixels on it misses hardly any.
_PLAIN = 16
# A face's score at least. Of single faces in 3,000 photos 99 % have 0.88 or more; below it false ones begin.
_LOWEST_SCORE = 0.8
MIN_FACE = 24


@dataclass(frozen=True)
class FaceFinder:
    """How faces are looked for: the largest of a photo, or `every` one of at least `min_face` pixels, shorter side.

    `margin` is that of the square around a face (`cutting.square_side`); with `align` it is turned by the eyes.
    """

    detector: FaceDetector
    margin: float
    every: bool = False
    min_face: int = MIN_FACE
    align: bool = False

    def cut(self, data: bytes | NDArray[np.uint8], size: Size) -> list[tuple[Face, NDArray[np.uint8]]]:
        """The faces in a photo, the largest first, each with its square, uint8 RGB of `size`.

        `data` is a file's bytes, or pixels uint8 [height, width, 3]. Raises UnreadablePhoto.
        """
        return [(face, image) for face, (image,) in self.cut_at(data, [size])]

    def cut_at(
        self, data: bytes | NDArray[np.uint8], sizes: Sequence[Size]
    ) -> list[tuple[Face, list[NDArray[np.uint8]]]]:
        """The same, each face's square in several sizes; those of the first size are the ones that `cut` gives."""
        with _room():
            look = Look(data, 2 * _longer(sizes[0]))
            found = self.find(look)
            order = np.argsort(-found.boxes[:, 2:].prod(1), kind="stable")
            chosen = order if self.every else order[:1]
            squares: list[list[NDArray[np.uint8]]] = [[] for _ in chosen]
            # Size by size: a larger copy that one asks for is what the next are cut from.
            for size in sizes:
                for at, images in zip(chosen, squares, strict=True):
                    square = self._square(look, found.boxes[at], found.eyes[at], _longer(size))
                    images.append(resize(square, size))
            return [
                (_face(number, found.boxes[at], float(found.scores[at])), images)
                for number, (at, images) in enumerate(zip(chosen, squares, strict=True), 1)
            ]

    def found_in(self, data: bytes | NDArray[np.uint8]) -> FoundFaces:
        """Where the faces of a photo are, as `find_largest` sees them; raises UnreadablePhoto."""
        with _room():
            look = Look(data)
            return FoundFaces(self.find_largest(look), look.width, look.height)

    def find(self, look: "Look") -> Boxes:
        """The faces of at least `min_face` pixels, their boxes in pixels of the whole photo."""
        if not self.every:
            return self.find_largest(look)
        return without_doubles([self._seen(look, side) for side in _sides(look.longer, self.min_face)])

    def find_largest(self, look: "Look") -> Boxes:
        """The faces that are seen until one of them is plain to see: the largest of the photo is among them."""
        found = Boxes.none()
        for side in _sides(look.longer, self.min_face):
            found = without_doubles([found, self._seen(look, side)])
            # Among faces that are hardly seen, a larger one may be missed.
            if len(found) and found.boxes[:, 2:].min(1).max() * side / look.longer >= _PLAIN:
                break
        return found

    def _seen(self, look: "Look", side: int) -> Boxes:
        image = look.copy(side)
        seen = self.detector.faces(image, side, _LOWEST_SCORE).scaled(*look.scale_of(image))
        return seen.chosen(np.nonzero(seen.boxes[:, 2:].min(1) >= self.min_face)[0])

    def _square(
        self, look: "Look", box: NDArray[np.float32], eyes: NDArray[np.float32], wanted: int
    ) -> NDArray[np.uint8]:
        # So large a copy that the square has the pixels that the model needs, where the photo has them.
        image = look.copy(wanted / square_side(box, self.margin) * look.longer)
        factors = 1 / np.array(look.scale_of(image), np.float32)
        box = box * np.tile(factors, 2)
        if self.align:
            return cut_aligned(image, box, self.margin, np.asarray(eyes * factors, np.float32))
        return cut_square(image, box, self.margin)


class Look:
    """A photo that is looked at: decoded small first, and larger where that is asked for."""

    def __init__(self, data: bytes | NDArray[np.uint8], smallest: int = _SIDES[0]) -> None:
        self._data = data
        self._image, (self.height, self.width) = decode_copy(data, smallest)

    @property
    def longer(self) -> int:
        """The longer side of the whole photo in pixels."""
        return max(self.height, self.width)

    def copy(self, longer: float) -> NDArray[np.uint8]:
        """The photo, uint8 [height, width, 3], its longer side at least so many pixels where the whole one's is."""
        if max(self._image.shape) < min(longer, self.longer):
            share = min(longer / self.longer, 1)
            self._image, _ = decode_copy(self._data, round(min(self.height, self.width) * share))
        return self._image

    def scale_of(self, image: NDArray[np.uint8]) -> tuple[float, float]:
        """What a pixel of a copy is across and down, in pixels of the whole photo."""
        return self.width / image.shape[1], self.height / image.shape[0]


@contextmanager
def _room() -> Iterator[None]:
    """Turn a lack of memory into NoRoom."""
    try:
        yield
    except (cv2.error, MemoryError) as error:
        raise NoRoom("too large for the memory of this machine") from error


def _sides(longer: int, min_face: int) -> Iterator[int]:
    """The sides to look at so that a face of `min_face` pixels in a photo whose longer side is given is seen.

    Up to the last of _SIDES: in larger photos smaller faces than 0.6 % of that side are not seen.
    """
    needed = min(max(longer * min(_SMALLEST_SEEN / min_face, 1), _ALWAYS), _SIDES[-1])
    for side in _SIDES:
        if side >= needed:
            yield round(needed) if side > _ALWAYS else side
            return
        yield side


def _longer(size: Size) -> int:
    return size if isinstance(size, int) else max(size)


def _face(number: int, box: NDArray[np.float32], score: float) -> Face:
    left, top, width, height = (round(float(value)) for value in box)
    return Face(number, left, top, max(width, 1), max(height, 1), round(score, 3))
