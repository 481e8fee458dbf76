"""int8 ONNX files: weights and activations in 8 bits, run by integer kernels.

Static quantisation of onnxruntime in the QDQ format (https://onnxruntime.ai/docs/performance/model-optimizations/
quantization.html): activations signed, one scale a tensor, found on real photos; weights signed, one scale a channel.
The resized bytes are the first layer's input as they are (see `uint8_input`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from batchgender.export.agreement import Agreement, Reference
from batchgender.export.formats import onnx as onnx_format
from batchgender.export.formats.quiet import quiet
from batchgender.export.quantization.compression import merged
from batchgender.export.quantization.layers import nodes_outside_layers
from batchgender.export.quantization.uint8_input import feed_bytes, fold_normalization
from batchgender.io import Notify
from batchgender.model import tolerances
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import open_model
from batchgender.model.self_check import with_self_check
from batchgender.training.networks.deployed import Deployed

_PHOTOS = 256
# Small, for calibration holds all activations of a batch at once.
_BATCH = 8
_METHODS: dict[str, tuple[CalibrationMethod, dict[str, Any]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "moving average": (CalibrationMethod.MinMax, {"CalibMovingAverage": True}),
    # A stride of one batch (whatever its name says): without it all batches' activations are held.
    "percentile": (
        CalibrationMethod.Percentile,
        {"CalibPercentile": 99.999, "CalibTensorRangeSymmetric": False, "CalibStridedMinMax": 1},
    ),
}


@dataclass(frozen=True)
class _Candidate:
    """A file quantised by one calibration method, and how it agrees with the original."""

    method: str
    file: Path
    agreement: Agreement


def write_int8(
    module: Deployed,
    info: ModelInfo,
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    reference: Reference,
    notify: Notify,
    opset: int,
) -> None:
    """Write an int8 ONNX file, calibrated on photos uint8 [B, H, W, 3].

    Of the calibration methods the one whose probabilities lie nearest to the original's is taken. Raises UserError
    where its accuracy falls by more than half a point.
    """
    every = np.concatenate(images)
    chosen = every[np.linspace(0, len(every) - 1, min(_PHOTOS, len(every))).astype(int)]
    with TemporaryDirectory() as folder:
        float32, bytes_first = _prepare(module, info, Path(folder), opset)
        candidates = [
            _quantize_and_compare(float32, method, chosen, bytes_first, reference, notify) for method in _METHODS
        ]
        best = _choose(candidates, notify)
        model = onnx.load(best.file)
        predict = open_model(best.file).predict
    found = replace(best.agreement.compression(), int8_calibration=best.method, int8_photos=len(chosen))
    info = replace(info, precision="int8", compression=merged(info.compression, found))
    onnx_format.save_onnx(model, with_self_check(info, predict), path)


def _prepare(module: Deployed, info: ModelInfo, folder: Path, opset: int) -> tuple[Path, bool]:
    """The float32 file to quantise, and whether its first layer takes bytes."""
    file = folder / "float32.onnx"
    onnx_format.write(module, info, file, opset)
    return file, fold_normalization(file)


def _quantize_and_compare(
    float32: Path,
    method: str,
    images: NDArray[np.uint8],
    bytes_first: bool,
    reference: Reference,
    notify: Notify,
) -> _Candidate:
    file = float32.with_name(f"{method}.onnx")
    _quantize(float32, file, method, images, bytes_first)
    agreement = reference.compare(open_model(file).predict, f"int8, {method}")
    notify(f"int8, {method}: {agreement}")
    return _Candidate(method, file, agreement)


def _choose(candidates: Sequence[_Candidate], notify: Notify) -> _Candidate:
    """The candidate whose probabilities lie nearest to the original's, of those that keep the accuracy if any does."""

    def badness(one: _Candidate) -> tuple[bool, float]:
        return one.agreement.points_lost > tolerances.POINTS_LOST, one.agreement.mean_difference

    best = min(candidates, key=badness)
    best.agreement.check_points_lost()
    notify(f"int8: {best.method} is taken")
    return best


def _quantize(float32: Path, int8: Path, method: str, images: NDArray[np.uint8], bytes_first: bool) -> None:
    graph = onnx.load(float32).graph
    calibration, options = _METHODS[method]
    # Calibration prints, and warns of what is done on purpose.
    with quiet():
        quantize_static(
            float32,
            int8,
            _CalibrationPhotos(images),
            QuantFormat.QDQ,
            per_channel=True,
            # 7 bits: where a CPU has no VNNI, sums of 8-bit products overflow and answers differ from those measured.
            reduce_range=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=nodes_outside_layers(graph.node),
            calibrate_method=calibration,
            extra_options=options,
        )
    model = onnx.load(int8)
    del model.graph.value_info[:]
    if bytes_first:
        feed_bytes(model)
    onnx.save_model(model, int8)


class _CalibrationPhotos:
    """Photos as onnxruntime's calibration reads them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.batches = [{"image": images[at : at + _BATCH]} for at in range(0, len(images), _BATCH)]
        self.set_range(0, len(self.batches))

    def __len__(self) -> int:
        return len(self.batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self.left = iter(self.batches[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self.left, None)
