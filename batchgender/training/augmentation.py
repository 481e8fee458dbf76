"""Random views of a training photo: how it was framed, lit, sharp and stored, drawn anew each epoch.

OpenCV's kernels on threads: one warp crops, turns, stretches and mirrors, one matrix changes all colour. The same
steps one by one in torchvision.transforms.v2 take about five times as long (`make bench-train`).
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.training.recipe import Recipe

Image = NDArray[np.uint8]

# How far a face may lie from the middle of its view, as a share of the view's side.
_ASIDE = 0.1

# How bright the eye takes red, green and blue to be (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114])
_BORDERS = (cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)


def augment(
    image: Image, size: int, recipe: Recipe, rng: np.random.Generator, face: NDArray[np.float32] | None = None
) -> Image:
    """A random view, uint8 [size, size, 3] RGB, of a photo uint8 [height, width, 3]; the same for the same `rng`.

    `face` [4] is the box (x, y, width, height) of the face that is to be seen, in shares of the photo's width and
    height.
    """
    if face is not None and rng.random() < recipe.cap:
        image = _capped(image, face, rng)
    around = face is not None and recipe.face_share[1] > 0 and rng.random() < recipe.face_views
    view = _framed(image, size, recipe, rng, face if around else None)
    if rng.random() < recipe.blur:
        view = _blurred(view, rng)
    view = _lit(view, recipe, rng)
    if rng.random() < recipe.noise:
        grain = rng.standard_normal((size, size), np.float32) * np.float32(rng.uniform(2, 16))
        view = np.asarray(cv2.add(view, cv2.merge([grain] * 3), dtype=cv2.CV_8U), np.uint8)
    if rng.random() < recipe.compress:
        stored = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 80))])[1]
        view = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)
    if rng.random() < recipe.erase:
        _erase(view, rng)
    return view


def _framed(
    image: Image, size: int, recipe: Recipe, rng: np.random.Generator, face: NDArray[np.float32] | None
) -> Image:
    """Crop, turn, stretch, shear and mirror in one warp; what lies outside the photo is mirrored, drawn out or gray."""
    height, width = image.shape[:2]
    stretch = math.sqrt(_log_uniform(1 / (1 + recipe.stretch), 1 + recipe.stretch, rng))
    # The crop's sides in shares of the photo's.
    if face is None:
        across = down = _log_uniform(*recipe.crop, rng)
    else:
        across, down = _around(face, width / height, recipe, rng)
    crop_width, crop_height = width * across * stretch, height * down / stretch
    # Shrinking by more than the filter sees would alias.
    shrink = min(crop_width, crop_height) / size
    if shrink > 1.5:
        image = np.asarray(
            cv2.resize(image, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
        height, width = image.shape[:2]
        crop_width, crop_height = width * across * stretch, height * down / stretch
    if face is None:
        # The crop lies in the photo, or the photo in the crop.
        centre_x = width / 2 + (rng.random() - 0.5) * (width - crop_width)
        centre_y = height / 2 + (rng.random() - 0.5) * (height - crop_height)
    else:
        left, top, face_width, face_height = face
        centre_x = width * (left + face_width / 2) + crop_width * rng.uniform(-_ASIDE, _ASIDE)
        centre_y = height * (top + face_height / 2) + crop_height * rng.uniform(-_ASIDE, _ASIDE)
    angle = math.radians(recipe.rotate) * rng.uniform(-1, 1)
    shear = math.tan(math.radians(recipe.shear) * rng.uniform(-1, 1))
    mirror = -1 if rng.random() < recipe.flip else 1
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    slant = np.array([[mirror, shear], [0, 1]])
    # From the view's pixels, about its centre, to the photo's.
    linear = np.diag([crop_width / size, crop_height / size]) @ turn @ slant
    middle = (size - 1) / 2
    offset = np.array([centre_x - 0.5, centre_y - 0.5]) - linear @ [middle, middle]
    border = _BORDERS[rng.choice(3, p=(0.5, 0.25, 0.25))]
    return np.asarray(
        cv2.warpAffine(
            image,
            np.column_stack([linear, offset]),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=border,
            borderValue=rng.uniform(0, 255, 3).tolist(),
        ),
        np.uint8,
    )


def _capped(image: Image, face: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """The photo with a cap, mostly a dark one, over the hair: a half ellipse from a line across the forehead upwards.

    A detector's box begins in the middle of the forehead, and its width is that of the face without the ears.
    """
    height, width = image.shape[:2]
    left, top, face_width, face_height = face * np.array([width, height, width, height])
    brim = top + face_height * rng.uniform(-0.08, 0.18)
    centre = (left + face_width * rng.uniform(0.45, 0.55), brim)
    axes = (face_width * rng.uniform(0.55, 0.9), face_height * rng.uniform(0.3, 0.7))
    color = rng.uniform(0, 60 if rng.random() < 0.7 else 255, 3)
    # OpenCV draws at an eighth of a pixel.
    outline = cv2.ellipse2Poly(
        [round(8 * v) for v in centre], [round(8 * v) for v in axes], int(rng.integers(-12, 13)), 180, 360, 5
    )
    return np.asarray(cv2.fillPoly(image.copy(), [np.array(outline)], color.tolist(), cv2.LINE_AA, shift=3), np.uint8)


def _around(face: NDArray[np.float32], aspect: float, recipe: Recipe, rng: np.random.Generator) -> tuple[float, float]:
    """The sides of a square around a face, in shares of the photo's width and height; `aspect` is width by height.

    The longer side of the face's box takes a share of the square's drawn from `face_share`, but the square is no
    larger than the photo's shorter side by more than `crop` has it.
    """
    longer = max(face[2] * aspect, face[3])
    low, high = recipe.face_share
    share = min(max(low, longer / (min(aspect, 1) * recipe.crop[1])), high)
    side = longer / _log_uniform(share, high, rng)
    return side / aspect, side


def _blurred(view: Image, rng: np.random.Generator) -> Image:
    """Out of focus, or a small picture enlarged."""
    size = view.shape[0]
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(view, (0, 0), size / 224 * rng.uniform(0.6, 3.5)), np.uint8)
    small = int(size * rng.uniform(0.2, 0.6))
    filters = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
    shrunk = cv2.resize(view, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (size, size), interpolation=filters[rng.integers(3)]), np.uint8)


def _lit(view: Image, recipe: Recipe, rng: np.random.Generator) -> Image:
    """Brightness, contrast, saturation, white balance and gray as one matrix, then gamma."""
    if recipe.color:
        gains, saturation, contrast, brightness, gamma = (
            np.exp(recipe.color * rng.uniform(-1, 1, n)) for n in (3, 1, 1, 1, 1)
        )
        # White balance varies less than light does.
        matrix = np.diag(np.sqrt(gains) ** 0.5 * brightness)
    else:
        matrix, saturation, contrast, gamma = np.eye(3), np.ones(1), np.ones(1), np.ones(1)
    if rng.random() < recipe.grayscale:
        saturation = np.zeros(1)
    matrix = (saturation * np.eye(3) + (1 - saturation) * _LUMA) @ matrix
    if recipe.color or not saturation[0]:
        mean = float(view.reshape(-1, 3)[::61].mean(0) @ _LUMA)
        mixed = np.column_stack([contrast * matrix, np.full(3, (1 - contrast[0]) * mean)])
        view = np.asarray(cv2.transform(view, mixed), np.uint8)
    if recipe.color:
        curve = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
        view = np.asarray(cv2.LUT(view, curve), np.uint8)
    return view


def _erase(view: Image, rng: np.random.Generator) -> None:
    """Fill a rectangle with one colour or with noise (Zhong et al. 2017, arXiv:1708.04896)."""
    size = view.shape[0]
    area, ratio = rng.uniform(0.02, 0.25), _log_uniform(0.4, 2.5, rng)
    height, width = (max(1, min(size, round(size * math.sqrt(s)))) for s in (area * ratio, area / ratio))
    top, left = (int(rng.integers(0, size - side + 1)) for side in (height, width))
    shape = (height, width, 3) if rng.random() < 0.3 else (1, 1, 3)
    view[top : top + height, left : left + width] = rng.integers(0, 256, shape, np.uint8)


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
