"""Which provider computes: those installed are tried, held against the CPU, and the fastest that agrees is taken."""

import time

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model.model_file import Model
from batchgender.model.session import CPU, installed, move
from batchgender.photos.generated import generated_pictures
from batchgender.photos.resize import resize

# TensorRT builds an engine for minutes: taken where it is asked for alone.
_TRIED = ("cuda", "coreml", "directml", "openvino")
# These compute a call on one core, so that as many calls run at once as there are workers.
_ONE_CORE_A_CALL = (CPU, "openvino")
# In probability: more than 16-bit floats cost a sound model, or another rounding one in 8 bits.
_TOLERANCE, _TOLERANCE_INT8 = 0.02, 0.06
_PICTURES = 8


def place(model: Model, provider: str, workers: int, notify: Notify) -> Model:
    """The model on `provider`; on the fastest of those installed where it is "auto", the CPU among them.

    A provider is held against the CPU's probabilities on generated pictures. Raises UserError where the one that is
    asked for is not installed, does not take the model, or differs too much; under "auto" that is said, and the
    next is tried.
    """
    if provider == CPU:
        return model
    pictures = _pictures(model.info.input_size)
    expected = model.predict(pictures)
    if provider != "auto":
        return _moved(model, provider, workers, pictures, expected)
    best, seconds = model, _seconds(model, CPU, workers, pictures) if set(_TRIED) & set(installed()) else 0.0
    for name in _TRIED:
        if name not in installed():
            continue
        try:
            other = _moved(model, name, workers, pictures, expected)
        except UserError as error:
            notify(f"left out: {error}")
            continue
        if (taken := _seconds(other, name, workers, pictures)) < seconds:
            best, seconds = other, taken
    return best


def _moved(
    model: Model, provider: str, workers: int, pictures: NDArray[np.uint8], expected: NDArray[np.float32]
) -> Model:
    size = None if model.foreign else model.info.input_size
    other = model.on(move(model.session, model.file, provider, workers, size))
    difference = float(np.abs(other.predict(pictures) - expected).max())
    limit = _TOLERANCE_INT8 if model.info.precision == "int8" else _TOLERANCE
    if not difference <= limit:
        raise UserError(
            f"provider {provider}: its probabilities differ from the CPU's by {difference:.3f}, more than {limit};"
            " choose another --provider"
        )
    return other


def _pictures(size: int) -> NDArray[np.uint8]:
    return np.stack([resize(picture, size) for picture in generated_pictures(_PICTURES)])


def _seconds(model: Model, provider: str, workers: int, pictures: NDArray[np.uint8]) -> float:
    """The shorter of two calls; the first one of all, which sets up, has been made."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        model.predict(pictures)
        times.append(time.perf_counter() - started)
    return min(times) / (workers if provider in _ONE_CORE_A_CALL else 1)
