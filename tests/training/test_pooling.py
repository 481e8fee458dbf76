"""AlexNet's average pooling inside its first dense layer: the same answers, and less in the file."""

from pathlib import Path

import onnx
import pytest
import torch

from batchgender.export.formats import onnx as onnx_format
from batchgender.export.low_rank import fold_batch_norm
from batchgender.io import silent
from batchgender.model.metadata import ModelInfo
from batchgender.training.networks.alexnet import AlexNet
from batchgender.training.networks.deployed import Deployed
from batchgender.training.networks.pooling import fold_pooling, unfold_pooling
from batchgender.training.networks.registry import build
from batchgender.training.weights.load_weights import load_weights


def trained_narrow() -> AlexNet:
    """The narrow AlexNet with the biases and statistics of one that has been trained."""
    torch.manual_seed(0)
    network = build("alexnet_narrow", 2).eval()
    assert isinstance(network, AlexNet)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith(("bias", "running_mean", "running_var")):
                value.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize(("size", "weights"), [(64, 0.5), (80, 0.8), (96, 1.0), (128, None)])
def test_a_folded_network_answers_the_same_with_fewer_weights(size: int, weights: float | None) -> None:
    network = trained_narrow()
    folded = fold_pooling(network, size)
    pixels = torch.randn(3, 3, size, size)
    with torch.inference_mode():
        assert torch.allclose(folded(pixels), network(pixels), rtol=1e-4, atol=1e-5)
    if weights is None:
        # Its maps are larger than what they are pooled to.
        assert folded is network
        return
    before, after = (sum(weight.numel() for weight in each.parameters()) for each in (network, folded))
    in_features = [
        next(m for m in each.modules() if isinstance(m, torch.nn.Linear)).in_features for each in (network, folded)
    ]
    assert in_features[1] <= weights * in_features[0] and after <= before
    assert not any(isinstance(layer, torch.nn.AdaptiveAvgPool2d) for layer in folded.modules())


def test_a_weight_that_no_pooling_explains_is_none() -> None:
    network = trained_narrow()
    channels = 128
    assert unfold_pooling(torch.zeros(256, channels * 4), network) is not None
    assert unfold_pooling(torch.zeros(256, channels * 3), network) is None
    assert unfold_pooling(torch.zeros(256, 7), network) is None


def test_its_file_holds_no_pooling_and_is_begun_with(tmp_path: Path) -> None:
    network = trained_narrow()
    folded = fold_pooling(network, 64)
    module = Deployed(fold_batch_norm(folded), 64, [0.5] * 3, [0.25] * 3).eval().requires_grad_(False)
    info = ModelInfo(["Female", "Male"], 64, [0.5] * 3, [0.25] * 3, architecture="alexnet_narrow")
    onnx_format.write(module, info, tmp_path / "model.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert not kinds & {"Gather", "GatherND", "Where", "AveragePool", "Split"}
    begun = build("alexnet_narrow", 2)
    load_weights(begun, "alexnet_narrow", str(tmp_path / "model.onnx"), silent)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(begun.eval()(pixels), network(pixels), rtol=1e-3, atol=1e-4)
