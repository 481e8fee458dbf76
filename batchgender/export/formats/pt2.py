"""torch.export: PyTorch's own format for programs, the successor of TorchScript."""

from pathlib import Path

import torch

from batchgender.errors import UserError
from batchgender.export.formats.registry import LoadedModel
from batchgender.export.formats.tracing import exported_program
from batchgender.io import first_line
from batchgender.model.metadata import EXTRA_FILE, ModelInfo, metadata_of_archive
from batchgender.training.networks.deployed import Deployed, probabilities_of


def write(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a torch.export file, metadata as an extra file."""
    torch.export.save(exported_program(module), path, extra_files={EXTRA_FILE: info.to_json()})


def read(file: str) -> LoadedModel:
    """Open a torch.export file of ours."""
    info = metadata_of_archive(file)
    try:
        module = torch.export.load(file).module()
    except Exception as error:  # Damaged archives raise whatever the loader meets.
        raise UserError(f"{file}: damaged or cut short ({first_line(error)})") from error
    return LoadedModel(probabilities_of(module), info)
