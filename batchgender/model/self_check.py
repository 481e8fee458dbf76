"""A model file's self-check: pictures in it, with the answers that it gives for them, so that a wrong use shows.

Swapped colours, another way of resizing, a runtime that computes something else: each gives answers that are plausible
and wrong. A program that embeds the file decodes these pictures in its own way, asks the model, and compares.
"""

import base64
import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model import tolerances
from batchgender.model.agreement import Predict, difference
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import Model
from batchgender.photos.decode import decode
from batchgender.photos.file_type import HEAD, picture_format
from batchgender.photos.generated import generated_pictures

Image = NDArray[np.uint8]

# Height and width: one picture to enlarge, one to shrink, neither square.
_SIZES = ((56, 48), (300, 360))
_CANDIDATES = 24
# A step of so many shades: fewer of them take fewer bytes.
_SHADES = 64
_MOST_PIXELS = 1_000_000


def self_check_pictures(predict: Predict) -> list[Image]:
    """Generated pictures uint8 [height, width, 3], one of each size: those whose answers mistakes change most."""
    candidates = [picture // _SHADES * _SHADES for picture in generated_pictures(_CANDIDATES)]
    chosen = []
    for size in _SIZES:
        images = np.stack([_scaled(image, size) for image in candidates])
        chosen.append(images[_least_changes(predict, images).argmax()])
    return chosen


def with_self_check(info: ModelInfo, predict: Predict, images: Sequence[Image] = ()) -> ModelInfo:
    """The metadata with these pictures, else with those that it has, and the answers of `predict` to them."""
    images = images or [_picture(entry) for entry in info.self_check]
    entries = [
        {
            "png": base64.b64encode(cv2.imencode(".png", image[..., ::-1])[1].tobytes()).decode(),
            "probabilities": [round(float(p), 6) for p in predict(image[None])[0]],
        }
        for image in images
    ]
    return replace(info, self_check=entries, self_check_tolerance=tolerances.SELF_CHECK[info.precision])


def run_self_check(model: Model) -> float | None:
    """The largest difference in probability from the answers in the file; None where it carries no pictures.

    Raises UserError where it is larger than the file allows, or the pictures are damaged.
    """
    if not model.info.self_check:
        return None
    largest = 0.0
    try:
        for entry in model.info.self_check:
            expected = np.array(entry["probabilities"], np.float32)
            found = model.predict(_picture(entry)[None])[0]
            if expected.shape != found.shape or not np.isfinite(expected).all():
                raise ValueError
            largest = max(largest, difference(found, expected))
    except UserError:
        raise
    except Exception as error:  # Base64, PNG and shapes each fail their own way.
        raise UserError(f"{model.file}: the pictures of its self-check are damaged; export it again") from error
    if not largest <= model.info.self_check_tolerance:
        raise UserError(
            f"{model.file}: failed its self-check: its answers to the pictures in it are {largest:.3f} in probability"
            f" from those that it states, {model.info.self_check_tolerance:g} allowed; the file was changed, or is"
            " computed wrongly here: export it again, or choose another --provider"
        )
    return largest


def _scaled(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def _picture(entry: dict[str, Any]) -> Image:
    data = base64.b64decode(entry["png"])
    # A PNG begins with its size, and a few bytes of it may claim many pixels.
    if picture_format(data[:HEAD]) != "PNG" or math.prod(struct.unpack_from(">II", data, 16)) > _MOST_PIXELS:
        raise ValueError
    return decode(data)


def _least_changes(predict: Predict, images: Image) -> NDArray[np.float32]:
    """How much each answer changes, at least, by swapped colours and by another way of resizing: [pictures]."""
    right = predict(images)
    swapped = np.ascontiguousarray(images[..., ::-1])
    # Far from the model's own sides, so that its filter has something to do.
    resized = np.stack([_scaled(image, (224, 224)) for image in images])
    changes = [np.abs(predict(other) - right).max(1) for other in (swapped, resized)]
    return np.minimum(*changes)
