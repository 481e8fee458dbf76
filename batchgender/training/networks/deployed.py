"""The module that a model file holds: preprocessing and calibration around a network."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from batchgender.model.agreement import Predict
from batchgender.photos.resize import ROUND_UP

# uint8 [B, H, W, 3] to (probabilities, logits) [B, classes].
Module = Callable[[Tensor], tuple[Tensor, Tensor]]


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
    """The whole of a model file: resize, normalise, network, calibration.

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
        # Rounded to bytes, so that a program that resizes photos itself gets the same answers.
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


def probabilities_of(module: Module, device: torch.device | None = None) -> Predict:
    """A function from arrays uint8 [B, H, W, 3] to probabilities float32 [B, classes], by a module on `device`."""
    return _output_of(module, 0, device)


def logits_of(module: Module, device: torch.device | None = None) -> Predict:
    """The same, to logits float32 [B, classes]."""
    return _output_of(module, 1, device)


def _output_of(module: Module, at: int, device: torch.device | None) -> Predict:
    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(images).to(device))[at].cpu().numpy(), np.float32)

    return predict
