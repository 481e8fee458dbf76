"""Low rank: the answers stay, the weights go, and what would lose accuracy is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_networks
import torch
from conftest import one_line_error
from torch import nn

from batchgender.errors import UserError
from batchgender.export.low_rank import compress, fold_batch_norm, responses

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_networks.write_tinted(tmp_path_factory.mktemp("tinted") / "photos", 60)


@pytest.fixture(scope="module")
def images(source: Path) -> list[np.ndarray]:
    return tiny_networks.batches(source)


@pytest.fixture(scope="module")
def checkpoint(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_networks.register(monkeypatch)
        network = tiny_networks.trained(source)
        yield tiny_networks.write_checkpoint("tiny", network, source, tmp_path_factory.mktemp("run"))


def answers(module: nn.Module, images: list[np.ndarray]) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([module(torch.from_numpy(batch))[1] for batch in images])


def metadata(file: Path) -> dict[str, Any]:
    return json.loads({p.key: p.value for p in onnx.load(file).metadata_props}["batchgender"])


def test_a_layer_whose_answers_need_no_more_than_the_rank_answers_as_before(images: list[np.ndarray]) -> None:
    torch.manual_seed(0)
    wide = nn.Linear(48, 96)
    with torch.no_grad():
        wide.weight.copy_(torch.randn(96, 8) @ torch.randn(8, 48) / 8)
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), wide, nn.ReLU(inplace=True), nn.Linear(96, 2))
    module = tiny_networks.deployed(network)
    small = compress(module, responses(module, images, 8), 8)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in module.parameters()) / 2
    assert (answers(small, images) - answers(module, images)).abs().max() < 1e-4
    assert module.network.get_submodule("2") is wide, "the original is left as it was"


def test_it_looks_at_photos_and_so_errs_less_than_the_weights_alone_would(images: list[np.ndarray]) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(192, 64)
    module = tiny_networks.deployed(nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), layer))
    left, widths, right = torch.linalg.svd(layer.weight)
    plain = nn.Linear(192, 64)
    plain.load_state_dict({"weight": left[:, :4] * widths[:4] @ right[:4], "bias": layer.bias})
    by_weights = tiny_networks.deployed(nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), plain))
    by_photos = compress(module, responses(module, images, 4), 4)
    expected = answers(module, images)
    errors = [float((answers(m, images) - expected).square().sum()) for m in (by_photos, by_weights)]
    assert errors[0] < 0.2 * errors[1]
    # The mean of the answers is kept whatever the rank.
    assert (answers(by_photos, images).mean(0) - expected.mean(0)).abs().max() < 1e-4


def test_layers_that_answer_every_place_of_a_photo_are_compressed_too(images: list[np.ndarray]) -> None:
    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(48, 64), nn.Linear(64, 2)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            patches = nn.functional.pixel_unshuffle(pixels, 4).permute(0, 2, 3, 1)  # [B, 8, 8, 48]
            return self.head(self.layer(patches).relu().mean((1, 2)))

    torch.manual_seed(0)
    module = tiny_networks.deployed(Places())
    small = compress(module, responses(module, images, 16), 16)
    assert isinstance(small.network.layer, nn.Sequential) and isinstance(small.network.head, nn.Linear)
    assert (answers(small, images) - answers(module, images)).abs().max() < 0.02


def test_a_network_without_layers_to_shrink_and_too_few_photos_are_named(images: list[np.ndarray]) -> None:
    convolutions = tiny_networks.deployed(nn.Sequential(nn.Conv2d(3, 2, 32), nn.Flatten()))
    with pytest.raises(UserError, match="no linear layer of this network gets smaller by rank 16; leave it out"):
        responses(convolutions, images, 16)
    with pytest.raises(UserError, match="rank 64 needs more than 64 training photos to look at, not 32"):
        responses(tiny_networks.deployed(tiny_networks.tiny()), images[:1], 64)


def test_auto_takes_the_smallest_rank_that_keeps_the_accuracy_and_the_file_says_so(
    cli: Cli, checkpoint: Path, tmp_path: Path
) -> None:
    formats = ("--format", "onnx", "--format", "torchscript")
    result = cli("export", checkpoint, *formats, "--compress", "auto", "--out", tmp_path / "small")
    assert result.exit_code == 0, result.output
    tried = [line for line in result.stderr.splitlines() if line.startswith("rank ")]
    info = metadata(tmp_path / "small" / "batchgender.onnx")
    found = info["compression"]
    assert tried[-1].startswith(f"rank {found['rank']}: validation accuracy") and found["rank"] == 16 * 2 ** (
        len(tried) - 1
    )
    assert found["rank_photos"] == 120 and found["validation_photos"] == 60 and info["precision"] == "float32"
    assert found["validation_accuracy_exported"] >= found["validation_accuracy_float32"] - 0.002
    for name in ("batchgender.onnx", "batchgender.pt"):
        assert (tmp_path / "small" / name).stat().st_size < 0.5 * checkpoint.stat().st_size


def test_a_rank_by_name_folds_batch_normalisation_and_evaluate_gives_the_accuracy_that_the_file_names(
    cli: Cli, checkpoint: Path, source: Path, tmp_path: Path
) -> None:
    assert cli("export", checkpoint, "--format", "onnx", "--compress", "16", "--out", tmp_path).exit_code == 0
    kinds = [node.op_type for node in onnx.load(tmp_path / "batchgender.onnx").graph.node]
    # One is left, which normalises the pixels: the network's own are in its layers.
    assert kinds.count("BatchNormalization") == 1 and kinds.count("Conv") == 2 and kinds.count("Gemm") == 5
    report = tmp_path / "report.json"
    arguments = ("--data", source, "--split", "val", "--report", report)
    assert cli("evaluate", tmp_path / "batchgender.onnx", *arguments).exit_code == 0
    found = metadata(tmp_path / "batchgender.onnx")["compression"]
    assert found["validation_accuracy_exported"] == pytest.approx(json.loads(report.read_text())["accuracy"], abs=1e-6)
    assert cli("evaluate", checkpoint, *arguments).exit_code == 0
    assert found["validation_accuracy_float32"] == pytest.approx(json.loads(report.read_text())["accuracy"], abs=1e-6)


def test_a_rank_that_loses_accuracy_is_refused_and_no_file_kept(
    cli: Cli, checkpoint: Path, source: Path, tmp_path: Path
) -> None:
    fragile = tiny_networks.write_checkpoint("fragile", tiny_networks.fragile(), source, tmp_path / "run")
    result = cli("export", fragile, "--format", "onnx", "--compress", "1", "--out", tmp_path / "x")
    message = one_line_error(result)
    assert "accuracy on 60 validation photos falls from 100.0 % to" in message
    assert message.endswith("more than 0.5 points; not kept")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("rank", ["0", "-4", "many", "1.5"])
def test_a_rank_that_is_none_is_wrong_usage(cli: Cli, checkpoint: Path, rank: str) -> None:
    result = cli("export", checkpoint, "--format", "onnx", "--compress", rank)
    assert result.exit_code == 2 and "give a whole number above 0, or auto" in result.stderr


@pytest.mark.parametrize("option", [("--compress", "16"), ("--quantize", "int8")])
def test_where_the_training_photos_are_gone_it_asks_for_others(
    cli: Cli, checkpoint: Path, source: Path, tmp_path: Path, option: tuple[str, str]
) -> None:
    moved = tiny_networks.write_checkpoint("tiny", tiny_networks.tiny(), tmp_path / "gone", tmp_path / "run")
    arguments = ("export", moved, "--format", "onnx", *option, "--out", tmp_path / "x")
    message = one_line_error(cli(*arguments))
    assert "gone: the training photos can't be loaded" in message and "give --data" in message
    assert not (tmp_path / "x").exists()


def test_folding_changes_no_answer_and_leaves_alone_what_cannot_be_traced(images: list[np.ndarray]) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = tiny_networks.tiny()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.net(pixels) if pixels.mean() > 0 else self.net(-pixels)

    torch.manual_seed(0)
    network = tiny_networks.tiny()
    for batch in images:
        network(torch.from_numpy(batch).permute(0, 3, 1, 2) / 64 - 2)
    network.eval()
    small = fold_batch_norm(network)
    assert not [m for m in small.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    apart = answers(tiny_networks.deployed(small), images) - answers(tiny_networks.deployed(network), images)
    assert apart.abs().max() < 1e-4
    branching = Branching().eval()
    assert fold_batch_norm(branching) is branching
