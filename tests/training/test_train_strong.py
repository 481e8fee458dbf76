"""`train --recipe strong`, recipe files and what they switch on, on small pictures and a narrow AlexNet."""

import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
import pytest
import torch
from conftest import one_line_error

from batchgender.io import silent
from batchgender.model.open_model import PACKAGED_MODEL
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Calibration
from batchgender.training.data.batches import Batches
from batchgender.training.data.open_source import open_source
from batchgender.training.distillation import Teachers
from batchgender.training.networks.deployed import Normalize, logits_of
from batchgender.training.optimization import learning_rate, size_at
from batchgender.training.predictions import predict_split
from batchgender.training.processes import Processes
from batchgender.training.recipe import Recipe, find_recipe
from batchgender.training.run_plan import RunPlan
from batchgender.training.train import train
from batchgender.training.trainer import Trainer

Cli = Callable[..., Any]
STRONG = find_recipe("strong")


def recipe_file(folder: Path, **keys: Any) -> Path:
    """A recipe of small pictures and few epochs, as a user would write it."""
    small = {"input_size": 96, "start_size": 64, "epochs": 2, "batch_size": 8, "warmup_epochs": 0.5, **keys}
    file = folder / "small.toml"
    file.write_text("\n".join(['base = "strong"', *(f"{key} = {json.dumps(value)}" for key, value in small.items())]))
    return file


def weights(file: Path) -> dict[str, torch.Tensor]:
    state = checkpoints.load(file)
    return {**state.weights, **{f"live.{name}": value for name, value in state.run.live.items()}}


