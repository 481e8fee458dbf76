"""`train --also-learn`: numbers of the training photos, learnt beside their classes by a head that is not deployed."""

import csv
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import one_line_error

from batchgender.io import silent
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data.open_source import open_source
from batchgender.training.processes import Processes
from batchgender.training.recipe import Recipe, find_recipe
from batchgender.training.trainer import Trainer

Cli = Callable[..., Any]

SMALL = replace(find_recipe("strong"), input_size=64, start_size=0, epochs=2, batch_size=8, ema=0.9)


def write_numbers(file: Path, portraits: Path, numbers: Callable[[Path], object] | None = None) -> Path:
    """A CSV of the photos' paths and of a number each, by default how bright the photo is."""
    numbers = numbers or (lambda photo: np.asarray(cv2.imread(str(photo))).mean())
    with open(file, "w", newline="") as stream:
        rows = ((path.relative_to(portraits), numbers(path)) for path in sorted(portraits.rglob("*.jpg")))
        csv.writer(stream).writerows([("path", "number"), *rows])
    return file


def trainer(portraits: Path, recipe: Recipe) -> Trainer:
    source = open_source(str(portraits), silent)
    return Trainer(recipe, source.train, source.val, str(portraits), Processes(torch.device("cpu")), silent)


def batch_loss(trained: Trainer, images: np.ndarray, indices: list[int], blend: torch.Tensor | None = None) -> float:
    """How far the second head is from the numbers of a batch."""
    assert trained.auxiliary
    answers = trained.learner(trained.normalize(torch.from_numpy(images)))[1]
    return trained.auxiliary.loss(answers, indices, blend).item()


def number_loss(trained: Trainer) -> float:
    """How far the second head is from the training photos' numbers, as they come."""
    trained.network.eval()
    with torch.no_grad():
        total = sum(batch_loss(trained, images, indices) * len(indices) for images, _, indices in trained.batches())
    return total / len(trained.photos)


def test_the_numbers_are_learnt_and_leave_nothing_in_the_model(portraits: Path, tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "light.csv", portraits)
    # Brightness, which augmentation must not change.
    recipe = replace(SMALL, also_learn=str(file), also_weight=1.0, color=0.0, erase=0.0, epochs=12)
    run = trainer(portraits, recipe)
    before = number_loss(run)
    for epoch in range(1, recipe.epochs + 1):
        run.epoch(epoch, tmp_path)
    assert number_loss(run) < 0.93 * before
    kept = run.state(recipe.epochs, [])
    assert kept.weights.keys() == checkpoints.Checkpoint.network(kept).state_dict().keys()
    assert kept.info().recipe["also_learn"] == "light.csv"


def test_a_mixed_picture_has_the_mixture_of_its_photos_numbers(portraits: Path, tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "numbers.csv", portraits, lambda photo: int(photo.stem) % 2)
    run = trainer(portraits, replace(SMALL, also_learn=str(file)))
    run.network.eval()  # The same features each time.
    (images, _, indices), *_ = run.batches(range(8))
    blend = 0.7 * torch.eye(8) + 0.3 * torch.eye(8).roll(1, 0)
    alone = [batch_loss(run, images, order) for order in (indices, np.roll(indices, 1).tolist())]
    assert batch_loss(run, images, indices, blend) == pytest.approx(0.7 * alone[0] + 0.3 * alone[1], rel=1e-5)


def test_photos_without_a_number_are_trained_on_and_add_nothing(portraits: Path, tmp_path: Path) -> None:
    known = sorted((portraits / "train").rglob("*.jpg"))[::9]
    file = write_numbers(tmp_path / "few.csv", portraits, lambda p: known.index(p) if p in known else "")
    run = trainer(portraits, replace(SMALL, also_learn=str(file)))
    assert run.auxiliary and run.epoch(1, tmp_path)["loss"] > 0
    (images, _, indices), *_ = run.batches([i for i in range(len(run.photos)) if not run.auxiliary.targets[0][i].any()])
    assert batch_loss(run, images, indices) == 0


