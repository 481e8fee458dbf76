"""TorchScript: deprecated in PyTorch, still widely embedded; `pt2` is its successor."""

import warnings
from pathlib import Path

import torch

from batchgender.errors import UserError
from batchgender.export.formats.registry import LoadedModel
from batchgender.export.formats.tracing import example_photos
from batchgender.io import first_line
from batchgender.model.metadata import EXTRA_FILE, ModelInfo, metadata_of_archive
from batchgender.training.networks.deployed import Deployed, probabilities_of


def write(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a TorchScript file, metadata as an extra file."""
    traced = torch.jit.trace(module, example_photos(), check_trace=False)
    torch.jit.save(torch.jit.freeze(traced.eval()), path, _extra_files={EXTRA_FILE: info.to_json()})


def read(file: str) -> LoadedModel:
    """Open a TorchScript file of ours."""
    info = metadata_of_archive(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # The deprecation is in docs.
            module = torch.jit.load(file, "cpu")
    except Exception as error:  # Damaged archives raise whatever the loader meets.
        raise UserError(f"{file}: damaged or cut short ({first_line(error)})") from error
    return LoadedModel(probabilities_of(module), info)
