"""How pictures are framed around faces: what a model was trained on, and whether photos are framed so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.faces.detector import Boxes

# A photo counts as framed as in training where its face takes so much of the share that it had there.
_FRAMED = 0.8


@dataclass(frozen=True)
class Framing:
    """How the photos that a model was trained on are framed.

    `face_share` is the median share of a photo's width that the face's box takes; `margin` that of the square that
    frames a face so (`cutting.square_side`).
    """

    margin: float
    face_share: float

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Framing":
        """That of a model file's metadata; TIGHT where it states none."""
        return cls(data["margin"], data["face_share"]) if data else TIGHT

    def is_framed(self, face_share: float) -> bool:
        """Whether a photo whose face takes this share of its width needs no cutting."""
        return face_share >= _FRAMED * self.face_share


# Face crops as datasets of faces have them (UTKFace).
TIGHT = Framing(margin=0.05, face_share=0.86)


@dataclass(frozen=True)
class FoundFaces:
    """The faces found in a photo of this width and height in pixels."""

    boxes: Boxes
    width: int
    height: int

    @property
    def largest_box(self) -> NDArray[np.float32]:
        """The box [4] of the largest face in pixels: x, y, width, height."""
        return self.boxes.boxes[self.boxes.boxes[:, 2:].prod(1).argmax()]

    @property
    def largest(self) -> tuple[float, float]:
        """The width and height of the largest face in pixels."""
        return float(self.largest_box[2]), float(self.largest_box[3])

    @property
    def share(self) -> float:
        """The share of the photo's width that its largest face takes."""
        return self.largest[0] / self.width


def measured_framing(found: Sequence[FoundFaces]) -> Framing | None:
    """The framing of photos by the faces found in each; None where most show no face."""
    shown = [each for each in found if len(each.boxes)]
    if not shown or 2 * len(shown) < len(found):
        return None
    margins = [(min(each.width, each.height) / max(each.largest) - 1) / 2 for each in shown]
    shares = [each.share for each in shown]
    return Framing(round(max(float(np.median(margins)), 0.0), 3), round(float(np.median(shares)), 3))
