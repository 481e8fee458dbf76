"""Temperature and thresholds: chosen on arrays, and on photos with a small real network, checkpoint and export."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from conftest import BLUE, RED, one_line_error, write_picture
from tiny_networks import SIZE, register

from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.model.thresholds import UNSURE, decide
from batchgender.training import checkpoint as checkpoints
from batchgender.training.calibration import (
    calibration_error,
    choose_thresholds_for_accuracy,
    equal_recall_threshold,
    fit_calibration,
    fit_temperature,
    softmax,
)
from batchgender.training.checkpoint import Checkpoint, RunState
from batchgender.training.data.batches import Batches
from batchgender.training.data.open_source import open_source
from batchgender.training.networks.deployed import Normalize
from batchgender.training.networks.registry import build
from batchgender.training.recipe import Recipe

Cli = Callable[..., Result]
CLASSES = ["Female", "Male"]


def noisy(count: int = 4000, classes: int = 2, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose probabilities are the truth at temperature `scale`, and labels drawn from them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, classes)).astype(np.float32)
    labels = np.array([rng.choice(classes, p=p) for p in softmax(logits)])
    return logits * np.float32(scale), labels


@pytest.mark.parametrize(("classes", "scale"), [(2, 3.0), (2, 0.4), (3, 3.0)])
def test_the_temperature_is_that_of_the_least_negative_log_likelihood(classes: int, scale: float) -> None:
    logits, labels = noisy(classes=classes, scale=scale)

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(logits, temperature)[np.arange(len(labels)), labels]).mean())

    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(scale, rel=0.1)
    assert all(loss(fitted) <= loss(other) for other in np.geomspace(0.05, 20, 200))
    assert fit_temperature(logits, labels) == fitted


def test_a_network_that_is_always_right_keeps_its_temperature_and_one_that_knows_nothing_ends_unsure() -> None:
    labels = np.array([0, 1] * 50)
    sure = np.where(np.arange(2) == labels[:, None], 5.0, 0.0)
    assert fit_temperature(sure, labels) == 1.0
    assert fit_temperature(-sure, labels) == pytest.approx(20)
    assert softmax(np.array([[1e4, -1e4]])).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.empty((0, 2)), [], "no photos to calibrate on"),
        (np.ones((3, 2)), [1, 1, 1], "of one class"),
        (np.array([[1, np.nan], [0, 1]]), [0, 1], "no numbers"),
    ],
)
def test_what_gives_no_temperature_is_said(logits: np.ndarray, labels: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit_temperature(logits, np.array(labels, np.int64))


def answers(probabilities: np.ndarray, thresholds: dict[str, float], classes: list[str]) -> np.ndarray:
    return np.array([decide([round(float(p), 6) for p in row], classes, thresholds) for row in probabilities])


@pytest.mark.parametrize("classes", [CLASSES, ["a", "b", "c"]])
@pytest.mark.parametrize("target", [0.8, 0.95])
def test_thresholds_for_an_accuracy_are_the_smallest_that_reach_it(classes: list[str], target: float) -> None:
    logits, labels = noisy(classes=len(classes))
    probabilities = softmax(logits)
    thresholds = choose_thresholds_for_accuracy(probabilities, labels, classes, target)
    given = answers(probabilities, thresholds, classes)
    for index, name in enumerate(classes):
        assert (labels[given == name] == index).mean() >= target
        ours = np.round(probabilities[:, index], 6)
        for lower in ours[(ours >= 0.5) & (ours < thresholds[name])]:
            assert (labels[ours >= lower] == index).mean() < target


def test_probabilities_that_are_equal_share_the_threshold() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.7, 0.3]] * 2 + [[0.2, 0.8]] * 3)
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    assert choose_thresholds_for_accuracy(probabilities, labels, CLASSES, 0.99) == {"Female": 0.9, "Male": 0.5}


def test_an_accuracy_that_no_threshold_reaches_is_said() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.2, 0.8]] * 4)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    message = "no threshold makes 99.0 % of the answers Female right on these 8 photos .at best 75.0 %."
    with pytest.raises(UserError, match=message):
        choose_thresholds_for_accuracy(probabilities, labels, CLASSES, 0.99)
    with pytest.raises(UserError, match="answers Male right on these 4 photos .at best 0.0 %."):
        choose_thresholds_for_accuracy(probabilities[:4], labels[:4] * 0, CLASSES, 0.9)


def test_equal_recall_is_the_nearest_that_any_line_gives() -> None:
    logits, labels = noisy(600)
    logits[:, 1] += 1.5  # A network that says Male too often.
    probabilities = softmax(logits)

    def gap(t: float) -> float:
        given = answers(probabilities, {"Female": round(1 - t, 6), "Male": t}, CLASSES)
        assert UNSURE not in given
        return abs((given[labels == 0] == "Female").mean() - (given[labels == 1] == "Male").mean())

    t = equal_recall_threshold(probabilities, labels)
    assert t > 0.5 and gap(t) < gap(0.5)
    assert gap(t) <= min(gap(round(float(other), 6)) for other in np.linspace(0.01, 0.99, 99)) + 1e-12


def test_of_equal_gaps_the_line_nearest_to_the_middle_is_taken() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]])
    assert equal_recall_threshold(probabilities, np.array([0, 0, 1, 1])) == 0.5
    with pytest.raises(UserError, match="two classes, this model has 3"):
        equal_recall_threshold(np.ones((2, 3)), np.array([0, 1]))
    with pytest.raises(UserError, match="of one class"):
        equal_recall_threshold(probabilities, np.zeros(4, np.int64))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos {train,val,test}/{female,male}: the redder, the likelier labelled female."""
    folder, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for split, count in (("train", 60), ("val", 100), ("test", 60)):
        for index in range(count):
            red = rng.random()
            label = "female" if rng.random() < 1 / (1 + np.exp(8 * (0.5 - red))) else "male"
            write_picture(
                folder / split / label / f"{index:03}.png", (int(255 * red), 60, int(255 - 255 * red)), (8, 8)
            )
    return folder


