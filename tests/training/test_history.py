"""history.png: each curve is where it can be seen."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from batchgender.training.history import draw_history


def accuracy_rows(folder: Path, accuracies: list[float]) -> tuple[float, float]:
    """Between which heights of its frame the accuracy curve lies: 0 the lower edge, 1 the upper one."""
    draw_history(
        [{"epoch": n, "loss": 0.7, "val_loss": 0.7, "val_accuracy": a} for n, a in enumerate(accuracies, 1)],
        folder,
        1,
    )
    picture = np.asarray(cv2.imread(str(folder / "history.png")))
    # The accuracy is in the middle; below the legend's line there is nothing else in its colour.
    half = picture[:, picture.shape[1] // 3 : 2 * picture.shape[1] // 3].astype(int)
    dark = (half.max(2) < 60).sum(1) > half.shape[1] / 2
    top, bottom = np.flatnonzero(dark)[[0, -1]]
    orange = (abs(half - (14, 127, 255)).max(2) < 40)[:, : half.shape[1] // 2]
    rows = np.flatnonzero(orange.any(1))
    return (bottom - rows.max()) / (bottom - top), (bottom - rows.min()) / (bottom - top)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("epochs", [2, 30])
def test_a_flat_curve_lies_in_the_middle_and_on_no_edge(tmp_path: Path, value: float, epochs: int) -> None:
    low, high = accuracy_rows(tmp_path, [value] * epochs)
    assert 0.4 < low <= high < 0.6


def test_noise_of_a_flat_run_is_not_blown_up_to_the_whole_height(tmp_path: Path) -> None:
    low, high = accuracy_rows(tmp_path, [0.900, 0.901] * 15)
    assert 0.35 < low < high < 0.65


def test_a_rising_curve_fills_the_height(tmp_path: Path) -> None:
    low, _ = accuracy_rows(tmp_path, [0.5 + n / 100 for n in range(30)])
    assert 0.02 < low < 0.2