def test_numbers_that_a_spreadsheet_saved_again_are_the_same(portraits: Path, tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "numbers.csv", portraits, lambda photo: int(photo.stem) / 4)
    runs = [trainer(portraits, replace(SMALL, also_learn=str(file)))]
    for name, separator, encoding in (("a.csv", ";", "utf-8-sig"), ("b.csv", "\t", "utf-16")):
        text = file.read_text().replace(",", separator).replace(".", ",").replace(",jpg", ".jpg")
        (tmp_path / name).write_text(text, encoding)
        runs.append(trainer(portraits, replace(SMALL, also_learn=str(tmp_path / name))))
    first, *others = [run.auxiliary.fingerprint for run in runs if run.auxiliary]
    assert len(others) == 2 and all(torch.equal(first, other) for other in others)


def test_a_resumed_run_ends_with_the_same_weights(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "light.csv", portraits)
    recipe = tmp_path / "small.toml"
    recipe.write_text('base = "strong"\ninput_size = 64\nstart_size = 0\nbatch_size = 8\n')
    line = ("train", "--data", portraits, "--recipe", recipe, "--also-learn", file, "--device", "cpu")
    assert cli(*line, "--epochs", 2, "--out", tmp_path / "whole").exit_code == 0
    # A rate that does not depend on the number of epochs, so that two runs of one go the same way.
    recipe.write_text(recipe.read_text() + 'schedule = "constant"\nwarmup_epochs = 0.5\n')
    assert cli(*line, "--epochs", 2, "--out", tmp_path / "straight").exit_code == 0
    assert cli(*line, "--epochs", 1, "--out", tmp_path / "halted").exit_code == 0
    assert cli("train", "--resume", "--out", tmp_path / "halted", "--epochs", 2, "--device", "cpu").exit_code == 0
    ends = [checkpoints.load(tmp_path / run / "last.pt") for run in ("straight", "halted")]
    for part in ("weights", "run.live", "run.auxiliary"):
        first, second = map(attrgetter(part), ends)
        assert first and all(torch.equal(first[name], second[name]) for name in first)
    assert not checkpoints.load(tmp_path / "halted" / "best.pt").run.auxiliary
    write_numbers(file, portraits, lambda photo: int(photo.stem))
    message = one_line_error(cli("train", "--resume", "--out", tmp_path / "halted", "--epochs", 3))
    assert "light.csv: its numbers have changed since this training was begun" in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no such file; check --also-learn"),
        ("path,age\ntrain/female/0000.jpg,young\n", "the column age holds 'young'; --also-learn wants numbers"),
        ("path,age\ntrain/female/0000.jpg,7\n", "the column age has no two different numbers"),
        ("path,age\ntrain/female/0000.jpg,\n", "the column age has no two different numbers"),
        ("path,age\ntrain/female/0000.jpg,1e308\ntrain/female/0001.jpg,-1e308\n", "no two different numbers"),
        ("path,age\nelsewhere.jpg,7\n", "none of its paths is that of one photo"),
        ("name,age\n0000.jpg,7\n", "no column `path`"),
    ],
)
def test_what_can_not_be_learnt_is_said_before_the_training(
    cli: Cli, portraits: Path, tmp_path: Path, text: str | None, reason: str
) -> None:
    file = tmp_path / "numbers.csv"
    if text is not None:
        file.write_text(text)
    line = ("train", "--data", portraits, "--also-learn", file, "--out", tmp_path / "run")
    assert reason in one_line_error(cli(*line)) and not (tmp_path / "run").exists()


def test_a_network_without_a_linear_layer_can_not_learn_numbers(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "light.csv", portraits)
    line = ("train", "--data", portraits, "--arch", "squeezenet1_1", "--also-learn", file, "--out", tmp_path / "run")
    assert "choose another --arch, or leave out --also-learn" in one_line_error(cli(*line))
