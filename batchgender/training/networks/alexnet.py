"""The networks, and the module that carries preprocessing and calibration with them."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from batchgender.photos.resize import ROUND_UP
from batchgender.training.networks.torchvision_networks import build_backbone, check_backbone


class AlexNet(nn.Module):
    """One tower of 64-192-384-256-256 filters (Krizhevsky 2014, "One weird trick", arXiv:1404.5997).

    Not the two towers of 2012. Layers and parameter names are those of torchvision's, whose weights load as
    they are. Input float [B, 3, H, W], normalised, at least 63x63; output logits [B, classes]. With `batch_norm`
    each convolution's output is normalised over the batch (Ioffe and Szegedy 2015), in the place of its bias.
    `width` is the number of units of the two hidden layers: the 4096 of ImageNet's thousand classes hold 54 of the 57
    million weights; Levi and Hassner 2015 took 512 for two classes of faces.
    """

    def __init__(self, classes: int = 2, dropout: float = 0.5, batch_norm: bool = False, width: int = 4096) -> None:
        super().__init__()

        def convolution(inputs: int, filters: int, kernel: int, padding: int, stride: int = 1) -> list[nn.Module]:
            layer = nn.Conv2d(inputs, filters, kernel, stride, padding, bias=not batch_norm)
            norm = [nn.BatchNorm2d(filters)] if batch_norm else []
            return [layer, *norm, nn.ReLU(inplace=True)]

        self.features = nn.Sequential(
            *convolution(3, 64, 11, padding=2, stride=4),  # 224 -> 55
            nn.MaxPool2d(kernel_size=3, stride=2),  # 55 -> 27
            *convolution(64, 192, 5, padding=2),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 27 -> 13
            *convolution(192, 384, 3, padding=1),
            *convolution(384, 256, 3, padding=1),
            *convolution(256, 256, 3, padding=1),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 13 -> 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pixels [B, 3, H, W] to logits [B, classes]."""
        x = self.avgpool(self.features(x))  # [B, 256, 6, 6]
        return self.classifier(torch.flatten(x, 1))


_OURS: dict[str, Callable[[int], nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet_bn": partial(AlexNet, batch_norm=True),
    "alexnet_bn512": partial(AlexNet, batch_norm=True, width=512),
}


def check_architecture(architecture: str) -> None:
    """Raise UserError on a name that `build` does not know."""
    if architecture not in _OURS:
        check_backbone(architecture)


def build(architecture: str, classes: int) -> nn.Module:
    """Make a network by name, with random weights; raises UserError on an unknown name."""
    make = _OURS.get(architecture)
    return make(classes) if make else build_backbone(architecture, classes)


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
    """What a model file holds: resize, normalise, network, calibration.

    Input uint8 [B, H, W, 3] RGB of any height and width; outputs probabilities [B, classes], calibrated by
    `temperature` and `bias` (Guo et al. 2017), and logits [B, classes], before calibration. With `flip`
    the logits are the mean over the photo and its mirror image.
    """

    bias: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        input_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        temperature: float = 1.0,
        bias: Sequence[float] = (),
        flip: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.flip = flip
        self.normalize = Normalize(mean, std)
        self.input_size = input_size
        self.temperature = temperature
        self.register_buffer("bias", torch.tensor(list(bias)) if any(bias) else None, persistent=False)

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
        # To bytes, as a program that resizes them itself: what it feeds at the input size then answers the same.
        pixels = torch.round(pixels + ROUND_UP)
        return self.answers(pixels)

    def answers(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels float [B, 3, input_size, input_size] in 0..255 to (probabilities, logits)."""
        # As one operator, which runtimes compute plane by plane; as two over interleaved colours it took longer than
        # a convolution.
        mean, variance = self.normalize.mean.flatten(), self.normalize.std.flatten().square()
        pixels = F.batch_norm(pixels, mean, variance, eps=0)
        logits = self.network(pixels)
        if self.flip:
            logits = (logits + self.network(pixels.flip(3))) / 2
        calibrated = logits / self.temperature
        if self.bias is not None:
            calibrated = calibrated + self.bias
        return torch.softmax(calibrated, 1), logits
