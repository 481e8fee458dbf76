import numpy as np
import pytest

from batchgender.model.thresholds import UNSURE, decide, in_force

CLASSES = ["Female", "Male"]


def drawn(count: int) -> list[tuple[float, float]]:
    """Probabilities as rows have them: float32 shares of one, each rounded to six decimals."""
    male = np.random.default_rng(0).random(count).astype(np.float32)
    return [(round(float(1 - p), 6), round(float(p), 6)) for p in male]


def test_without_thresholds_the_largest_probability_decides() -> None:
    for shares in drawn(500):
        assert decide(shares, CLASSES, {}) == CLASSES[int(np.argmax(shares))]
    assert decide((0.5, 0.5), CLASSES, {}) == "Female"


def test_a_class_below_its_own_threshold_is_unsure() -> None:
    thresholds = {"Female": 0.9, "Male": 0.6}
    assert decide((0.89, 0.11), CLASSES, thresholds) == UNSURE
    assert decide((0.9, 0.1), CLASSES, thresholds) == "Female"
    assert decide((0.35, 0.65), CLASSES, thresholds) == "Male"


def test_one_threshold_for_all_is_a_threshold_on_the_confidence() -> None:
    for threshold in (0.3, 0.5, 0.8, 1.0):
        for shares in drawn(500):
            best = CLASSES[int(np.argmax(shares))] if max(shares) >= threshold else UNSURE
            assert decide(shares, CLASSES, dict.fromkeys(CLASSES, threshold)) == best


@pytest.mark.parametrize("t", [0.2, 0.345678, 0.5, 0.9])
def test_thresholds_that_add_up_to_one_move_the_line_and_leave_none_unsure(t: float) -> None:
    thresholds = {"Female": round(1 - t, 6), "Male": t}
    for female, male in [*drawn(2000), (round(1 - t, 6), t)]:
        assert decide((female, male), CLASSES, thresholds) == ("Male" if male > t else "Female")


def test_of_several_candidates_the_one_farthest_above_its_threshold_is_taken() -> None:
    thresholds = {"a": 0.4, "b": 0.1, "c": 0.9}
    assert decide((0.5, 0.3, 0.2), ["a", "b", "c"], thresholds) == "b"
    assert decide((0.5, 0.19, 0.31), ["a", "b", "c"], thresholds) == "a"


def test_a_threshold_given_replaces_the_stored_ones_and_zero_means_none() -> None:
    stored = {"Female": 0.7, "Male": 0.6}
    assert in_force(stored, None, CLASSES) == stored
    assert in_force(stored, 0.8, CLASSES) == {"Female": 0.8, "Male": 0.8}
    assert in_force(stored, 0.0, CLASSES) == {}
