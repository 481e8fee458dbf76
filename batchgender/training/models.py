"""The networks, and the module that carries preprocessing and calibration with them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from batchgender.errors import UserError


class AlexNet(nn.Module):
    """One tower of 64-192-384-256-256 filters (Krizhevsky 2014, "One weird trick", arXiv:1404.5997).

    Not the two towers of 2012. Layers and parameter names are those of torchvision's, whose weights load as
    they are. Input float [B, 3, H, W], normalised, at least 63x63; output logits [B, classes].
    """

    def __init__(self, classes: int = 2, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),  # 224 -> 55
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 55 -> 27
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 27 -> 13
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 13 -> 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pixels [B, 3, H, W] to logits [B, classes]."""
        x = self.avgpool(self.features(x))  # [B, 256, 6, 6]
        return self.classifier(torch.flatten(x, 1))


ARCHITECTURES = {"alexnet": AlexNet}


def build(architecture: str, classes: int) -> nn.Module:
    """Make a network by name, with random weights; raises UserError on an unknown name."""
    if architecture not in ARCHITECTURES:
        raise UserError(f"unknown architecture {architecture!r}; choose from {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture](classes)


class Normalize(nn.Module):
    """uint8 [B, H, W, 3] RGB to normalised float [B, 3, H, W]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Scale to zero mean and unit deviation, channel by channel."""
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std


class Deployed(nn.Module):
    """What a model file holds: resize, normalise, network, temperature.

    Input uint8 [B, H, W, 3] RGB of any height and width; outputs probabilities [B, classes], calibrated by
    `temperature` (Guo et al. 2017), and logits [B, classes], before calibration.
    """

    def __init__(
        self,
        network: nn.Module,
        input_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.normalize = Normalize(mean, std)
        self.input_size = input_size
        self.temperature = temperature

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels to (probabilities, logits)."""
        pixels = image.permute(0, 3, 1, 2).float()
        pixels = F.interpolate(
            pixels,
            size=(self.input_size, self.input_size),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        logits = self.network((pixels - self.normalize.mean) / self.normalize.std)
        return torch.softmax(logits / self.temperature, 1), logits
