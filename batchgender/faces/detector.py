"""YuNet, the face detector: an open file, and the faces that it sees in one picture of one size.

Wu, Peng, Yu, Feng: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.session import Session, open_session

_STRIDES = (8, 16, 32)
_OUTPUTS = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in _STRIDES]
_LARGEST_STRIDE = max(_STRIDES)
# Boxes that share so much of their area are one face.
_SAME_FACE = 0.3
# Points of a face: right eye, left eye, nose, corners of the mouth.
_POINTS = 5


@dataclass(frozen=True)
class Boxes:
    """Faces in one picture, best score first.

    `boxes` float32 [n, 4]: x, y, width, height in pixels; `scores` float32 [n]; `eyes` float32 [n, 2, 2]: x and y of
    the right and of the left one.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    eyes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> "Boxes":
        """No face."""
        return cls(*(np.zeros((0, *shape), np.float32) for shape in ((4,), (), (2, 2))))

    def scaled(self, across: float, down: float) -> "Boxes":
        """The same faces in a picture of another size."""
        factors = np.array([across, down], np.float32)
        return Boxes(self.boxes * np.tile(factors, 2), self.scores, self.eyes * factors)

    def chosen(self, indices: NDArray[np.intp]) -> "Boxes":
        """The faces at these indices."""
        return Boxes(self.boxes[indices], self.scores[indices], self.eyes[indices])


def without_doubles(found: list[Boxes]) -> Boxes:
    """The faces of several looks at one picture, each once, with the box of its best score."""
    boxes = Boxes(*(np.concatenate([getattr(each, name) for each in found]) for name in ("boxes", "scores", "eyes")))
    left = np.argsort(-boxes.scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[_overlap(boxes.boxes[best], boxes.boxes[left]) < _SAME_FACE]
    return boxes.chosen(np.array(kept, np.intp))


class FaceDetector:
    """An open detector. Made by `open_detector`; several threads may call it at once."""

    def __init__(self, session: Session, file: str) -> None:
        self._session, self.file = session, file

    def faces(self, image: NDArray[np.uint8], side: int, lowest: float) -> Boxes:
        """The faces in a picture uint8 [height, width, 3] RGB, looked at with its longer side resized to `side`.

        Those whose score is below `lowest` are left out. The boxes are in pixels of `image`.
        """
        height, width = image.shape[:2]
        scale = side / max(height, width)
        rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
        if (rows, columns) != (height, width):
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (columns, rows), interpolation=way), np.uint8)
        padded = [-(-size // _LARGEST_STRIDE) * _LARGEST_STRIDE for size in (rows, columns)]
        pixels = np.zeros((1, 3, *padded), np.float32)
        # It wants BGR in 0..255.
        pixels[0, :, :rows, :columns] = image[..., ::-1].transpose(2, 0, 1)
        outputs = self._session.run(_OUTPUTS, {self._session.inputs[0].name: pixels})
        found = _decode(dict(zip(_OUTPUTS, outputs, strict=True)), padded[1], lowest)
        # What lies in the padding is no face.
        centres = found.boxes[:, :2] + found.boxes[:, 2:] / 2
        inside = np.nonzero((centres >= 0).all(1) & (centres < (columns, rows)).all(1))[0]
        return without_doubles([found.chosen(inside)]).scaled(width / columns, height / rows)


def open_detector(file: str) -> FaceDetector:
    """Open a detector's file; raises UserError where it is missing, damaged, or no such detector."""
    session = open_session(file)
    inputs, outputs = session.inputs, {value.name for value in session.outputs}
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4 or outputs != set(_OUTPUTS):
        raise UserError(
            f"{file}: no face detector of this kind (YuNet); `batchgender fetch-detector` says where to get it"
        )
    if any(isinstance(side, int) for side in inputs[0].shape[2:]):
        raise UserError(
            f"{file}: takes pictures of {inputs[0].shape[2:]} pixels alone; `batchgender fetch-detector` gets one that"
            " takes all sizes"
        )
    detector = FaceDetector(session, file)
    try:
        detector.faces(np.zeros((_LARGEST_STRIDE, _LARGEST_STRIDE, 3), np.uint8), _LARGEST_STRIDE, lowest=0)
    except (ValueError, IndexError) as error:
        raise UserError(f"{file}: no face detector of this kind: its outputs have other shapes") from error
    return detector


def _decode(outputs: dict[str, NDArray[np.float32]], width: int, lowest: float) -> Boxes:
    """The network's outputs, one value a cell of each stride's grid, as boxes."""
    boxes, scores, eyes = [], [], []
    for stride in _STRIDES:
        classes, objects = (outputs[f"{kind}_{stride}"][0, :, 0].clip(0, 1) for kind in ("cls", "obj"))
        score = np.sqrt(classes * objects)
        cells = np.nonzero(score >= lowest)[0]
        corners = np.stack([cells % (width // stride), cells // (width // stride)], 1).astype(np.float32)
        offsets = outputs[f"bbox_{stride}"][0, cells]
        points = outputs[f"kps_{stride}"][0, cells].reshape(-1, _POINTS, 2)[:, :2]
        sizes = np.exp(offsets[:, 2:].clip(max=10)) * stride
        boxes.append(np.hstack([(corners + offsets[:, :2]) * stride - sizes / 2, sizes]))
        scores.append(score[cells])
        eyes.append((points + corners[:, None]) * stride)
    return Boxes(np.concatenate(boxes), np.concatenate(scores), np.concatenate(eyes))


def _overlap(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share of a box [4] and each of others [n, 4] that both cover, [n] in 0..1."""
    left, right = np.maximum(box[:2], others[:, :2]), np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    both = (right - left).clip(0).prod(1)
    shares: NDArray[np.float32] = both / (box[2:].prod() + others[:, 2:].prod(1) - both).clip(1e-6)
    return shares