def same(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture(scope="module")
def strong(portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two epochs that was never stopped."""
    folder = tmp_path_factory.mktemp("strong")
    train(RunPlan(find_recipe(str(recipe_file(folder))), str(portraits), folder / "run"), "cpu", silent)
    return folder / "run"


def test_a_run_says_its_recipe_and_the_way_to_its_picture(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, epochs=1)
    result = cli("train", "--data", portraits, "--recipe", recipe, "--out", tmp_path / "run", "--lr", 1e-3)
    assert result.exit_code == 0, result.stderr
    assert "alexnet_bn512, recipe small, 1 epochs" in result.stderr
    assert f"the picture: {tmp_path / 'run' / 'history.png'}" in result.stderr
    assert "temperature" in result.stderr and "calibration error" in result.stdout
    kept = checkpoints.load(tmp_path / "run" / "best.pt")
    assert kept.recipe.lr == 1e-3 and kept.recipe.name == "small"
    assert kept.calibration.fit and kept.calibration.fit.photos > 0


def test_a_killed_run_goes_on_to_the_same_weights_and_another_seed_to_others(
    command: Callable[..., Any], cli: Cli, strong: Path, portraits: Path, tmp_path: Path
) -> None:
    recipe, out = recipe_file(tmp_path), tmp_path / "run"
    line = ("train", "--data", portraits, "--recipe", recipe, "--device", "cpu")
    process = command(*line, "--out", out)
    while not (out / "history.csv").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoints.load(out / "last.pt").run.epoch == 1 and not same(out / "last.pt", strong / "last.pt")
    result = cli("train", "--resume", "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert same(out / "last.pt", strong / "last.pt") and same(out / "best.pt", strong / "best.pt")
    assert cli(*line, "--out", tmp_path / "other", "--seed", 1).exit_code == 0
    assert not same(tmp_path / "other" / "last.pt", strong / "last.pt")


def test_what_is_kept_is_the_average_of_the_weights(strong: Path) -> None:
    last = checkpoints.load(strong / "last.pt")
    live = last.run.live
    assert live.keys() == last.weights.keys()
    assert not torch.equal(live["classifier.6.weight"], last.weights["classifier.6.weight"])
    assert not checkpoints.load(strong / "best.pt").run.live


def test_a_loss_that_is_no_number_stops_and_keeps_the_epoch_before(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    cli("train", "--data", portraits, "--recipe", recipe_file(tmp_path, epochs=1), "--out", out)
    state = checkpoints.load(out / "last.pt")
    state.run.live["classifier.6.bias"][0] = math.nan
    checkpoints.save(state, out / "last.pt")
    message = one_line_error(cli("train", "--resume", "--epochs", 2, "--out", out))
    assert "the loss is no number any more at epoch 2, step" in message and "last.pt holds the epoch before" in message
    assert checkpoints.load(out / "last.pt").run.epoch == 1


def test_a_run_without_progress_stops_early(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    # A rate too small to change any answer, and no batch norm whose statistics would.
    keys = {"architecture": "squeezenet1_1", "lr": 1e-12, "ema": 0.0, "patience": 2, "epochs": 30}
    recipe = recipe_file(tmp_path, **keys)
    result = cli("train", "--data", portraits, "--recipe", recipe, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert "no better validation accuracy in 2 epochs: stopped after epoch 3" in result.stderr
    assert list(pd.read_csv(tmp_path / "run" / "history.csv").epoch) == [1, 2, 3]


def test_a_recipe_may_keep_the_last_epoch_and_end_on_larger_pictures(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    # No epoch is better than the first.
    keys = {"architecture": "squeezenet1_1", "lr": 1e-12, "ema": 0.0, "keep": "last", "end_size": 128}
    recipe = recipe_file(tmp_path, **keys)
    result = cli("train", "--data", portraits, "--recipe", recipe, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    kept = checkpoints.load(tmp_path / "run" / "best.pt")
    assert kept.run.epoch == 2 and "epoch 2 is kept" in result.stderr
    assert kept.info().input_size == 96 and size_at(kept.recipe, 2) == 128


def test_weights_to_begin_with_change_the_start_and_leave_no_path_in_the_model(
    cli: Cli, strong: Path, portraits: Path, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path, lr=1e-12, warmup_epochs=0, ema=0.0, epochs=1)
    line = ("train", "--data", portraits, "--recipe", recipe, "--out", tmp_path / "run")
    assert cli(*line, "--weights", strong / "best.pt").exit_code == 0
    begun, found = weights(strong / "best.pt"), checkpoints.load(tmp_path / "run" / "last.pt")
    assert torch.allclose(found.weights["classifier.6.weight"], begun["classifier.6.weight"], atol=1e-6)
    assert found.info().recipe["weights"] == "best.pt"
    assert cli(*line, "--pretrained", "--weights", strong / "best.pt").exit_code == 2
    message = one_line_error(cli(*line[:-1], tmp_path / "r18", "--arch", "resnet18", "--weights", strong / "best.pt"))
    assert "not weights of resnet18" in message and not (tmp_path / "r18").exists()


def teacher_file(strong: Path, folder: Path, **changes: Any) -> Path:
    """A checkpoint that answers Female with great confidence, whatever it sees."""
    state = checkpoints.load(strong / "best.pt")
    state.weights["classifier.6.weight"].zero_()
    state.weights["classifier.6.bias"].copy_(torch.tensor([4.0, -4.0]))
    checkpoints.save(replace(state, calibration=Calibration(), **changes), folder / "teacher.pt")
    return folder / "teacher.pt"


@pytest.mark.parametrize("agreed", [True, False])
def test_a_student_learns_the_answers_of_its_teachers(
    agreed: bool, cli: Cli, strong: Path, portraits: Path, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path, teacher_share=1.0, equal_recall=False, epochs=4, lr=3e-4, ema=0.9)
    teacher = teacher_file(strong, tmp_path)
    state = checkpoints.load(teacher)
    state.weights["classifier.6.bias"].mul_(1 if agreed else -1)
    checkpoints.save(state, tmp_path / "other.pt")
    line = ("train", "--data", portraits, "--recipe", recipe, "--out", tmp_path / "run")
    assert cli(*line, "--teacher", teacher, "--teacher", tmp_path / "other.pt").exit_code == 0
    found = checkpoints.load(tmp_path / "run" / "last.pt")
    batches = Batches(open_source(str(portraits), silent).test, 96, 32, silent)
    answers = predict_split(logits_of(found.deployed()), batches, "test", silent)
    margins = answers.outputs[:, 0] - answers.outputs[:, 1]
    assert set(answers.labels) == {0, 1} and (abs(margins - (8 if agreed else 0)) < 2).all()
    assert found.info().recipe["teacher"] == ["teacher.pt", "other.pt"]


def test_a_teacher_that_answers_no_numbers_is_refused_before_the_training(
    cli: Cli, strong: Path, portraits: Path, tmp_path: Path
) -> None:
    file = teacher_file(strong, tmp_path)
    state = checkpoints.load(file)
    state.weights["classifier.6.bias"][0] = torch.nan
    checkpoints.save(state, file)
    line = ("train", "--data", portraits, "--recipe", recipe_file(tmp_path), "--out", tmp_path / "run")
    assert "holds weights that are no numbers" in one_line_error(cli(*line, "--teacher", file))
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_lists_its_classes_otherwise_teaches_the_same(strong: Path, tmp_path: Path) -> None:
    teacher = Teachers([str(strong / "best.pt")], ["Female", "Male"], STRONG)
    turned = checkpoints.load(strong / "best.pt")
    for name in ("classifier.6.weight", "classifier.6.bias"):
        turned.weights[name] = turned.weights[name].flip(0)
    checkpoints.save(replace(turned, classes=["Male", "Female"]), tmp_path / "turned.pt")
    pixels = torch.randn(2, 3, 200, 120, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Teachers([str(tmp_path / "turned.pt")], ["Female", "Male"], STRONG)(pixels), teacher(pixels))


def test_an_exported_teacher_answers_as_its_checkpoint_does_and_several_are_averaged(
    cli: Cli, strong: Path, tmp_path: Path
) -> None:
    exported = tmp_path / "strong.onnx"
    assert cli("export", strong / "best.pt", "--format", "onnx", "--out", exported).exit_code == 0
    own, other = str(strong / "best.pt"), str(teacher_file(strong, tmp_path))
    classes = ["Female", "Male"]
    # Whole bytes, of the size of the model: an exported file takes nothing between.
    images = torch.randint(0, 256, (4, 96, 96, 3), generator=torch.Generator().manual_seed(0))
    pixels = Normalize(STRONG.mean, STRONG.std)(images)
    answers = Teachers([own], classes, STRONG)(pixels)
    assert torch.allclose(
        Teachers([str(exported)], classes, STRONG)(pixels).softmax(1), calibrated(own, answers).softmax(1), atol=1e-3
    )
    both = Teachers([own, other], classes, STRONG)(pixels)
    assert torch.allclose(both, (answers + Teachers([other], classes, STRONG)(pixels)) / 2, atol=1e-5)


def calibrated(file: str, logits: torch.Tensor) -> torch.Tensor:
    """The logits with the decision threshold where an exported file of the checkpoint has it."""
    bias = checkpoints.load(file).calibration.bias
    return logits + torch.tensor(bias) if bias else logits


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"classes": ["cat", "dog"]}, "a teacher of cat, dog, the photos are Female, Male; choose another --teacher"),
        ({"recipe": replace(STRONG, mean=(0.5, 0.5, 0.5))}, "give the recipe the same"),
    ],
)
def test_a_teacher_of_other_photos_is_refused(
    cli: Cli, strong: Path, portraits: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    line = ("train", "--data", portraits, "--recipe", recipe_file(tmp_path), "--out", tmp_path / "run")
    assert reason in one_line_error(cli(*line, "--teacher", teacher_file(strong, tmp_path, **changes)))
    for name in ("none.pt", "none.onnx"):
        assert f"{name}: no such file; check --teacher" in one_line_error(cli(*line, "--teacher", tmp_path / name))
    foreign = onnx.load(PACKAGED_MODEL)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    message = one_line_error(cli(*line, "--teacher", tmp_path / "foreign.onnx"))
    assert "not from batchgender; export it, or choose another --teacher" in message
    (tmp_path / "cut.pt").write_bytes((strong / "best.pt").read_bytes()[:100_000])
    assert "damaged, cut short" in one_line_error(cli(*line, "--teacher", tmp_path / "cut.pt"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"architecture": "resnet_18"}, "unknown architecture 'resnet_18'; did you mean resnet18"),
        ({"architecture": "vit_b_16"}, "vit_b_16 can't take pictures of 64 pixels"),
        ({"start_size": 32, "input_size": 40}, "alexnet_bn512 can't take pictures of 32 pixels"),
        ({"batch_size": 1}, "alexnet_bn512 normalises over the batch; give --batch-size 2 or more"),
        ({"learning_rate": 1}, "keys that this version does not know: learning_rate"),
    ],
)
def test_a_recipe_that_can_not_start_is_refused_and_leaves_no_folder(
    cli: Cli, portraits: Path, tmp_path: Path, keys: dict[str, Any], reason: str
) -> None:
    line = ("train", "--data", portraits, "--recipe", recipe_file(tmp_path, **keys), "--out", tmp_path / "run")
    assert reason in one_line_error(cli(*line))
    assert not (tmp_path / "run").exists()


def test_resuming_with_another_recipe_is_refused(cli: Cli, strong: Path) -> None:
    for given in (("--recipe", "seed"), ("--arch", "alexnet")):
        message = one_line_error(cli("train", "--resume", "--out", strong, *given))
        assert f"was begun with another {given[0]}" in message


def test_a_backbone_of_torchvision_is_trained_evaluated_and_exported(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    recipe, out = recipe_file(tmp_path, epochs=1), tmp_path / "run"
    line = ("train", "--data", portraits, "--arch", "mobilenet_v3_small", "--recipe", recipe, "--out", out)
    assert cli(*line).exit_code == 0
    assert cli("export", out / "best.pt", "--format", "onnx", "--out", tmp_path).exit_code == 0
    figures = [cli("evaluate", m, "--data", portraits).stdout for m in (out / "best.pt", tmp_path / "batchgender.onnx")]
    assert figures[0] == figures[1] and "12 labelled photos" in figures[0]


def test_tensorboard_logs_each_epoch(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    line = ("train", "--data", portraits, "--recipe", recipe_file(tmp_path), "--out", out, "--tensorboard")
    assert cli(*line).exit_code == 0
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    logged = {scalar.step: scalar.value for scalar in events.Scalars("val_accuracy")}
    history = pd.read_csv(out / "history.csv")
    assert logged == pytest.approx(dict(zip(history.epoch, history.val_accuracy, strict=True)), abs=1e-6)


def test_pictures_grow_and_end_at_the_models_size() -> None:
    grown = replace(STRONG, input_size=192, end_size=224)
    for recipe, end in ((STRONG, STRONG.input_size), (grown, 224)):
        sizes = [size_at(recipe, epoch) for epoch in range(1, recipe.epochs + 1)]
        assert sizes == sorted(sizes) and sizes[0] == recipe.start_size and sizes[-1] == end
        assert all(size % 16 == 0 for size in sizes)
    assert {size_at(Recipe(), epoch) for epoch in range(1, 9)} == {224}


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    steps = 100
    rates = [learning_rate(STRONG, step, steps) for step in range(STRONG.epochs * steps)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[top] == STRONG.lr and rates[-1] < 0.001 * STRONG.lr
    assert {learning_rate(Recipe(), step, steps) for step in range(800)} == {1e-4}


def test_balance_makes_a_rare_class_count_as_much(portraits: Path) -> None:
    source = open_source(str(portraits), silent)
    photos = source.train
    few = photos.subset([i for i in range(len(photos)) if photos.labels[i] == 0 or i % 4 == 0])
    recipe = replace(STRONG, input_size=64, start_size=0)
    trainer = Trainer(recipe, few, source.val, "portraits", Processes(torch.device("cpu")), silent)
    assert trainer.class_weights is not None
    total = [
        weight * count for weight, count in zip(trainer.class_weights.tolist(), few.counts().values(), strict=True)
    ]
    assert total[0] == pytest.approx(total[1]) and sum(total) == pytest.approx(len(few))


def test_test_time_flip_is_the_same_in_the_checkpoint_and_in_its_export(
    cli: Cli, strong: Path, portraits: Path, tmp_path: Path
) -> None:
    flipped = tmp_path / "flipped.onnx"
    export = ("export", strong / "best.pt", "--format", "onnx", "--out", flipped, "--data", portraits)
    assert cli(*export, "--flip", "--license", "for these tests alone").exit_code == 0
    result = cli("evaluate", strong / "best.pt", "--data", portraits, "--flip")
    assert result.stdout == cli("evaluate", flipped, "--data", portraits).stdout
    assert result.stdout != cli("evaluate", strong / "best.pt", "--data", portraits).stdout
    said = json.loads(cli("inspect", flipped, "--json").stdout)["batchgender"]
    assert said["flip"] is True and said["license"] == "for these tests alone"
    assert "an exported model" in one_line_error(cli("evaluate", flipped, "--data", portraits, "--flip"))
