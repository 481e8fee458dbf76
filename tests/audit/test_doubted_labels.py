"""Labels that the model doubts: the planted ones, first."""

import numpy as np

from batchgender.audit.doubted_labels import doubted_labels
from batchgender.results.answers import Answers


def answers_with(labels: np.ndarray, truth: np.ndarray, classes: list[str]) -> Answers:
    """Answers of a model that is sure of the truth, the most where the label is another."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0, 0.3, (len(truth), len(classes)))
    shares[labels != truth] *= 0.1
    shares[np.arange(len(truth)), truth] = 1
    shares /= shares.sum(1, keepdims=True)
    paths = [f"{index}.jpg" for index in range(len(truth))]
    return Answers("r.csv", classes, paths, shares, shares.argmax(1), labels, [])


def test_planted_mistakes_are_found_and_ranked() -> None:
    truth = np.arange(300) % 2
    labels = truth.copy()
    labels[[7, 40, 111]] = 1 - labels[[7, 40, 111]]
    found = doubted_labels(answers_with(labels, truth, ["Female", "Male"]))
    assert sorted(found) == [7, 40, 111]
    answers = answers_with(labels, truth, ["Female", "Male"])
    of_label = answers.probabilities[found, labels[found]]
    assert (np.diff(of_label) >= 0).all()


def test_right_labels_are_not_doubted() -> None:
    truth = np.arange(300) % 2
    assert not len(doubted_labels(answers_with(truth, truth, ["Female", "Male"])))


def test_a_class_of_the_model_that_no_photo_has_does_not_matter() -> None:
    truth = np.arange(300) % 2 * 2
    labels = truth.copy()
    labels[5] = 2 - labels[5]
    assert doubted_labels(answers_with(labels, truth, ["Child", "Female", "Male"])).tolist() == [5]
