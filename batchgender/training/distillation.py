"""Knowledge distillation: trained networks, the teachers, whose answers another one learns beside the labels."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.open_model import open_model, session_metadata
from batchgender.model.session import open_session
from batchgender.training import checkpoint as checkpoints
from batchgender.training.networks.deployed import Normalize
from batchgender.training.recipe import Recipe, check_pixels


class Teachers(nn.Module):
    """Normalised pixels float [B, 3, H, W] of any size to calibrated logits [B, classes]; they learn nothing.

    They see the picture that the student sees, with the same crop, colours and mixture (Hinton et al. 2015; Beyer et
    al. 2022 show that the same view and long training are what counts). The logits of several are averaged, which
    cancels what one of them has overfitted.
    """

    def __init__(self, files: Sequence[str], classes: list[str], recipe: Recipe) -> None:
        """Open checkpoints or ONNX files of batchgender; raises UserError on other files, classes or pixels."""
        super().__init__()
        self.each = nn.ModuleList(
            (_ModelFileTeacher if kind_of_file(file) is FileKind.ONNX else _CheckpointTeacher)(file, classes, recipe)
            for file in files
        )

    @property
    def licenses(self) -> list[str]:
        """The license that each teacher's file states."""
        return [str(teacher.license) for teacher in self.each]

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        """The mean of the teachers' calibrated logits."""
        return torch.stack([teacher(pixels) for teacher in self.each]).mean(0)


class _CheckpointTeacher(nn.Module):
    def __init__(self, file: str, classes: list[str], recipe: Recipe) -> None:
        super().__init__()
        found = checkpoints.load(file)
        self.license = found.license
        self.order = _order(file, found.classes, classes)
        check_pixels(file, (found.recipe.mean, found.recipe.std), (recipe.mean, recipe.std))
        if not all(torch.isfinite(weight).all() for weight in found.weights.values()):
            raise UserError(f"{file}: holds weights that are no numbers; choose another --teacher")
        self.network = found.network().requires_grad_(False).to(memory_format=torch.channels_last)
        self.size, self.temperature = found.recipe.input_size, found.calibration.temperature

    def forward(self, pixels: Tensor) -> Tensor:
        own = F.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
        return self.network(own)[:, self.order].float() / self.temperature


class _ModelFileTeacher(nn.Module):
    def __init__(self, file: str, classes: list[str], recipe: Recipe) -> None:
        super().__init__()
        session = open_session(file)
        if session_metadata(session, file) is None:
            raise UserError(f"{file}: not from batchgender; export it, or choose another --teacher")
        model = open_model(file, session=session)
        self.license = model.info.license
        self.order = _order(file, model.info.classes, classes)
        self.predict = model.predict
        self.normalize = Normalize(recipe.mean, recipe.std)
        if not np.isfinite(self.predict(np.full((1, 64, 64, 3), 128, np.uint8))).all():
            raise UserError(f"{file}: its answers are not numbers; choose another --teacher")

    def forward(self, pixels: Tensor) -> Tensor:
        images = (pixels * self.normalize.std + self.normalize.mean).round().clamp(0, 255).to(torch.uint8)
        found = self.predict(np.ascontiguousarray(images.permute(0, 2, 3, 1).cpu().numpy()))
        return torch.from_numpy(found).log().clamp(min=-20).to(pixels.device)[:, self.order]


def _order(file: str, own: list[str], classes: list[str]) -> list[int]:
    """Where each class stands among the teacher's."""
    if sorted(own) != sorted(classes):
        raise UserError(
            f"{file}: a teacher of {', '.join(own)}, the photos are {', '.join(classes)}; choose another --teacher"
        )
    return [own.index(name) for name in classes]
