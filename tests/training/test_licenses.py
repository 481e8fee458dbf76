"""The terms of weights and of teachers travel with the model that is trained from them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_networks

from batchgender.model.open_model import PACKAGED_MODEL, open_model
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import LICENSE
from batchgender.training.weights.licenses import combined_license

Cli = Callable[..., Any]
TERMS = open_model(PACKAGED_MODEL).info.license


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """Have the tiny networks known by name."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_networks.register(patch)
        yield


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file of a network that trains and is exported in moments."""
    path = tmp_path_factory.mktemp("recipe") / "student.toml"
    path.write_text('architecture = "tiny"\ninput_size = 32\nbatch_size = 16\nepochs = 1\n')
    return path


@pytest.fixture(scope="module")
def taught(cli: Cli, student: Path, portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run whose teacher was the packaged model."""
    out = tmp_path_factory.mktemp("taught") / "run"
    result = cli("train", "--data", portraits, "--recipe", student, "--teacher", "packaged", "--out", out)
    assert result.exit_code == 0, result.stderr
    return out / "best.pt"


def stated(cli: Cli, file: Path) -> str:
    """The license that `inspect` prints of a file."""
    return str(json.loads(cli("inspect", file, "--json").stdout)["batchgender"]["license"])


def exported(cli: Cli, checkpoint: Path, file: Path, *options: str) -> Path:
    result = cli("export", checkpoint, "--format", "onnx", "--out", file, *options)
    assert result.exit_code == 0, result.stderr
    return file


def test_a_model_that_began_at_the_packaged_one_states_its_terms(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "on.toml"
    recipe.write_text('base = "narrow"\ninput_size = 64\nepochs = 1\nbatch_size = 16\n')
    line = ("train", "--data", portraits, "--recipe", recipe, "--weights", "packaged", "--out", tmp_path / "run")
    assert cli(*line).exit_code == 0
    for file in ("last.pt", "best.pt"):
        assert checkpoints.load(tmp_path / "run" / file).info().license.startswith(TERMS)
    assert cli("train", "--resume", "--epochs", 2, "--out", tmp_path / "run").exit_code == 0
    assert checkpoints.load(tmp_path / "run" / "last.pt").license.startswith(TERMS)


def test_a_student_of_the_packaged_model_states_its_terms_until_others_are_given(
    cli: Cli, taught: Path, tmp_path: Path
) -> None:
    assert TERMS in stated(cli, exported(cli, taught, tmp_path / "taught.onnx"))
    assert stated(cli, exported(cli, taught, tmp_path / "own.onnx", "--license", "ours")) == "ours"


def test_terms_travel_on_through_checkpoints_and_exports(
    cli: Cli, taught: Path, student: Path, portraits: Path, tmp_path: Path
) -> None:
    line = ("train", "--data", portraits, "--recipe", student)
    other = exported(cli, taught, tmp_path / "other.onnx", "--license", "for our team alone")
    options = {
        "weights": ("--weights", taught),
        "teacher": ("--teacher", taught),
        "both": ("--weights", taught, "--teacher", other, "--teacher", taught),
    }
    found = {}
    for name, given in options.items():
        assert cli(*line, *given, "--out", tmp_path / name).exit_code == 0
        found[name] = checkpoints.load(tmp_path / name / "best.pt").license
    assert found["weights"] == found["teacher"] == checkpoints.load(taught).license
    assert found["both"].count(TERMS) == 1 and "for our team alone" in found["both"]
    assert cli("calibrate", taught).exit_code == 0 and TERMS in checkpoints.load(taught).license


def test_a_model_from_random_weights_states_the_terms_of_its_photos(trained: Path) -> None:
    assert checkpoints.load(trained / "best.pt").license == LICENSE


def test_terms_stand_once_however_often_they_are_met() -> None:
    assert combined_license(["", LICENSE]) == combined_license([]) == LICENSE
    once = combined_license([TERMS])
    assert combined_license([once, TERMS, LICENSE]) == once
    both = combined_license([TERMS, "CC BY 4.0"])
    assert combined_license([both, once, "CC BY 4.0"]) == both
