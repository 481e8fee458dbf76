"""Labels that the model doubts, by confident learning."""

import warnings

import numpy as np
from numpy.typing import NDArray

from batchgender.results.answers import Answers


def doubted_labels(answers: Answers) -> NDArray[np.int64]:
    """Indices int64 [m] of the answers whose labels are doubted, the most doubted first.

    Confident learning (Northcutt et al. 2021), as cleanlab has it: a label is doubted where another class's probability
    is at least that class's mean among the photos labelled so. They are ordered by the probability of the label. The
    answers are labelled, with two classes at least; those of a model that was trained on the photos doubt too few.
    """
    from cleanlab.filter import find_label_issues

    # Classes without a photo are left out: they have no mean.
    present, labels = np.unique(answers.labels, return_inverse=True)
    shares = answers.probabilities[:, present]
    shares = shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)
    with warnings.catch_warnings():
        # It warns where it finds few, which the figures say, too.
        warnings.simplefilter("ignore")
        found = find_label_issues(
            labels,
            shares,
            return_indices_ranked_by="self_confidence",
            filter_by="confident_learning",
            n_jobs=1,
        )
    return np.asarray(found, np.int64)
