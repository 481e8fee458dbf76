"""LiteRT's (TensorFlow Lite's) .tflite, by litert-torch.

It has no antialiased resize for a photo of any size: it takes photos at the model's own size, resized by the program.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.export.formats.quiet import quiet
from batchgender.export.formats.registry import LoadedModel
from batchgender.extras import require_extra
from batchgender.io import first_line
from batchgender.model.metadata import EXTRA_FILE, ModelInfo, metadata_of_archive
from batchgender.photos.resize import resize
from batchgender.training.networks.deployed import Deployed


def write(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a LiteRT file: uint8 [1, size, size, 3] in, float32 probabilities and logits out.

    The metadata is a zip archive at its end, as TensorFlow Lite's own are.
    """
    with quiet():
        import litert_torch

        size = info.input_size
        example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
        litert_torch.convert(_Bytes(module).eval(), (example,)).export(str(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"extra/{EXTRA_FILE}", info.to_json())


def read(file: str) -> LoadedModel:
    """Open a LiteRT file of ours; photos are resized to its size."""
    require_extra("tflite", f"{file}: a LiteRT file")
    from ai_edge_litert.interpreter import Interpreter

    info = metadata_of_archive(file)
    size = info.input_size
    try:
        interpreter = Interpreter(file)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{file}: damaged or cut short ({first_line(error)})") from error
    (given,), first = interpreter.get_input_details(), interpreter.get_output_details()[0]

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = []
        for image in images:
            interpreter.set_tensor(given["index"], resize(image, size)[None])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(first["index"])[0])
        return np.array(answers, np.float32)

    return LoadedModel(predict, info, computed_by="LiteRT")


class _Bytes(nn.Module):
    """Takes uint8 [B, size, size, 3]."""

    def __init__(self, module: Deployed) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.answers(image.permute(0, 3, 1, 2).float())