@pytest.fixture(scope="module", autouse=True)
def tiny_is_known() -> Iterator[None]:
    """The tiny network can be loaded by its name."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        yield


@pytest.fixture(scope="module")
def overconfident(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small network, trained for some steps and then ten times too sure."""
    torch.manual_seed(0)
    recipe = Recipe(architecture="tiny", input_size=SIZE)
    photos = open_source(str(colours), silent).train
    ((images, labels, _),) = Batches(photos, recipe.input_size, len(photos), silent)()
    pixels = Normalize(recipe.mean, recipe.std)(torch.from_numpy(images))
    network = build(recipe.architecture, 2).train()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(pixels), torch.from_numpy(labels)).backward()
        optimizer.step()
    with torch.no_grad():
        for parameter in list(network.children())[-1].parameters():
            parameter.mul_(10)
    path = tmp_path_factory.mktemp("run") / "best.pt"
    checkpoints.save(Checkpoint(network.state_dict(), CLASSES, recipe, str(colours), RunState(epoch=1)), path)
    return path


@pytest.fixture
def best(overconfident: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be changed."""
    return Path(shutil.copy(overconfident, tmp_path / "best.pt"))


def test_calibrate_lowers_the_calibration_error_on_photos_it_has_not_seen(
    cli: Cli, best: Path, colours: Path, tmp_path: Path
) -> None:
    weights = checkpoints.load(best).weights
    result = cli("calibrate", best, "--data", colours)
    assert result.exit_code == 0, result.stderr
    after = checkpoints.load(best)
    fit = after.calibration.fit
    assert fit and after.calibration.temperature == fit.temperature > 1.5 and fit.photos == 100
    assert fit.ece_after is not None and fit.ece_before is not None and fit.ece_after < fit.ece_before
    assert after.calibration.thresholds == {}
    assert all(torch.equal(weights[name], after.weights[name]) for name in weights)
    for shown in (f"{fit.temperature:.4f}", f"{fit.ece_after:.4f}", f"{fit.ece_before:.4f} before"):
        assert shown in result.stdout
    evaluated = cli("evaluate", best, "--data", colours, "--report", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["ece"] < report["ece_uncalibrated"]
    assert f"{report['ece_uncalibrated']:.4f} before calibration" in evaluated.stdout


def test_the_error_that_calibrate_stores_is_the_one_that_the_report_counts(
    cli: Cli, best: Path, colours: Path, tmp_path: Path
) -> None:
    cli("calibrate", best)  # The data of the training is the default.
    cli("evaluate", best, "--data", colours, "--split", "val", "--report", tmp_path / "r.json")
    report, fit = json.loads((tmp_path / "r.json").read_text()), checkpoints.load(best).calibration.fit
    assert fit
    assert report["ece"] == pytest.approx(fit.ece_after, abs=1e-4)
    assert report["ece_uncalibrated"] == pytest.approx(fit.ece_before, abs=1e-4)


def test_checkpoint_exports_and_classify_report_the_same_with_the_stored_thresholds(
    cli: Cli, best: Path, colours: Path, tmp_path: Path
) -> None:
    assert cli("calibrate", best, "--target-accuracy", 0.9).exit_code == 0
    stored = checkpoints.load(best).calibration
    assert stored.fit and set(stored.thresholds) == set(CLASSES)
    formats = [a for name in ("onnx", "torchscript", "pt2") for a in ("--format", name)]
    assert cli("export", best, *formats, "--out", tmp_path).exit_code == 0
    files = [best, *(tmp_path / f"batchgender.{ending}" for ending in ("onnx", "pt", "pt2"))]
    results = [cli("evaluate", file, "--data", colours, "--trust") for file in files]
    results.append(cli("classify", colours / "test", "--model", files[1], "--out", tmp_path / "r.csv"))
    assert all(result.exit_code == 0 for result in results)
    assert len({result.stdout for result in results}) == 1
    assert all("stored in the model (--threshold 0: none)" in result.stderr for result in results)
    for file in files:
        about = json.loads(cli("inspect", file, "--json").stdout)["batchgender"]
        assert about["thresholds"] == stored.thresholds and about["calibration"] == asdict(stored.fit)
        assert about["temperature"] == stored.temperature
    report = json.loads((tmp_path / "r.report.json").read_text())
    assert report["unsure"] > 0 and report["thresholds"] == stored.thresholds


def test_the_table_of_calibrate_is_what_evaluate_reports_of_the_same_split(
    cli: Cli, best: Path, colours: Path, tmp_path: Path
) -> None:
    printed = cli("calibrate", best, "--target-accuracy", 0.9).stdout
    cli("evaluate", best, "--data", colours, "--split", "val", "--report", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    for name, figures in report["classes"].items():
        (line,) = [line.split() for line in printed.splitlines() if line.startswith(name)]
        covered = 1 - report["confusion"][name][UNSURE] / figures["support"]
        expected = [f"{100 * share:.1f}" for share in (covered, figures["recall"], figures["precision"])]
        assert line[2::2] == expected
        assert figures["precision"] >= 0.9


def test_a_threshold_given_replaces_the_stored_ones(cli: Cli, best: Path, colours: Path) -> None:
    plain = cli("evaluate", best, "--data", colours, "--threshold", 0.8).stdout
    cli("calibrate", best, "--target-accuracy", 0.9)
    given = cli("evaluate", best, "--data", colours, "--threshold", 0)
    assert "stored in the model" not in given.stderr and "Unsure" not in given.stdout
    assert "Unsure" in plain and "Unsure" in cli("evaluate", best, "--data", colours).stdout


def test_equal_recall_narrows_the_gap_in_every_format_and_leaves_no_photo_unsure(
    cli: Cli, best: Path, colours: Path, tmp_path: Path
) -> None:
    def gap(model: Path) -> float:
        line = ("evaluate", model, "--data", colours, "--split", "val", "--report", tmp_path / "r.json")
        assert "Unsure" not in cli(*line).stdout
        return json.loads((tmp_path / "r.json").read_text())["recall_gap"]

    cli("calibrate", best)
    before = gap(best)
    said = cli("calibrate", best, "--equal-recall").stdout
    stored = checkpoints.load(best).calibration
    assert f"{stored.bias[1]:+.4f}  added for Male" in said and not stored.thresholds
    export = ("export", best, "--format", "onnx", "--format", "torchscript", "--out", tmp_path, "--data", colours)
    assert cli(*export).exit_code == 0
    gaps = {gap(model) for model in (best, tmp_path / "batchgender.onnx", tmp_path / "batchgender.pt")}
    assert len(gaps) == 1 and gaps.pop() <= before


def test_calibrating_again_starts_from_the_network(cli: Cli, best: Path) -> None:
    cli("calibrate", best)
    first = checkpoints.load(best).calibration
    cli("calibrate", best, "--target-accuracy", 0.9)
    second = checkpoints.load(best).calibration
    cli("calibrate", best, "--equal-recall")
    cli("calibrate", best)
    third = checkpoints.load(best).calibration
    assert first.fit == second.fit == third.fit
    assert second.thresholds and not third.thresholds and not third.bias


def test_a_trainer_gets_the_calibrated_checkpoint(best: Path) -> None:
    logits, labels = noisy(scale=3.0)
    calibration = fit_calibration(logits, labels, silent)
    after = replace(checkpoints.load(best), calibration=calibration)
    assert calibration.fit and calibration.temperature == fit_temperature(logits, labels) == calibration.fit.temperature
    assert after.info().temperature == calibration.temperature and after.info().thresholds == {}


def test_a_checkpoint_of_before_calibration_loads(best: Path, tmp_path: Path) -> None:
    data = torch.load(best, weights_only=True)
    for key in ("thresholds", "calibration"):
        del data[key]
    torch.save(data, tmp_path / "old.pt")
    assert checkpoints.load(tmp_path / "old.pt").info().thresholds == {}


def test_labels_that_are_the_other_way_round_are_noticed(cli: Cli, best: Path, tmp_path: Path) -> None:
    for index in range(60):
        picture = (BLUE, RED)[index % 2]
        write_picture(tmp_path / "val" / ("female", "male")[index % 2] / f"{index}.png", picture)
    line = ("calibrate", best, "--data", tmp_path)
    assert "the model is right on 0.0 % of 60 labelled photos, far below one half" in cli(*line).stderr


def test_what_can_not_be_calibrated_ends_in_one_line_and_leaves_the_file(
    cli: Cli, best: Path, red_or_blue: Path, tmp_path: Path
) -> None:
    before = best.read_bytes()
    for index in range(4):
        write_picture(
            tmp_path / "swapped" / "val" / ("female", "male")[index % 2] / f"{index}.png", (BLUE, RED)[index % 2]
        )
    swapped = ("--data", tmp_path / "swapped", "--target-accuracy", 0.9)
    assert "no threshold makes 90.0 % of the answers Female right" in one_line_error(cli("calibrate", best, *swapped))
    write_picture(tmp_path / "alone" / "val" / "female" / "a.jpg")
    assert "one class" in one_line_error(cli("calibrate", best, "--data", tmp_path / "alone"))
    for label in ("cats", "dogs"):
        write_picture(tmp_path / "others" / "val" / label / "a.jpg")
    assert "classes that the model does not know" in one_line_error(
        cli("calibrate", best, "--data", tmp_path / "others")
    )
    assert best.read_bytes() == before
    assert "no such checkpoint" in one_line_error(cli("calibrate", tmp_path / "none.pt"))
    cli("export", best, "--format", "torchscript", "--out", tmp_path)
    for exported in (red_or_blue, tmp_path / "batchgender.pt"):
        message = one_line_error(cli("calibrate", exported))
        assert "an exported model; calibrate the checkpoint it was made from, and export again" in message
    assert cli("calibrate", best, "--target-accuracy", 0.9, "--equal-recall").exit_code == 2


@pytest.mark.parametrize(("classes", "scale"), [(2, 3.0), (2, 0.4), (3, 1.7)])
def test_the_temperature_is_the_one_that_scipy_finds(classes: int, scale: float) -> None:
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits, labels = noisy(classes=classes, scale=scale)

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / np.float64(temperature), axis=1)[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits, labels) == pytest.approx(found.x, rel=1e-4)


def made_worse_by_a_fit() -> tuple[np.ndarray, np.ndarray]:
    """Logits of 38 photos and labels: the likeliest temperature has a larger calibration error than none."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 1.5, (38, 2)).astype(np.float32)
        labels = np.array([rng.choice(2, p=p) for p in softmax(logits)])
        fitted = softmax(logits, fit_temperature(logits, labels))
        if calibration_error(fitted, labels) > calibration_error(softmax(logits), labels) + 0.01:
            return logits, labels
    raise AssertionError("no such photos")


def test_a_fit_that_makes_the_calibration_worse_is_not_kept_and_that_is_said() -> None:
    logits, labels = made_worse_by_a_fit()
    log: list[str] = []
    calibration = fit_calibration(logits, labels, log.append)
    assert calibration.temperature == 1.0 and calibration.fit
    assert calibration.fit.ece_after == calibration.fit.ece_before == calibration_error(softmax(logits), labels)
    few, kept = log
    assert few.startswith("only 38 photos to calibrate on") and kept.startswith("calibration not kept")
    assert kept.endswith("the temperature is left at 1.000")


def test_of_an_earlier_temperature_and_none_the_better_is_left() -> None:
    logits, labels = made_worse_by_a_fit()
    errors = {t: calibration_error(softmax(logits, t), labels) for t in (0.9, 1.1, 5.0, 1.0)}
    for before in (0.9, 1.1, 5.0):
        calibration = fit_calibration(logits, labels, silent, before=before)
        assert calibration.temperature == min((before, 1.0), key=errors.__getitem__)
    # One that was fitted on these very photos is fitted again.
    fitted = fit_temperature(*noisy(scale=3.0))
    assert fit_calibration(*noisy(scale=3.0), silent, before=fitted).temperature == fitted


def test_enough_photos_that_were_not_trained_on_are_calibrated_on_without_a_warning() -> None:
    log: list[str] = []
    fit_calibration(*noisy(scale=3.0), log.append)
    assert not log


def test_what_equal_recall_costs_is_said() -> None:
    logits, labels = noisy(600)
    logits[:, 1] += 1.5
    log: list[str] = []
    calibration = fit_calibration(logits, labels, log.append, equal_recall=True)
    assert calibration.fit and calibration.bias[1] < 0
    assert calibration.fit.ece_after == pytest.approx(
        calibration_error(softmax(logits, calibration.temperature, calibration.bias), labels)
    )
    even, odd = noisy(600)
    odd = np.where(np.arange(600) < 300, 0, odd)  # Labels that the network can't know.
    fit_calibration(even, odd, log.append, equal_recall=True)
    assert log[-1].startswith("equal recall raises the calibration error from")


def test_calibrating_on_photos_of_the_training_or_on_few_is_warned_of(cli: Cli, best: Path) -> None:
    for split in ("train", "all"):
        result = cli("calibrate", best, "--split", split)
        assert (
            f"--split {split}: probabilities fitted on photos that were trained on are too confident" in result.stderr
        )
    result = cli("calibrate", best)
    assert "trained on" not in result.stderr
    assert "only 100 photos to calibrate on: what is fitted on fewer than 200 is mostly chance" in result.stderr
