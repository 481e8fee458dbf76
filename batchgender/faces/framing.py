"""How pictures are framed around faces: what a model was trained on, and whether photos are framed so."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

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


def measured_framing(found: Iterable[tuple[Boxes, tuple[int, int]]]) -> Framing | None:
    """The framing of photos, given the faces of each and its height and width; None where most show no face."""
    shares: list[float] = []
    margins: list[float] = []
    count = 0
    for boxes, (height, width) in found:
        count += 1
        if len(boxes):
            _, _, box_width, box_height = boxes.boxes[boxes.boxes[:, 2:].prod(1).argmax()]
            shares.append(float(box_width) / width)
            margins.append((min(height, width) / float(max(box_width, box_height)) - 1) / 2)
    if len(shares) * 2 < count or not shares:
        return None
    return Framing(round(max(median(margins), 0.0), 3), round(median(shares), 3))


def largest_share(boxes: Boxes, width: int) -> float:
    """The share of a photo's width that its largest face takes."""
    return float(boxes.boxes[boxes.boxes[:, 2:].prod(1).argmax(), 2]) / width
