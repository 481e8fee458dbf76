"""`batchgender tune` on drawn portraits: what a study writes, and that a stop loses nothing of it."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import one_line_error
from drawn_faces import write_portraits
from PIL import Image

from batchgender.io import silent
from batchgender.training.recipe import changed, find_recipe
from batchgender.training.run_plan import RunPlan
from batchgender.training.train import train

pytest.importorskip("optuna")
Cli = Callable[..., Any]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost small networks more than they give, and a subprocess must add up in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    write_portraits(folder, {"train": 16, "val": 10, "test": 1})
    return folder


@pytest.fixture(scope="module")
def recipe(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file of a network that trains in moments, from weights that know the photos to validate on.

    Trials differ in how much of that they make it forget: from random weights, an epoch or two tell nothing.
    """
    folder = tmp_path_factory.mktemp("recipe")
    path = folder / "small.toml"
    path.write_text('architecture = "shufflenet_v2_x0_5"\ninput_size = 64\nbatch_size = 8\nlr = 0.005\n')
    for split in ("train", "val", "test"):
        shutil.copytree(faces / "val", folder / "known" / split)
    known, run = str(folder / "known"), folder / "run"
    train(RunPlan(changed(find_recipe(str(path)), {"epochs": 15}), known, run), "cpu", silent)
    path.write_text(path.read_text() + f'weights = "{run}/best.pt"\n')
    return path


def wild_recipe(folder: Path, lr: float) -> Path:
    """A recipe file of a network without normalisation, at a rate that is too high."""
    path = folder / "wild.toml"
    path.write_text(f'architecture = "squeezenet1_1"\ninput_size = 64\nbatch_size = 4\noptimizer = "sgd"\nlr = {lr}\n')
    return path


@pytest.fixture(scope="module")
def line(faces: Path, recipe: Path) -> tuple[Any, ...]:
    """The arguments of a study of three trials of two epochs."""
    return ("tune", "--data", faces, "--recipe", recipe, "--trials", 3, "--epochs", 2, "--device", "cpu")


