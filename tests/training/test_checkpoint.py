"""Checkpoints on disk: those of 0.1.0 are read, and what is written has the keys that it read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_networks
import torch
from click.testing import Result
from conftest import one_line_error
from safetensors.torch import load_file, save_file

from batchgender.model.metadata import CalibrationFit
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import LICENSE, Calibration, RunState
from batchgender.training.recipe import Recipe


def of_0_1_0(source: str = "faces") -> dict[str, Any]:
    """A checkpoint as 0.1.0 wrote it: one flat record."""
    network = tiny_networks.tiny()
    weights = network.state_dict()
    female = {"precision": 0.8, "recall": 0.75, "recall_interval_95": [0.6, 0.9], "f1": 0.77, "support": 40}
    return {
        "weights": weights,
        "classes": ["Female", "Male"],
        "recipe": Recipe(architecture="tiny", input_size=32, mean=(0.5,) * 3, std=(0.25,) * 3).as_dict(),
        "epoch": 3,
        "source": source,
        "fingerprint": "0123456789abcdef",
        "history": [{"epoch": 3, "loss": 0.5, "val_loss": 0.6, "val_accuracy": 0.7, "seconds": 1.0}],
        "optimizer": torch.optim.Adam(network.parameters()).state_dict(),
        "live": {name: value + 1 for name, value in weights.items()},
        "auxiliary": {"weight": torch.ones(2)},
        "temperature": 1.5,
        "bias": [0.0, 0.25],
        "thresholds": {"Female": 0.7, "Male": 0.6},
        "calibration": {"photos": 500, "ece_before": 0.05, "ece_after": 0.02, "temperature": 1.5},
        "metrics": {
            **{"accuracy": 0.8, "labelled": 80, "unreadable": 1, "auroc": 0.9, "ece": 0.02, "unsure": 3},
            "classes": {"Female": {**female, "photos": 40}, "Male": female},
        },
        "flip": False,
        "license": LICENSE,
        "schema": 1,
    }


def test_a_checkpoint_of_0_1_0_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_networks.register(monkeypatch)
    old = of_0_1_0()
    torch.save(old, tmp_path / "best.pt")
    found = checkpoints.load(tmp_path / "best.pt")
    assert found.calibration == Calibration(1.5, old["bias"], old["thresholds"], CalibrationFit(500, 0.05, 0.02, 1.5))
    assert (found.run.epoch, found.run.fingerprint, found.run.history) == (3, old["fingerprint"], old["history"])
    assert found.run.optimizer and found.run.live.keys() == old["live"].keys() and found.run.auxiliary
    assert found.metrics and found.metrics.accuracy == 0.8 and found.metrics.classes["Female"].recall == 0.75
    info = found.info()
    assert (info.temperature, info.bias, info.thresholds, info.license) == (
        1.5,
        [0.0, 0.25],
        old["thresholds"],
        LICENSE,
    )
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    probabilities, logits = found.deployed()(pixels)
    assert torch.allclose(probabilities, torch.softmax(logits / 1.5 + torch.tensor([0.0, 0.25]), 1))


def test_what_is_written_has_the_keys_of_0_1_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_networks.register(monkeypatch)
    old = of_0_1_0()
    torch.save(old, tmp_path / "old.pt")
    checkpoints.save(checkpoints.load(tmp_path / "old.pt"), tmp_path / "new.pt")
    new = torch.load(tmp_path / "new.pt", weights_only=True)
    # Whether mirror images are averaged is said at the export.
    assert new.keys() == old.keys() - {"flip"} | {"label_names", "labels", "framing"}
    for key in ("classes", "recipe", "epoch", "source", "history", "temperature", "bias", "thresholds", "calibration"):
        assert new[key] == old[key], key
    assert new["metrics"]["classes"]["Male"]["support"] == 40 and new["schema"] == 1


@pytest.mark.parametrize("missing", ["weights", "classes", "recipe", "epoch", "history"])
def test_a_checkpoint_with_parts_missing_is_one_line(cli: Any, tmp_path: Path, missing: str) -> None:
    data = of_0_1_0()
    del data[missing]
    torch.save(data, tmp_path / "best.pt")
    message = one_line_error(cli("evaluate", tmp_path / "best.pt", "--data", tmp_path))
    assert "a checkpoint of batchgender with parts missing" in message


def test_what_only_a_resumed_run_needs_is_left_out() -> None:
    state = RunState(2, "f", [{"epoch": 2}], {"state": {}}, {"w": torch.ones(1)}, {"w": torch.ones(1)})
    assert state.without_training() == RunState(2, "f", [{"epoch": 2}])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("classes", value) for value in (5, None, [1, 2], ["a", "a"], "ab", ["\ud800", "b"])],
        *[("recipe", value) for value in (5, None)],
        *[("weights", value) for value in (5, None, {"a": 5})],
        *[("bias", value) for value in (None, ["a"], [1.0])],
        *[("thresholds", value) for value in (5, {"x": "y"})],
        *[("temperature", value) for value in (None, 0, float("nan"))],
        *[("source", 5), ("history", [5]), ("label_names", {5: 5}), ("framing", {"margin": "x"}), ("live", 5)],
    ],
)
def test_a_checkpoint_with_a_field_that_is_wrong_is_refused(
    trained: Path, tmp_path: Path, cli: Any, field: str, value: Any
) -> None:
    file = tmp_path / "wrong.pt"
    torch.save({**torch.load(trained / "best.pt", weights_only=True), field: value}, file)
    assert str(file) in one_line_error(cli("inspect", file))


def test_a_shared_checkpoint_is_the_same_but_for_what_a_training_needs(
    cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_networks.register(monkeypatch)
    source = tiny_networks.write_tinted(tmp_path / "faces", 4)
    torch.save(of_0_1_0(str(source)), tmp_path / "best.pt")
    own, file = checkpoints.load(tmp_path / "best.pt"), tmp_path / "shared.safetensors"
    checkpoints.save(own, file)
    shared = checkpoints.load(file)
    assert shared.weights.keys() == own.weights.keys()
    assert all(torch.equal(tensor, own.weights[name]) for name, tensor in shared.weights.items())
    assert replace(shared, weights={}) == replace(own, weights={}, run=own.run.without_training())
    # All that takes a checkpoint takes it; what others read of it are tensors by name.
    described = [json.loads(cli("inspect", each, "--json").stdout) for each in (tmp_path / "best.pt", file)]
    assert described[1]["history"] == described[0]["history"] and not described[1]["resumable"]
    evaluated = [cli("evaluate", each, "--data", source).stdout for each in (tmp_path / "best.pt", file)]
    assert evaluated[0].replace("best.pt", "shared.safetensors") == evaluated[1] and "accuracy" in evaluated[1]
    assert cli("calibrate", file, "--data", source).exit_code == 0
    assert load_file(file).keys() == own.weights.keys()
    begun = cli("train", "--data", source, "--arch", "tiny", "--weights", file, "--epochs", 1, "--out", tmp_path / "on")
    # Trained on another mean and std than the default recipe's.
    assert "mean" in one_line_error(begun)


@pytest.mark.parametrize("data", ["[1]", "{", "[" * 100_000, '{"schema": 1}', '{"schema": 2}', "{}", "\x00"])
def test_a_shared_checkpoint_that_is_damaged_is_refused(cli: Callable[..., Result], tmp_path: Path, data: str) -> None:
    file = tmp_path / "shared.safetensors"
    save_file({"one": torch.ones(2)}, file, {"batchgender.checkpoint": data})
    for line in (("inspect", file), ("evaluate", file, "--data", tmp_path), ("calibrate", file)):
        assert str(file) in one_line_error(cli(*line))
    save_file({"one": torch.ones(2)}, file)
    assert "weights alone don't name their classes" in one_line_error(cli("inspect", file))
    for content in (file.read_bytes()[:-3], b"", b"\xff" * 64):
        file.write_bytes(content)
        assert "damaged" in one_line_error(cli("inspect", file))
