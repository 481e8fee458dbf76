"""The module as PyTorch's own exporters trace it, for any batch, height and width."""

import warnings

import torch

from batchgender.training.networks.deployed import Deployed

_SIDE_LIMIT = 65_535


def example_photos() -> torch.Tensor:
    """Photos to trace with, uint8 [2, 240, 200, 3]."""
    # Sides apart from each other and from the input size, so that none is taken for a constant.
    return torch.zeros(2, 240, 200, 3, dtype=torch.uint8)


def exported_program(module: Deployed) -> torch.export.ExportedProgram:
    """The module as a torch.export program."""
    sides = {
        index: torch.export.Dim(name, min=1, max=_SIDE_LIMIT) for index, name in enumerate(("batch", "height", "width"))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, (example_photos(),), dynamic_shapes=(sides,))
