"""The moving average of the weights, beside PyTorch's own."""

import copy

import pytest
import tiny_networks
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from batchgender.training.optimization import STEPS_AN_AVERAGE, update_average


@pytest.mark.parametrize("ema", [0.9, 0.998])
def test_the_moving_average_is_that_of_pytorch(ema: float) -> None:
    torch.manual_seed(0)
    network = tiny_networks.tiny()
    ours = copy.deepcopy(network)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(ema**STEPS_AN_AVERAGE))
    theirs.update_parameters(network)  # Its first update is a copy.
    for update in range(20):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        # So late that the decay has reached its end.
        update_average(ours, network, ema, 10_000 + update)
        theirs.update_parameters(network)
    pairs = list(zip(ours.parameters(), theirs.module.parameters(), strict=True))
    assert len(pairs) > 10 and all(torch.allclose(own, other, atol=1e-6) for own, other in pairs)
    assert not torch.allclose(pairs[0][0], next(network.parameters()), atol=0.1)


def test_batch_norm_statistics_are_averaged_and_counts_are_copied() -> None:
    network = tiny_networks.tiny()
    average = copy.deepcopy(network)
    norm, kept = network.get_submodule("1"), average.get_submodule("1")
    assert isinstance(norm, torch.nn.BatchNorm2d) and isinstance(kept, torch.nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.num_batches_tracked is not None
    assert kept.running_mean is not None and kept.num_batches_tracked is not None
    norm.running_mean.fill_(10.0)
    norm.num_batches_tracked.fill_(7)
    update_average(average, network, 0.9, 0)
    # In the beginning the average follows fast: nine tenths of the way at once.
    assert kept.running_mean[0].item() == pytest.approx(9.0) and kept.num_batches_tracked.item() == 7
