"""The networks by name: ours, and torchvision's classifiers."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from torch import nn

from batchgender.errors import UserError
from batchgender.training.networks.alexnet import AlexNet
from batchgender.training.networks.torchvision_networks import build_torchvision_network, torchvision_names

# A new network is a line here: what makes it, given the number of classes.
OURS: dict[str, Callable[[int], nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet_bn": partial(AlexNet, batch_norm=True),
    "alexnet_bn512": partial(AlexNet, batch_norm=True, width=512),
    # Half the filters, for pictures of 96 pixels: 117 million multiply-adds instead of the 478 of alexnet_bn512 at 192.
    "alexnet_narrow": partial(
        AlexNet,
        dropout=0.25,
        batch_norm=True,
        width=256,
        filters=(32, 96, 192, 128, 128),
        first=(7, 2),
        places=5,
    ),
}


def check_architecture(architecture: str) -> None:
    """Raise UserError, with the names most like it, on a name that `build` does not know."""
    # Torchvision's names take two seconds to list, which an AlexNet need not wait for.
    if architecture in OURS or architecture in (names := torchvision_names()):
        return
    close = get_close_matches(architecture.lower(), [*OURS, *names])
    known = f"did you mean {' or '.join(close)}?" if close else "alexnet, resnet18, mobilenet_v3_large are some"
    raise UserError(f"unknown architecture {architecture!r}; {known}")


def build(architecture: str, classes: int) -> nn.Module:
    """Make a network by name, with random weights; raises UserError on an unknown name."""
    if architecture in OURS:
        return OURS[architecture](classes)
    check_architecture(architecture)
    return build_torchvision_network(architecture, classes)
