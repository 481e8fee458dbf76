"""int8 ONNX files: weights and activations in 8 bits, run by integer kernels.

Static quantisation of onnxruntime in the QDQ format (https://onnxruntime.ai/docs/performance/model-optimizations/
quantization.html): activations signed, one scale a tensor, found on real photos; weights signed, one scale a channel.
The resized bytes are the first layer's input as they are (see `pixels`).
"""

import io
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from batchgender.export.agreement import FALL, Judge, Kept
from batchgender.export.formats.onnx import OPSET, Format, save_onnx, write_onnx
from batchgender.export.load_any_model import open_any
from batchgender.export.quantization.uint8_input import feed_bytes, fold_normalization
from batchgender.io import Notify
from batchgender.model.model_file import ModelInfo
from batchgender.model.self_check import with_golden
from batchgender.training.networks.alexnet import Deployed

_PHOTOS = 256
# Small, for calibration holds all activations of a batch at once.
_BATCH = 8
_LAYERS = ("Conv", "Gemm", "MatMul")
_METHODS: dict[str, tuple[CalibrationMethod, dict[str, Any]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "moving average": (CalibrationMethod.MinMax, {"CalibMovingAverage": True}),
    # A stride of one batch (whatever its name says): without it all batches' activations are held.
    "percentile": (
        CalibrationMethod.Percentile,
        {"CalibPercentile": 99.999, "CalibTensorRangeSymmetric": False, "CalibStridedMinMax": 1},
    ),
}


def int8_format(images: Sequence[NDArray[np.uint8]], judge: Judge, notify: Notify, opset: int = OPSET) -> Format:
    """The ONNX format in int8, calibrated on photos uint8 [B, H, W, 3]; bound by accuracy, not by a tolerance.

    Of the calibration methods the one whose probabilities lie nearest to the original's is taken. Writing raises
    UserError where even its accuracy falls by more than half a point.
    """
    every = np.concatenate(images)
    chosen = every[np.linspace(0, len(every) - 1, min(_PHOTOS, len(every))).astype(int)]

    def write(module: Deployed, info: ModelInfo, path: Path) -> None:
        tried: list[tuple[str, Kept]] = []
        with TemporaryDirectory() as folder:
            write_onnx(module, info, Path(folder) / "float32.onnx", opset)
            bytes_first = fold_normalization(Path(folder) / "float32.onnx")
            for method in _METHODS:
                _quantize(Path(folder) / "float32.onnx", Path(folder) / f"{method}.onnx", method, chosen, bytes_first)
                kept = judge.compare(open_any(f"{folder}/{method}.onnx")[0])
                notify(f"int8, {method}: {kept}")
                tried.append((method, kept))
            method, kept = min(tried, key=lambda one: (one[1].fall > FALL, one[1].mean_difference))
            kept.check()
            notify(f"int8: {method} is taken")
            model = onnx.load(Path(folder) / f"{method}.onnx")
            predict, _ = open_any(f"{folder}/{method}.onnx")
        found = {"int8_calibration": method, "int8_photos": len(chosen), **kept.as_dict()}
        info = with_golden(replace(info, precision="int8", compression={**info.compression, **found}), predict)
        save_onnx(model, info, path)

    return Format(".onnx", write, math.inf)


class _Reader:
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


def _quantize(float32: Path, int8: Path, method: str, images: NDArray[np.uint8], bytes_first: bool) -> None:
    graph = onnx.load(float32).graph
    calibration, options = _METHODS[method]
    with _quiet():
        quantize_static(
            float32,
            int8,
            _Reader(images),
            QuantFormat.QDQ,
            per_channel=True,
            # 7 bits: where a CPU has no VNNI, sums of 8-bit products overflow and answers differ from those measured.
            reduce_range=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=outside(graph.node),
            calibrate_method=calibration,
            extra_options=options,
        )
    model = onnx.load(int8)
    del model.graph.value_info[:]
    if bytes_first:
        feed_bytes(model)
    onnx.save_model(model, int8)


def outside(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """The nodes before the first layer and from the last on: pixels, and logits, need more than 256 steps."""
    behind: set[str] = set()  # Tensors that come out of a layer, or of what follows one.
    for node in nodes:
        if node.op_type in _LAYERS or behind.intersection(node.input):
            behind.update(node.output)
    before: set[str] = set()  # Tensors that go into a layer, or into what leads to one.
    for node in reversed(nodes):
        if node.op_type in _LAYERS or before.intersection(node.output):
            before.update(node.input)
    return [node.name for node in nodes if not behind.intersection(node.output) & before]


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's calibration prints to stdout and warns of what is so on purpose."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
