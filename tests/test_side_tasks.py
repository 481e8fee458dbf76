"""`train --groups`: columns of a groups file learnt beside the classes, and dropped from what is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import one_line_error
from test_train_strong import recipe_file

from batchgender.training import checkpoint as checkpoints
from batchgender.training.data import LabelledPhotos, load_split
from batchgender.training.recipe import find_recipe
from batchgender.training.side_tasks import side_tasks
from batchgender.training.trainer import Trainer

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def groups(portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three columns for the portraits: one of two groups, one of one, one of five with a gap in it."""
    file = tmp_path_factory.mktemp("groups") / "groups.csv"
    rows = [
        f"{split}/{label}/{i:04}.jpg,{'even' if i % 2 == 0 else 'odd'},all,{'' if i % 6 == 5 else f'g{i % 6}'}"
        for split in ("train", "test")
        for label in ("female", "male")
        for i in range(20)
    ]
    file.write_text("\n".join(["path,parity,same,sixth", *rows]))
    return file


@pytest.mark.parametrize("ema", [0.0, 0.99])
def test_the_columns_are_learnt_and_what_is_kept_has_the_classes_alone(
    cli: Cli, portraits: Path, groups: Path, tmp_path: Path, ema: float
) -> None:
    recipe = find_recipe(str(recipe_file(tmp_path, ema=ema, groups=str(groups))))
    photos, validation = (load_split(str(portraits), split, lambda line: None) for split in ("train", "val"))
    trainer = Trainer(recipe, photos, validation, str(portraits), torch.device("cpu"), lambda line: None)
    run = tmp_path / "run"
    run.mkdir()
    first = trainer.epoch(1, run)
    for name in ("last.pt", "best.pt"):
        checkpoints.save(trainer.state(1, [first]), run / name)
    never_stopped = trainer.state(2, [first, trainer.epoch(2, run)])
    result = cli("train", "--resume", "--out", run)
    assert result.exit_code == 0, result.stderr
    assert "learnt beside the classes" in result.stderr and "parity (2), sixth (5)" in result.stderr
    assert "column same is the same for all photos" in result.stderr
    last = checkpoints.load(run / "last.pt")
    assert all(torch.equal(last.weights[name], value) for name, value in never_stopped.weights.items())
    assert last.weights["classifier.6.weight"].shape[0] == 2 and last.live["classifier.6.weight"].shape[0] == 2 + 2 + 5
    # Its file tells of the groups, not of where they lay.
    assert checkpoints.load(run / "best.pt").info().recipe["groups"] == "groups.csv"
    assert cli("export", run / "best.pt", "--format", "onnx", "--out", tmp_path / "m.onnx").exit_code == 0


def test_what_a_column_teaches_reaches_the_layers_that_the_classes_use(portraits: Path, groups: Path) -> None:
    photos, validation = (load_split(str(portraits), split, lambda line: None) for split in ("train", "val"))
    learnt = {}
    for name in ("", str(groups)):
        recipe = find_recipe("strong")
        recipe = type(recipe)(**{**vars(recipe), "input_size": 64, "start_size": 0, "batch_size": 16, "groups": name})
        trainer = Trainer(recipe, photos, validation, "x", torch.device("cpu"), lambda line: None)
        trainer.epoch(1, Path())
        learnt[name] = trainer.network.features[0].weight.detach().clone()
    assert not torch.equal(*learnt.values())


def test_the_loss_is_the_cross_entropy_of_the_photos_that_have_a_group(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", "c.jpg"]
    photos = LabelledPhotos(["Female", "Male"], np.zeros(3, np.int64), names, lambda index: b"")
    (tmp_path / "g.csv").write_text("path,age\na.jpg,old\nb.jpg,\nc.jpg,young\n")
    tasks = side_tasks(str(tmp_path / "g.csv"), photos, lambda line: None)
    assert tasks.outputs == 2
    logits = torch.tensor([[2.0, 0.0], [9.0, -9.0]])
    assert tasks.loss(logits, [0, 1]).item() == pytest.approx(np.log(1 + np.exp(-2)))
    assert tasks.loss(logits, [2, 1]).item() == pytest.approx(np.log(1 + np.exp(2)))
    # A batch in which no photo has a group teaches nothing, and spoils nothing.
    assert tasks.loss(logits[:1], [1]).item() == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,age\nelsewhere.jpg,1\n", "none of its paths is that of one photo"),
        ("path,age\nfemale/0000.jpg,1\nmale/0001.jpg,1\n", "no column tells photos apart; leave --groups out"),
        ("age\n1\n", "no column `path`"),
    ],
)
def test_groups_that_teach_nothing_are_refused_and_leave_no_folder(
    cli: Cli, portraits: Path, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "g.csv").write_text(text)
    line = ("train", "--data", portraits / "train", "--out", tmp_path / "run", "--groups", tmp_path / "g.csv")
    assert reason in one_line_error(cli(*line))
    assert not (tmp_path / "run").exists()


def test_a_column_of_too_many_groups_is_named(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(1001)]
    photos = LabelledPhotos(["Female", "Male"], np.zeros(1001, np.int64), names, lambda index: b"")
    (tmp_path / "g.csv").write_text("path,date\n" + "\n".join(f"{name},{name}" for name in names))
    from batchgender.errors import UserError

    with pytest.raises(UserError, match="column date has 1,001 groups"):
        side_tasks(str(tmp_path / "g.csv"), photos, lambda line: None)
