"""The average pooling of AlexNet as a part of the dense layer behind it: both are linear, and one is less work."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from batchgender.training.networks.alexnet import AlexNet


def fold_pooling(network: nn.Module, size: int) -> nn.Module:
    """A copy of an AlexNet for pictures of this side, whose first dense layer sees the maps before the pooling.

    It answers the same. Other networks are given back as they are, and so are AlexNets whose maps are larger than what
    they are pooled to: the dense layer would have more weights.
    """
    if not isinstance(network, AlexNet):
        return network
    seen, places = _side(network, size), _places(network)
    if seen > places:
        return network
    folded = copy.deepcopy(network)
    folded.avgpool = nn.Identity()
    layer = _first_dense(folded)
    by_place = layer.weight.detach().reshape(layer.out_features, -1, places**2)
    layer.weight = nn.Parameter((by_place @ _spread(seen, places)).flatten(1), requires_grad=False)
    layer.in_features = layer.weight.shape[1]
    return folded


def unfold_pooling(weight: Tensor, network: AlexNet) -> Tensor | None:
    """A weight that `fold_pooling` has made, as one that answers the same behind the pooling; None where it is none.

    `weight` is [out, channels * seen * seen], the result [out, channels * places * places].
    """
    places = _places(network)
    channels = _first_dense(network).in_features // places**2
    seen = math.isqrt(weight.shape[1] // channels)
    if not 0 < seen <= places or channels * seen**2 != weight.shape[1]:
        return None
    by_place = weight.reshape(len(weight), -1, seen**2)
    return (by_place @ torch.linalg.pinv(_spread(seen, places))).flatten(1)


def _spread(seen: int, places: int) -> Tensor:
    """How much of each place of a map goes into each that it is pooled to: [places * places, seen * seen]."""
    each = torch.eye(seen**2).reshape(-1, 1, seen, seen)
    return F.adaptive_avg_pool2d(each, (places, places)).flatten(1).T


def _side(network: AlexNet, size: int) -> int:
    """The side of the maps that the pooling sees in pictures of this side."""
    # A copy: batch normalisation that is trained would count this picture.
    features = copy.deepcopy(network.features).cpu().eval()
    with torch.inference_mode():
        return int(features(torch.zeros(1, 3, size, size)).shape[-1])


def _places(network: AlexNet) -> int:
    assert isinstance(network.avgpool, nn.AdaptiveAvgPool2d)
    places = network.avgpool.output_size
    assert isinstance(places, tuple) and isinstance(places[0], int)
    return places[0]


def _first_dense(network: AlexNet) -> nn.Linear:
    return next(layer for layer in network.classifier if isinstance(layer, nn.Linear))
