"""Pictures that a model file carries beside the answers it shall give to them, so that a wrong use of it shows.

Swapped colours, another kernel of resizing, a runtime that computes something else: each gives answers that are
plausible and wrong. A program that embeds the file decodes these pictures its own way, asks, and compares.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.model_file import Model, ModelInfo
from batchgender.photos.decode import decode
from batchgender.photos.generated import generated_pictures

Image = NDArray[np.uint8]
Predict = Callable[[Image], NDArray[np.float32]]

# Height and width: one picture to enlarge, one to shrink, neither square.
_SIZES = ((56, 48), (300, 360))
_MADE = 48
# A step of so many shades: fewer of them take fewer bytes.
_SHADES = 64
# How far a sound runtime may be off, in probability, by the file's precision.
_TOLERANCES = {"float32": 1e-3, "float16": 0.01, "int8": 0.06}


def golden_pictures(predict: Predict) -> list[Image]:
    """Generated pictures uint8 [height, width, 3], one of each size: those that tell the usual mistakes best."""
    made = [picture // _SHADES * _SHADES for picture in generated_pictures(_MADE)]
    return [max((_sized(image, size) for image in made), key=lambda image: _told(predict, image)) for size in _SIZES]


def with_golden(info: ModelInfo, predict: Predict, images: Sequence[Image] = ()) -> ModelInfo:
    """What a model file says of itself with these pictures, else with those it has, and the answers of `predict`."""
    images = images or [_picture(one) for one in info.golden]
    carried = [
        {
            "png": base64.b64encode(cv2.imencode(".png", image[..., ::-1])[1].tobytes()).decode(),
            "probabilities": [round(float(p), 6) for p in predict(image[None])[0]],
        }
        for image in images
    ]
    return replace(info, golden=carried, golden_tolerance=_TOLERANCES[info.precision])


def replay(model: Model) -> float | None:
    """The largest difference in probability from the file's own answers; None where it carries no pictures.

    Raises UserError where it is larger than the file allows, or what it carries is damaged.
    """
    if not model.info.golden:
        return None
    largest = 0.0
    try:
        for one in model.info.golden:
            expected = np.array(one["probabilities"], np.float32)
            found = model.predict(_picture(one)[None])[0]
            if expected.shape != found.shape or not np.isfinite(expected).all():
                raise ValueError
            # A NaN is no small difference.
            largest = max(largest, float(np.nan_to_num(np.abs(found - expected), nan=1.0).max()))
    except UserError:
        raise
    except Exception as error:  # Base64, PNG and shapes each fail their own way.
        raise UserError(f"{model.file}: the pictures that it checks itself by are damaged; export it again") from error
    if not largest <= model.info.golden_tolerance:
        raise UserError(
            f"{model.file}: gives other answers than it says it should to the pictures in it ({largest:.3f} apart in"
            f" probability, {model.info.golden_tolerance:g} allowed); it was changed, or is computed wrongly here:"
            " export it again, or choose another --provider"
        )
    return largest


def _sized(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def _picture(carried: dict[str, Any]) -> Image:
    return decode(base64.b64decode(carried["png"]))


def _told(predict: Predict, image: Image) -> float:
    """How much the answer changes, at least, by swapped colours and by another way of resizing."""
    right = predict(image[None])[0]
    swapped = np.ascontiguousarray(image[..., ::-1])
    # Far from the model's own sides, so that its kernel has something to do.
    rough = _sized(image, (224, 224))
    return min(float(np.abs(predict(other[None])[0] - right).max()) for other in (swapped, rough))