@pytest.fixture(scope="module")
def whole(line: tuple[Any, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A study that was never stopped, and what it printed."""
    from click.testing import CliRunner

    from batchgender.cli import main

    # A name that means something in an address.
    out = tmp_path_factory.mktemp("tunes") / "what? #1 %20"
    return out, CliRunner().invoke(main, [str(a) for a in (*line, "--out", out)])


def test_a_study_ends_with_a_table_a_picture_and_each_trial_s_figures(whole: tuple[Path, Any]) -> None:
    out, result = whole
    assert result.exit_code == 0, result.output
    counts, header, *rows = result.stdout.splitlines()
    assert counts.startswith("3 of 3 trials: 3 complete") and len(rows) == 3
    assert header.split()[:4] == ["trial", "accuracy", "epochs", "state"]
    trials = pd.read_csv(out / "trials.csv")
    assert [float(row.split()[1]) for row in rows] == sorted((100 * trials.val_accuracy).round(1), reverse=True)
    assert list(trials.trial) == [1, 2, 3] and set(trials.epochs) == {2}
    for number in (1, 2, 3):
        assert f"trial {number}/3  epoch 2/2  loss" in result.stderr
    assert "optuna" not in result.output and "\r" not in result.stderr
    with Image.open(out / "tune.png") as image:
        assert image.size[0] > 1000
    assert sorted(p.name for p in out.iterdir()) == ["best.toml", "study.db", "trials.csv", "tune.png"]


def test_the_first_trial_is_the_recipe_itself_and_the_others_are_not(whole: tuple[Path, Any], recipe: Path) -> None:
    trials = pd.read_csv(whole[0] / "trials.csv")
    base = find_recipe(str(recipe)).as_dict()
    for key in ("lr", "batch_size", "optimizer", "weight_decay", "ema", "mixup", "cutmix", "mix", "rotate", "erase"):
        assert trials[key][0] == base[key], key
    assert trials.crop[0] == "1.0 1.0"
    assert trials.lr.nunique() == trials.crop.nunique() == 3


def test_training_with_the_best_recipe_gives_the_accuracy_it_was_chosen_for(
    cli: Cli, whole: tuple[Path, Any], faces: Path, tmp_path: Path
) -> None:
    best = whole[0] / "best.toml"
    trials = pd.read_csv(whole[0] / "trials.csv")
    accuracy = trials.val_accuracy.max()
    assert trials.val_accuracy.nunique() > 1
    winner = trials[trials.val_accuracy == accuracy].iloc[0]
    recipe = find_recipe(str(best))
    assert (recipe.name, recipe.epochs, recipe.lr) == ("small-tuned", 2, winner.lr)
    first, second = best.read_text().splitlines()[:2]
    assert first.startswith(f"# {100 * accuracy:.1f} % of the validation split of {faces.name}")
    assert second.startswith(f"# trial {winner.trial} of 3 that varied the recipe small")
    result = cli("train", "--data", faces, "--recipe", best, "--out", tmp_path / "run", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert pd.read_csv(tmp_path / "run" / "history.csv").val_accuracy.max() == pytest.approx(accuracy)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_study_goes_on_to_the_trials_of_one_that_never_was(
    command: Callable[..., Any],
    cli: Cli,
    line: tuple[Any, ...],
    whole: tuple[Path, Any],
    tmp_path: Path,
    stop: signal.Signals,
) -> None:
    out = tmp_path / "study"
    process = command(*line, "--out", out, env=ONE_THREAD)
    for text in process.stderr:
        if text.startswith("trial 2/3  epoch 1/2"):
            process.send_signal(stop)
            break
    output, errors = process.communicate()
    if stop == signal.SIGINT:
        assert process.returncode == 130 and errors.endswith("\ninterrupted\n")
        assert f"{out}: 1 of 3 trials are done and kept; go on with --resume\n" in errors
        assert output.startswith("1 of 3 trials: 1 complete")
    assert len(pd.read_csv(out / "trials.csv")) == 1 and find_recipe(str(out / "best.toml"))
    result = cli("tune", "--resume", "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "1 of 3 trials are done" in result.stderr and "trial 1/3" not in result.stderr
    for name in ("trials.csv", "best.toml"):
        assert (out / name).read_bytes() == (whole[0] / name).read_bytes()


def test_another_seed_suggests_other_parameters(
    cli: Cli, line: tuple[Any, ...], whole: tuple[Path, Any], tmp_path: Path
) -> None:
    out = tmp_path / "study"
    assert cli(*line, "--trials", 2, "--epochs", 1, "--seed", 1, "--out", out).exit_code == 0
    mine, other = (pd.read_csv(folder / "trials.csv") for folder in (out, whole[0]))
    assert mine.lr[0] == other.lr[0] and mine.lr[1] != other.lr[1]


def test_a_finished_study_goes_on_with_more_trials(cli: Cli, whole: tuple[Path, Any], tmp_path: Path) -> None:
    out = tmp_path / "study"
    shutil.copytree(whole[0], out)
    result = cli("tune", "--resume", "--out", out, "--trials", 4, "--device", "cpu")
    assert result.exit_code == 0 and result.stdout.startswith("4 of 4 trials")
    assert pd.read_csv(out / "trials.csv")[:3].equals(pd.read_csv(whole[0] / "trials.csv"))


def test_a_loss_that_is_no_number_is_a_failed_trial_and_not_the_end(cli: Cli, faces: Path, tmp_path: Path) -> None:
    # SGD at such a rate ends in nothing, AdamW at a thirtieth of it stumbles on.
    line = ("tune", "--data", faces, "--recipe", wild_recipe(tmp_path, 3), "--trials", 4, "--epochs", 2)
    result = cli(*line, "--out", tmp_path / "study", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    trials = pd.read_csv(tmp_path / "study" / "trials.csv")
    failed = trials[trials.state == "failed"]
    assert 0 < len(failed) < 4 and failed.error.str.startswith("the loss is no number any more at epoch").all()
    assert f"trial {failed.trial.iloc[0]}/4  failed: the loss is no number any more" in result.stderr
    assert f"{len(failed)} failed" in result.stdout.splitlines()[0]


def test_a_study_of_which_no_trial_ends_says_why(cli: Cli, faces: Path, tmp_path: Path) -> None:
    line = ("tune", "--data", faces, "--recipe", wild_recipe(tmp_path, 100), "--trials", 1, "--epochs", 2)
    message = one_line_error(cli(*line, "--out", tmp_path / "study", "--device", "cpu"))
    assert "none of 1 trials was completed; the last: the loss is no number any more" in message
    assert not (tmp_path / "study" / "best.toml").exists()


def test_trials_worse_than_most_are_pruned(cli: Cli, line: tuple[Any, ...], tmp_path: Path) -> None:
    result = cli(*line, "--trials", 8, "--out", tmp_path / "study")
    assert result.exit_code == 0, result.stderr
    trials = pd.read_csv(tmp_path / "study" / "trials.csv")
    pruned = trials[trials.state == "pruned"]
    assert len(pruned) and (pruned.epochs == 1).all() and (pruned.trial > 5).all()
    assert (trials[trials.state == "complete"].epochs == 2).all()
    assert f"trial {pruned.trial.iloc[0]}/8  pruned after epoch 1" in result.stderr


def test_a_study_that_is_there_is_not_begun_again(cli: Cli, line: tuple[Any, ...], whole: tuple[Path, Any]) -> None:
    before = (whole[0] / "study.db").read_bytes()
    message = one_line_error(cli(*line, "--out", whole[0]))
    assert "a study is here already; go on with --resume or choose another --out" in message
    assert (whole[0] / "study.db").read_bytes() == before


def test_a_folder_with_other_files_is_left_alone(cli: Cli, line: tuple[Any, ...], faces: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "is not an empty folder; choose another --out" in one_line_error(cli(*line, "--out", tmp_path))
    assert "no study to resume here" in one_line_error(cli("tune", "--resume", "--out", tmp_path))


@pytest.mark.parametrize(
    "options, named",
    [
        (("--epochs", 5), "--epochs"),
        (("--arch", "resnet18", "--seed", 4), "--arch, --seed"),
        (("--recipe", "seed"), "--recipe"),
    ],
)
def test_a_study_is_resumed_with_what_it_was_begun_with_alone(
    cli: Cli, whole: tuple[Path, Any], options: tuple[Any, ...], named: str
) -> None:
    message = one_line_error(cli("tune", "--resume", "--out", whole[0], *options))
    assert f"was begun with another {named}; leave it out or start a new study" in message


def test_a_study_is_resumed_on_the_photos_it_was_begun_with_alone(
    cli: Cli, whole: tuple[Path, Any], faces: Path, tmp_path: Path
) -> None:
    shutil.copytree(faces, tmp_path / "less")
    (tmp_path / "less" / "val" / "male" / "0000.jpg").unlink()
    message = one_line_error(cli("tune", "--resume", "--out", whole[0], "--data", tmp_path / "less"))
    assert "the photos are not those that" in message and message.endswith("was begun with")


@pytest.mark.parametrize("damage", [b"", b"not a database, but long enough to be taken for one" * 400])
def test_a_study_file_that_is_none_is_refused(cli: Cli, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "study.db").write_bytes(damage)
    message = one_line_error(cli("tune", "--resume", "--out", tmp_path))
    assert "study.db: " in message and "no study of batchgender" in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_study_file_cut_short_is_refused(cli: Cli, whole: tuple[Path, Any], tmp_path: Path, share: float) -> None:
    data = (whole[0] / "study.db").read_bytes()
    (tmp_path / "study.db").write_bytes(data[: int(len(data) * share)])
    assert "damaged, or no study of batchgender" in one_line_error(cli("tune", "--resume", "--out", tmp_path))


def test_a_study_that_another_process_works_on_is_left_to_it(cli: Cli, whole: tuple[Path, Any], tmp_path: Path) -> None:
    out = tmp_path / "study"
    shutil.copytree(whole[0], out)
    other = sqlite3.connect(out / "study.db")
    other.execute("BEGIN EXCLUSIVE")
    assert "another process works on this study" in one_line_error(cli("tune", "--resume", "--out", out))
    other.close()


@pytest.mark.parametrize("options, file", [(("--trials", 4), "study.db"), ((), "tune.png")])
def test_a_full_disk_is_said_in_a_line_and_loses_nothing(
    command: Callable[..., Any],
    cli: Cli,
    whole: tuple[Path, Any],
    tmp_path: Path,
    options: tuple[Any, ...],
    file: str,
) -> None:
    out = tmp_path / "study"
    shutil.copytree(whole[0], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    line = ("tune", "--resume", "--out", out, *options, "--device", "cpu")
    process = command(*line, preexec_fn=limit, env=ONE_THREAD)
    errors = process.communicate()[1].splitlines()
    assert process.returncode == 1 and not any("Traceback" in line for line in errors)
    assert errors[-1].startswith(f"Error: {out / file}: can't ") and errors[-1].endswith("go on with --resume")
    assert cli("tune", "--resume", "--out", out, "--device", "cpu").exit_code == 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".db"} == {
        name: data for name, data in before.items() if name != "study.db"
    }


def test_no_trials_are_wrong_usage(cli: Cli) -> None:
    result = cli("tune", "--trials", 0)
    assert result.exit_code == 2 and "--trials" in result.stderr


def test_without_optuna_the_extra_is_named() -> None:
    code = "import sys; sys.modules['optuna'] = None; from batchgender.cli import main; main(['tune'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.startswith("Error: batchgender tune needs the extra")
    assert "batchgender[tune]" in result.stderr and len(result.stderr.splitlines()) == 1
