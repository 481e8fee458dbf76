"""AlexNet, the default network, with or without batch normalisation."""

import torch
from torch import Tensor, nn


class AlexNet(nn.Module):
    """One tower of 64-192-384-256-256 filters (Krizhevsky 2014, "One weird trick", arXiv:1404.5997).

    Not the two towers of 2012. Layers and parameter names are those of torchvision's, whose weights load as
    they are. Input float [B, 3, H, W], normalised, at least 63x63; output logits [B, classes]. With `batch_norm`
    each convolution's output is normalised over the batch (Ioffe and Szegedy 2015), in the place of its bias.
    `width` is the number of units of the two hidden layers: the 4096 of ImageNet's thousand classes hold 54 of the 57
    million weights; Levi and Hassner 2015 took 512 for two classes of faces. `filters` are those of the five
    convolutions, `first` the kernel and the stride of the first one, and `places` the side of the map that the hidden
    layers see.
    """

    def __init__(
        self,
        classes: int = 2,
        dropout: float = 0.5,
        batch_norm: bool = False,
        width: int = 4096,
        filters: tuple[int, int, int, int, int] = (64, 192, 384, 256, 256),
        first: tuple[int, int] = (11, 4),
        places: int = 6,
    ) -> None:
        super().__init__()

        def convolution(inputs: int, filters: int, kernel: int, padding: int, stride: int = 1) -> list[nn.Module]:
            layer = nn.Conv2d(inputs, filters, kernel, stride, padding, bias=not batch_norm)
            norm = [nn.BatchNorm2d(filters)] if batch_norm else []
            return [layer, *norm, nn.ReLU(inplace=True)]

        one, two, three, four, five = filters
        kernel, stride = first
        self.features = nn.Sequential(
            *convolution(3, one, kernel, padding=2, stride=stride),  # 224 -> 55
            nn.MaxPool2d(kernel_size=3, stride=2),  # 55 -> 27
            *convolution(one, two, 5, padding=2),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 27 -> 13
            *convolution(two, three, 3, padding=1),
            *convolution(three, four, 3, padding=1),
            *convolution(four, five, 3, padding=1),
            nn.MaxPool2d(kernel_size=3, stride=2),  # 13 -> 6
        )
        self.avgpool: nn.Module = nn.AdaptiveAvgPool2d((places, places))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(five * places * places, width),
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
