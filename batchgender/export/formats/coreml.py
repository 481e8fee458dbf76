"""Core ML's .mlmodel, by coremltools.

It has no antialiased resize for a photo of any size: it takes photos at the model's own size, resized by the program.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.export.formats.quiet import quiet
from batchgender.export.formats.registry import LoadedModel
from batchgender.model.metadata import METADATA_KEY, ModelInfo
from batchgender.training.networks.deployed import Deployed


def write(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a Core ML file: an RGB image of the model's size in, `probabilities` and `logits` out.

    What it computes can be tried on macOS alone.
    """
    with quiet():
        import coremltools

        size = info.input_size
        traced = torch.jit.trace(_Planes(module).eval(), torch.zeros(1, 3, size, size), check_trace=False)
        image = coremltools.ImageType(name="image", shape=(1, 3, size, size), color_layout="RGB")
        outputs = [coremltools.TensorType(name=name) for name in ("probabilities", "logits")]
        # The older of its two forms: one file, and read by every iPhone.
        model = coremltools.convert(traced, inputs=[image], outputs=outputs, convert_to="neuralnetwork")
        model.user_defined_metadata[METADATA_KEY] = info.to_json()
        model.license = info.license
        model.save(str(path))


def read(file: str) -> LoadedModel:
    """Core ML runs on macOS alone: raises UserError."""
    raise UserError(f"{file}: Core ML runs on macOS alone; evaluate the ONNX file, or the checkpoint")


class _Planes(nn.Module):
    """Takes float [B, 3, size, size] in 0..255, as Core ML gives an image."""

    def __init__(self, module: Deployed) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.answers(image)
