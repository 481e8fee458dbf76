"""A face's square, cut out of its photo."""

import cv2
import numpy as np
from numpy.typing import NDArray

# Pixels of a side of what is turned: more would only be made smaller again.
_TURNED = 512


def square_side(box: NDArray[np.float32], margin: float) -> float:
    """The side of the square around a box [4] (x, y, width, height): its longer side and `margin` of it on each end."""
    return float(max(box[2:]) * (1 + 2 * margin))


def cut_square(image: NDArray[np.uint8], box: NDArray[np.float32], margin: float) -> NDArray[np.uint8]:
    """Cut the square around a box's centre out of uint8 [height, width, 3]; its edge is repeated where it ends."""
    height, width = image.shape[:2]
    side = max(round(square_side(box, margin)), 1)
    left, top = (round(float(box[axis] + box[axis + 2] / 2 - side / 2)) for axis in (0, 1))
    right, bottom = left + side, top + side
    # The centre is inside: so is a part of the square.
    part = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    beyond = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if not any(beyond):
        return part
    return np.asarray(cv2.copyMakeBorder(part, *beyond, cv2.BORDER_REPLICATE), np.uint8)


def cut_aligned(
    image: NDArray[np.uint8], box: NDArray[np.float32], margin: float, eyes: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The same square, turned around the box's centre so that the line of the `eyes` [2, 2] is level."""
    side = square_side(box, margin)
    across, down = eyes[1] - eyes[0]
    pixels = max(min(round(side), _TURNED), 1)
    centre = (float(box[0] + box[2] / 2), float(box[1] + box[3] / 2))
    if side > 2 * pixels:
        # Averaged first: what turns the picture looks at four pixels alone.
        scale = 2 * pixels / side
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        side, centre = side * scale, (centre[0] * scale, centre[1] * scale)
    turned = cv2.getRotationMatrix2D(centre, float(np.degrees(np.arctan2(down, across))), pixels / side)
    turned[:, 2] = turned[:, 2] + pixels / 2 - np.array(centre)
    return np.asarray(
        cv2.warpAffine(image, turned, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
