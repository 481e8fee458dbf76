"""Batch normalisation that was folded into other layers, made trainable again."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.inference_mode()
def restore_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set batch normalisation to the mean and variance of its inputs for these pixels; answers stay the same.

    In evaluation mode nothing changes. In training mode, where each batch is normalised by its own, little does.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    seen: dict[nn.Module, list[Tensor]] = {layer: [] for layer in norms}

    def look(layer: nn.Module, given: tuple[Tensor]) -> None:
        values = given[0].float().transpose(0, 1).flatten(1)
        seen[layer].append(torch.stack([values.mean(1), values.square().mean(1)]))

    hooks = [layer.register_forward_pre_hook(look) for layer in norms]
    network.eval()
    for pixels in batches:
        network(pixels)
    for hook in hooks:
        hook.remove()
    for layer in norms:
        if not seen[layer]:
            continue  # No photo could be read; the training reports it.
        mean, square = torch.stack(seen[layer]).mean(0)
        variance = square - mean.square()
        assert layer.running_mean is not None and layer.running_var is not None
        scale = layer.weight / torch.sqrt(layer.running_var + layer.eps)
        layer.bias.add_((mean - layer.running_mean) * scale)
        layer.weight.copy_(scale * torch.sqrt(variance + layer.eps))
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
