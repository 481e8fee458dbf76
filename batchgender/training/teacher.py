"""A trained network whose answers another one learns from, beside the labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.training import checkpoint as checkpoints
from batchgender.training.recipe import Recipe


class Teacher(nn.Module):
    """Normalised pixels float [B, 3, H, W] of any size to calibrated logits [B, classes]; it learns nothing.

    It sees the very picture that the pupil sees, crop, colours and mixture alike, and says how sure one can be
    of it (Hinton et al. 2015; Beyer et al. 2022, who show that the same view and patience are what counts).
    """

    def __init__(self, file: str, classes: list[str], recipe: Recipe) -> None:
        """Read a checkpoint; raises UserError where it is none, or knows other classes or other pixels."""
        super().__init__()
        found = checkpoints.load(file)
        if sorted(found.classes) != sorted(classes):
            raise UserError(
                f"{file}: a teacher of {', '.join(found.classes)}, the photos are {', '.join(classes)};"
                " choose another --teacher"
            )
        if (found.recipe.mean, found.recipe.std) != (recipe.mean, recipe.std):
            raise UserError(f"{file}: its mean and std are not those of the recipe; choose another --teacher")
        if not all(torch.isfinite(weight).all() for weight in found.weights.values()):
            raise UserError(f"{file}: holds weights that are no numbers; choose another --teacher")
        self.network = found.network().requires_grad_(False).to(memory_format=torch.channels_last)
        self.size, self.temperature = found.recipe.input_size, found.temperature
        self.order = [found.classes.index(name) for name in classes]

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        own = F.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
        return self.network(own)[:, self.order] / self.temperature
