"""`--sources`: figures of each source of photos, and a calibration in which each counts the same."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import one_line_error

from batchgender.io import silent
from batchgender.training import checkpoint as checkpoints
from batchgender.training.calibration import calibration_error, equal_recall_threshold, fit_temperature, softmax
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.photo_origins import origin_figures, read_origins
from batchgender.training.predictions import Predictions

Cli = Callable[..., Any]
SMALL = 'architecture = "alexnet_narrow"\ninput_size = 64\nepochs = 2\nbatch_size = 8\n'


def origins_of(sources: list[str], tmp_path: Path) -> Any:
    names = [f"{number}.jpg" for number in range(len(sources))]
    rows = [f"{name},{source}" for name, source in zip(names, sources, strict=True)]
    (tmp_path / "sources.csv").write_text("\n".join(["path,source", *rows]))
    photos = LabelledPhotos(["Female", "Male"], np.zeros(len(names), np.int64), names, lambda _: b"")
    return read_origins(str(tmp_path / "sources.csv"), photos, silent)


def test_each_source_weighs_the_same_however_many_photos_it_has(tmp_path: Path) -> None:
    origins = origins_of(["web"] * 6 + ["phone"] * 3 + [""], tmp_path)
    assert origins.names == ["none", "phone", "web"]
    weights = origins.weights(np.arange(10))
    assert weights.mean() == pytest.approx(1)
    assert [weights[:6].sum(), weights[6:9].sum(), weights[9]] == pytest.approx([10 / 3] * 3)
    # Of the photos that could be read, those sources that are left.
    assert origins.weights(np.array([0, 1, 6])) == pytest.approx([0.75, 0.75, 1.5])


def test_the_worst_recall_is_that_of_one_class_on_one_source(tmp_path: Path) -> None:
    origins = origins_of(["a"] * 4 + ["b"] * 4, tmp_path)
    labels = np.array([0, 0, 1, 1] * 2)
    answers = np.array([0, 0, 1, 1, 0, 0, 0, 1])
    found = Predictions(np.eye(2, dtype=np.float32)[answers], labels, np.arange(8))
    figures = origin_figures(found, origins, ["Female", "Male"])
    assert figures.accuracies == {"a": 1.0, "b": 0.75}
    assert (figures.worst, figures.worst_recall) == ("Male, b", 0.5)


def test_a_photo_that_counts_twice_is_as_two_photos() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (300, 2))
    labels = (rng.random(300) < softmax(logits, 1.7)[:, 1]).astype(np.int64)
    twice = np.arange(300) % 3 == 0
    weights = np.where(twice, 2.0, 1.0)
    repeated = np.repeat(np.arange(300), 1 + twice)
    assert fit_temperature(logits, labels, weights) == pytest.approx(
        fit_temperature(logits[repeated], labels[repeated])
    )
    assert fit_temperature(logits, labels, weights) != pytest.approx(fit_temperature(logits, labels), rel=1e-3)
    shown, again = softmax(logits), softmax(logits[repeated])
    assert calibration_error(shown, labels, weights) == pytest.approx(calibration_error(again, labels[repeated]))
    threshold = equal_recall_threshold(shown, labels, weights)
    assert threshold == equal_recall_threshold(again, labels[repeated])


def test_a_training_shows_each_source_and_calibrates_over_all_of_them(
    cli: Cli, portraits: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    paths = sorted(path.relative_to(portraits) for path in portraits.rglob("*.jpg"))
    rows = [f"{path},{'odd' if int(path.stem) % 2 else 'even'}" for path in paths]
    (tmp_path / "sources.csv").write_text("\n".join(["path,source", *rows]))
    line = ("train", "--data", portraits, "--recipe", tmp_path / "small.toml", "--out", tmp_path / "run")
    result = cli(*line, "--sources", tmp_path / "sources.csv")
    assert result.exit_code == 0, result.stderr
    assert "(worst recall " in result.stderr
    with open(tmp_path / "run" / "history.csv", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert {"val_accuracy_even", "val_accuracy_odd", "val_worst_recall"} < set(first)
    shares = [float(second[f"val_accuracy_{name}"]) for name in ("even", "odd")]
    assert min(shares) <= float(second["val_accuracy"]) <= max(shares)
    assert float(second["val_worst_recall"]) <= min(shares)
    best = tmp_path / "run" / "best.pt"
    assert checkpoints.load(best).info().recipe["sources"] == "sources.csv"
    assert cli("calibrate", best, "--sources", tmp_path / "sources.csv").exit_code == 0
    assert "no such file; check --sources" in one_line_error(cli(*line[:-1], tmp_path / "b", "--sources", "none.csv"))
    (tmp_path / "other.csv").write_text("\n".join(["path,camera", *rows]))
    message = one_line_error(cli("calibrate", best, "--sources", tmp_path / "other.csv"))
    assert "no column `source`" in message
