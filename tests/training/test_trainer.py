"""A trainer: what it tells of a long epoch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from batchgender import progress
from batchgender.training.data.open_source import open_source
from batchgender.training.processes import Processes
from batchgender.training.recipe import Recipe
from batchgender.training.trainer import Trainer


def test_a_long_epoch_tells_its_progress_in_lines_where_stderr_is_no_terminal(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    source = open_source(str(portraits), lines.append)
    recipe = replace(Recipe(), architecture="shufflenet_v2_x0_5", input_size=64, batch_size=8)
    trainer = Trainer(recipe, source.train, source.val, str(portraits), Processes(torch.device("cpu")), lines.append)
    trainer.epoch(1, tmp_path)
    assert not lines  # It was done within a minute.
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    trainer.epoch(2, tmp_path)
    training = [line for line in lines if line.startswith("epoch 2: ")]
    assert f"8 of {len(source.train)} photos" in training[0] and "loss 0." in training[0]
    assert any(line.startswith("validate: ") for line in lines)
