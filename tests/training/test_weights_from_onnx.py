"""Weights of exported files to begin a training with: the network answers as the file does, and learns from there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_networks
import torch
from conftest import one_line_error

from batchgender.errors import UserError
from batchgender.export.export_checkpoint import ExportOptions, export_checkpoint
from batchgender.export.formats import onnx as onnx_format
from batchgender.export.low_rank import fold_batch_norm
from batchgender.io import silent
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import PACKAGED_MODEL, open_model
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.networks.deployed import Deployed, probabilities_of
from batchgender.training.networks.registry import build
from batchgender.training.recipe import find_recipe
from batchgender.training.weights.batch_norm import restore_batch_norm
from batchgender.training.weights.load_weights import load_weights

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_networks.write_tinted(tmp_path_factory.mktemp("tinted") / "photos", 60)


@pytest.fixture
def exported(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ExportOptions], str]:
    """Export a trained `tiny`, whose batch norms have learnt, in a form."""
    tiny_networks.register(monkeypatch)
    checkpoint = tiny_networks.write_checkpoint("tiny", tiny_networks.trained(source), source, tmp_path / "run")

    def write(options: ExportOptions) -> str:
        (file,) = export_checkpoint(str(checkpoint), ["onnx"], str(tmp_path / "tiny.onnx"), None, silent, options)
        return str(file)

    return write


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        (ExportOptions(), 1e-5),
        (ExportOptions(None, "float16"), 0.01),
        (ExportOptions(16), 1e-5),
        (ExportOptions(None, "int8"), 0.06),
        (ExportOptions("auto", "int8"), 0.06),
    ],
)
def test_the_network_answers_as_its_file_does(
    exported: Callable[[ExportOptions], str], source: Path, options: ExportOptions, tolerance: float
) -> None:
    file = exported(options)
    network = tiny_networks.tiny()
    load_weights(network, "tiny", file, silent)
    images = np.concatenate(tiny_networks.batches(source, "test"))
    found = probabilities_of(tiny_networks.deployed(network))(images)
    wanted = open_model(file).predict(images)
    assert np.abs(found - wanted).max() < tolerance
    assert 0.3 < wanted[:, 0].mean() < 0.7 and wanted.std() > 0.2


def test_with_its_batch_norm_restored_it_answers_the_same_and_nearly_so_while_it_is_trained(
    exported: Callable[[ExportOptions], str], source: Path
) -> None:
    network = tiny_networks.tiny()
    load_weights(network, "tiny", exported(ExportOptions()), silent)
    pixels = [(torch.from_numpy(i).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25 for i in tiny_networks.batches(source)]
    every = torch.cat(pixels)
    with torch.inference_mode():
        before = network.eval()(every).softmax(1)
        restore_batch_norm(network, pixels)
        after = network(every).softmax(1)
        for layer in network.modules():
            layer.train(not isinstance(layer, torch.nn.Dropout))
        training = network(every).softmax(1)
    assert torch.allclose(before, after, atol=1e-4)
    # As it was, batch normalisation would take the photos' own mean and variance for nothing and one.
    assert (training - after).abs().mean() < 0.02


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_torchvision_network_begins_with_its_exported_file(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(name, 2).eval()
    with torch.no_grad():
        # As if trained: a new bias of zero is not even written.
        for key, value in network.state_dict().items():
            if key.endswith(("bias", "running_mean", "running_var")):
                value.uniform_(0.5, 1.5)
    module = Deployed(fold_batch_norm(network), 64, [0.5] * 3, [0.25] * 3).eval().requires_grad_(False)
    info = ModelInfo(["Female", "Male"], 64, [0.5] * 3, [0.25] * 3, architecture=name)
    onnx_format.write(module, info, tmp_path / "model.onnx")
    begun = build(name, 2)
    load_weights(begun, name, str(tmp_path / "model.onnx"), silent)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(begun.eval()(pixels), network(pixels), rtol=1e-3, atol=1e-4)


def test_weights_of_other_pixels_are_refused(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "gray.toml"
    recipe.write_text('base = "taught"\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n')
    kept = Checkpoint(build("alexnet_narrow", 2).state_dict(), ["Female", "Male"], find_recipe("taught"), "")
    checkpoints.save(kept, tmp_path / "best.pt")
    for file in ("packaged", tmp_path / "best.pt"):
        line = ("train", "--data", portraits, "--recipe", recipe, "--out", tmp_path / "run", "--weights", file)
        message = one_line_error(cli(*line))
        assert "mean [0.485, 0.456, 0.406] and std [0.229, 0.224, 0.225]; give the recipe the same" in message
        assert not (tmp_path / "run").exists()


def test_a_layer_that_is_not_found_is_said(exported: Callable[[ExportOptions], str]) -> None:
    file = exported(ExportOptions())
    model = onnx.load(file)
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("network.12.", "onnx::MatMul_")
    onnx.save(model, file)
    with pytest.raises(UserError, match="has no weights for 12 of tiny; begin with a checkpoint of it"):
        load_weights(tiny_networks.tiny(), "tiny", file, silent)


def test_the_packaged_model_is_trained_on(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "on.toml"
    recipe.write_text('base = "narrow"\nlr = 1e-12\nwarmup_epochs = 0.0\nface_share = [0.0, 0.0]\ncap = 0.0\n')
    line = ("train", "--data", portraits, "--recipe", recipe, "--epochs", 1)
    result = cli(*line, "--weights", "packaged", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    kept = checkpoints.load(tmp_path / "run" / "best.pt")
    own = next(tensor for tensor in onnx.load(PACKAGED_MODEL).graph.initializer if tensor.name.endswith("6.weight"))
    assert np.allclose(kept.weights["classifier.6.weight"].numpy(), onnx.numpy_helper.to_array(own), atol=1e-6)
    assert kept.info().recipe["weights"] == PACKAGED_MODEL.name
    message = one_line_error(cli(*line, "--arch", "alexnet", "--weights", "packaged", "--out", tmp_path / "other"))
    assert "a model of alexnet_narrow, not of alexnet; give --arch alexnet_narrow" in message


def test_without_a_readable_photo_the_training_says_so(cli: Cli, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("female", "male"):
            (tmp_path / "faces" / split / name).mkdir(parents=True)
            (tmp_path / "faces" / split / name / "1.jpg").write_text("no photo")
    line = ("train", "--data", tmp_path / "faces", "--recipe", "taught", "--weights", "packaged")
    result = cli(*line, "--out", tmp_path / "run")
    assert "none of the 2 photos of its train split can be read" in one_line_error(result)


def test_what_is_no_file_of_ours_is_one_line(red_or_blue: Path, tmp_path: Path) -> None:
    foreign = onnx.load(red_or_blue)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    (tmp_path / "cut.onnx").write_bytes(PACKAGED_MODEL.read_bytes()[:100_000])
    (tmp_path / "folder.onnx").mkdir()
    onnx.save(onnx.load(PACKAGED_MODEL), tmp_path / "external.onnx", save_as_external_data=True)
    reasons = {
        "foreign": "not from batchgender; begin with a state dict",
        "cut": "damaged, cut short, or no ONNX model",
        "none": "can't read the model (No such file",
        "folder": "can't read the model (Is a directory)",
        "external": "its weights are damaged, or in other files",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError) as raised:
            load_weights(build("alexnet_bn512", 2), "alexnet_bn512", str(tmp_path / f"{name}.onnx"), silent)
        assert reason in str(raised.value) and "\n" not in str(raised.value)
