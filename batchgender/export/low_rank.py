"""Linear layers of low rank: nearly the same answers from a fraction of the weights.

The responses of a layer to real photos vary along few directions. With U [out, rank] the leading eigenvectors of the
covariance of its responses y = Wx + b, and m their mean, y is replaced by U U'(y - m) + m: of all layers of this rank
the one with the smallest squared error over these photos (Zhang, Zou, He, Sun 2015, arXiv:1505.06798, section 3.1). U
are also the left singular vectors of W C^(1/2), with C the covariance of the inputs, so this is what the whitening of
SVD-LLM (arXiv:2403.12403) gives, with no inverse of C to be taken.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from batchgender.errors import UserError
from batchgender.export.agreement import Agreement, Reference
from batchgender.io import Notify
from batchgender.model import tolerances
from batchgender.training.networks.deployed import probabilities_of

Module = TypeVar("Module", bound=nn.Module)

_SMALLEST_RANK = 16
# Layers that answer many positions of a photo (after a transposed convolution, in ConvNeXt) give a few of each.
_POSITIONS = 4


@dataclass(frozen=True)
class Response:
    """How a linear layer answers photos: `mean` [out], and orthonormal `directions` [out, n], the widest first."""

    mean: Tensor
    directions: Tensor


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode, its batch normalisation folded into the layers before it.

    A network that torch.fx can't trace, because it branches on its input, is given back as it is.
    """
    try:
        return fuse(network).requires_grad_(False)
    except Exception:  # What a trace stumbles over has no common class; an export without folding is right too.
        return network


def responses(module: nn.Module, batches: Iterable[NDArray[np.uint8]], rank: int) -> dict[str, Response]:
    """Run photos uint8 [B, H, W, 3] through the module; how each layer answers that `rank` makes smaller, by name.

    Raises UserError where the module has no such layer, or the photos are too few for this rank.
    """
    layers = {name: layer for name, layer in module.named_modules() if _has_fewer_weights(layer, rank)}
    if not layers:
        raise UserError(f"--compress: no linear layer of this network gets smaller by rank {rank}; leave it out")
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    hooks = [layer.register_forward_hook(_keep_responses(rows[name])) for name, layer in layers.items()]
    try:
        with torch.inference_mode():
            for images in batches:
                module(torch.from_numpy(images))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _response(torch.cat(kept), rank) for name, kept in rows.items()}


def compress(module: Module, found: dict[str, Response], rank: int) -> Module:
    """A copy of the module in which the layers of `found` have this rank, where that makes them smaller."""
    small = {
        id(layer): _factors(layer, found[name], rank)
        for name, layer in module.named_modules()
        if name in found and isinstance(layer, nn.Linear) and _has_fewer_weights(layer, rank)
    }
    # deepcopy takes what its memo holds in place of a copy.
    return copy.deepcopy(module, small)


def smallest_rank_that_agrees(
    module: Module, batches: Iterable[NDArray[np.uint8]], reference: Reference, notify: Notify
) -> tuple[Module, int, Agreement]:
    """Compress by the first rank of 16, 32, 64, ... that keeps validation accuracy and probabilities.

    `notify` gets each try. Raises UserError where no rank does.
    """
    found = responses(module, batches, _SMALLEST_RANK)
    limit = min(response.directions.shape[1] for response in found.values())
    rank = _SMALLEST_RANK
    while rank < limit and any(_has_fewer_weights(layer, rank) for layer in module.modules()):
        small = compress(module, found, rank)
        agreement = reference.compare(probabilities_of(small), f"rank {rank}")
        notify(f"rank {rank}: {agreement}")
        close = agreement.mean_difference <= tolerances.RANK_MEAN_DIFFERENCE
        if close and agreement.points_lost <= tolerances.RANK_POINTS_LOST:
            return small, rank, agreement
        rank *= 2
    raise UserError(
        f"--compress auto: no rank below {rank} keeps the accuracy within {tolerances.RANK_POINTS_LOST} points and the"
        f" probabilities within {tolerances.RANK_MEAN_DIFFERENCE} on average; leave it out or name a rank"
    )


def _has_fewer_weights(layer: nn.Module, rank: int) -> bool:
    """Whether two layers of this rank hold fewer weights; False for all but plain `nn.Linear`."""
    # Subclasses are read by their owner (attention) without being called.
    if type(layer) is not nn.Linear:
        return False
    return rank * (layer.in_features + layer.out_features) < layer.in_features * layer.out_features


def _keep_responses(rows: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def keep(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        by_photo = output.reshape(len(output), -1, output.shape[-1])  # [B, positions, out]
        step = -(-by_photo.shape[1] // _POSITIONS)
        # Cloned: the ReLU that follows may write in place.
        rows.append(by_photo[:, ::step].reshape(-1, output.shape[-1]).clone())

    return keep


def _response(rows: Tensor, rank: int) -> Response:
    if len(rows) <= rank:
        raise UserError(f"--compress: rank {rank} needs more than {rank} training photos to look at, not {len(rows)}")
    mean = rows.mean(0)
    return Response(mean, torch.linalg.svd((rows - mean).T, full_matrices=False)[0])


def _factors(layer: nn.Linear, response: Response, rank: int) -> nn.Sequential:
    # Turned at random, the few wide directions and the many narrow ones share one scale: int8 then costs half as much.
    turn = torch.linalg.qr(torch.randn(rank, rank, generator=torch.Generator().manual_seed(0)))[0]
    basis = response.directions[:, :rank] @ turn  # [out, rank], orthonormal
    first = nn.Linear(layer.in_features, rank, bias=False)
    second = nn.Linear(rank, layer.out_features)
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    first.weight = nn.Parameter(basis.T @ layer.weight)
    second.weight = nn.Parameter(basis)
    # U U'(Wx + b - m) + m, all but the product with x.
    second.bias = nn.Parameter(response.mean - basis @ (basis.T @ (response.mean - bias)))
    return nn.Sequential(first, second).requires_grad_(False).train(layer.training)
