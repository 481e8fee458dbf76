"""Choosing the execution provider: those installed are tried, compared with the CPU, and the fastest is taken."""

import math
import time

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model import tolerances
from batchgender.model.agreement import difference
from batchgender.model.open_model import Model
from batchgender.model.session import AUTO, CPU, installed, open_on_provider
from batchgender.photos.generated import generated_pictures
from batchgender.photos.resize import resize

# TensorRT builds an engine for minutes: it is taken only where it is named.
_TRIED = ("cuda", "coreml", "directml", "openvino")
# These compute a call on one core, so that as many calls run at once as there are workers.
_ONE_CORE_A_CALL = (CPU, "openvino")
_PICTURES = 8
# Seconds that the CPU must have work for: to set another provider up and to measure it takes about one.
_WORTH = 5.0


def photos_worth_a_choice(model: Model, workers: int) -> float:
    """From how many photos on another provider can gain more than trying it takes; infinite where none is installed."""
    if not _candidates():
        return math.inf
    pictures = np.zeros((_PICTURES, *model.size, 3), np.uint8)
    # The first call sets up.
    model.predict(pictures)
    return _WORTH * _PICTURES / _seconds(model, CPU, workers, pictures)


def _candidates() -> list[str]:
    return [name for name in _TRIED if name in installed()]


def choose_provider(model: Model, provider: str, workers: int, notify: Notify) -> Model:
    """The model on `provider`; under "auto" on the fastest of those installed, the CPU among them.

    A provider's probabilities are compared with the CPU's on generated pictures. Raises UserError where the one that is
    named is not installed, does not take the model, or differs too much; under "auto" that is a notice, and the
    next is tried.
    """
    if provider == CPU:
        return model
    pictures = np.stack([resize(picture, model.size) for picture in generated_pictures(_PICTURES)])
    expected = model.predict(pictures)
    if provider != AUTO:
        return _on_provider(model, provider, workers, pictures, expected)
    candidates = _candidates()
    best, seconds = model, _seconds(model, CPU, workers, pictures) if candidates else 0.0
    for name in candidates:
        try:
            other = _on_provider(model, name, workers, pictures, expected)
        except UserError as error:
            notify(f"left out: {error}")
            continue
        if (taken := _seconds(other, name, workers, pictures)) < seconds:
            best, seconds = other, taken
    return best


def _on_provider(
    model: Model, provider: str, workers: int, pictures: NDArray[np.uint8], expected: NDArray[np.float32]
) -> Model:
    size = None if model.foreign else model.info.input_size
    other = model.with_session(open_on_provider(model.session, model.file, provider, workers, size))
    apart = difference(other.predict(pictures), expected)
    limit = tolerances.PROVIDER_INT8 if model.info.precision == "int8" else tolerances.PROVIDER
    if not apart <= limit:
        raise UserError(
            f"provider {provider}: its probabilities differ from the CPU's by {apart:.3f}, more than {limit};"
            " choose another --provider"
        )
    return other


def _seconds(model: Model, provider: str, workers: int, pictures: NDArray[np.uint8]) -> float:
    """The shorter of two calls; the first one of all, which sets up, has been made."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        model.predict(pictures)
        times.append(time.perf_counter() - started)
    return min(times) / (workers if provider in _ONE_CORE_A_CALL else 1)
