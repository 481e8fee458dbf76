"""Formats of phones, by their makers' converters: Core ML's .mlmodel and LiteRT's .tflite.

Neither has an antialiased resize for a photo of any size: both take photos at the model's own size, whose resize is
the program's. The metadata is where each has a place for it.
"""

import io
import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.model.model_file import EXTRA_FILE, METADATA_KEY, ModelInfo
from batchgender.training.networks.alexnet import Deployed


def write_coreml(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a Core ML file: an RGB image of the model's size in, `probabilities` and `logits` out.

    Raises UserError where coremltools is not installed. What it computes can be tried on macOS alone.
    """
    with _quiet():
        try:
            import coremltools
        except ImportError as error:
            raise UserError("--format coreml needs the extra batchgender[coreml]") from error
        size = info.input_size
        traced = torch.jit.trace(_Planes(module).eval(), torch.zeros(1, 3, size, size), check_trace=False)
        image = coremltools.ImageType(name="image", shape=(1, 3, size, size), color_layout="RGB")
        outputs = [coremltools.TensorType(name=name) for name in ("probabilities", "logits")]
        # The older of its two forms: one file, and read by every iPhone.
        model = coremltools.convert(traced, inputs=[image], outputs=outputs, convert_to="neuralnetwork")
        model.user_defined_metadata[METADATA_KEY] = info.to_json()
        model.license = info.license
        model.save(str(path))


def write_tflite(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a LiteRT (TensorFlow Lite) file: uint8 [1, size, size, 3] in, float32 probabilities and logits out.

    The metadata is a zip archive at its end, as TensorFlow Lite's own are. Raises UserError where litert-torch is not
    installed.
    """
    with _quiet():
        try:
            import litert_torch
        except ImportError as error:
            raise UserError(
                "--format tflite needs the extra batchgender[tflite], which is for Linux and macOS"
            ) from error
        size = info.input_size
        example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
        litert_torch.convert(_Bytes(module).eval(), (example,)).export(str(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"extra/{EXTRA_FILE}", info.to_json())


class _Planes(nn.Module):
    """Float [B, 3, size, size] in 0..255, as Core ML gives an image."""

    def __init__(self, module: Deployed) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.answers(image)


class _Bytes(_Planes):
    """uint8 [B, size, size, 3]."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.answers(image.permute(0, 3, 1, 2).float())


@contextmanager
def _quiet() -> Iterator[Any]:
    """Both converters tell of versions, and draw progress bars."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
