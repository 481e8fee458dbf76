"""Probabilities that match the accuracy, and thresholds on them, both chosen on photos kept from training."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify, percent, text_table
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.metadata import CalibrationFit
from batchgender.model.thresholds import UNSURE
from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.report.statistics import CalibrationError, share
from batchgender.report.text import swapped_labels_notice
from batchgender.results.rows import make_row
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Calibration, Checkpoint
from batchgender.training.data.batches import Batches
from batchgender.training.data.open_source import open_source
from batchgender.training.networks.deployed import logits_of
from batchgender.training.photo_origins import read_origins
from batchgender.training.predictions import BATCH, predict_split

Floats = NDArray[np.floating[Any]]
# Fewer photos fit a temperature by chance.
FEW_PHOTOS = 200
# Beyond these the photos are too few or the network too poor to tell.
_LOWEST, _HIGHEST = 1 / 20, 20.0


def softmax(logits: Floats, temperature: float = 1.0, bias: Sequence[float] = ()) -> NDArray[np.float64]:
    """Logits [n, classes] over the temperature plus the bias [classes] to probabilities float64 [n, classes]."""
    scaled = logits.astype(np.float64) / temperature + np.array(bias or 0.0)
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def fit_temperature(logits: Floats, labels: NDArray[np.int64], weights: Floats | None = None) -> float:
    """The temperature, 0.05 to 20, under which labels [n] are likeliest (Guo et al. 2017), of logits [n, classes].

    Mean negative log likelihood is convex in 1/T, so its slope is bisected. Where each photo is right it falls
    without end as T does: no temperature is best, and it stays 1. Raises UserError where there is no
    photo, all are of one class, or a logit is no number. `weights` [n] say how much each photo counts (the same).
    """
    if not len(labels):
        raise UserError("no photos to calibrate on; choose another split or --data")
    if len(np.unique(labels)) < 2:
        raise UserError("all photos to calibrate on are of one class; choose another split or --data")
    if not np.isfinite(logits).all():
        raise UserError("the network gives values that are no numbers; train again, with a smaller learning rate")
    exact = logits.astype(np.float64)
    of_label = exact[np.arange(len(labels)), labels]
    if (of_label >= exact.max(1)).all():
        return 1.0
    shares = np.full(len(labels), 1 / len(labels)) if weights is None else weights / weights.sum()
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    for _ in range(60):
        middle = (low + high) / 2
        # The slope in 1/T: what the model expects of its logits less what the labels have.
        slope = float(((softmax(exact, math.exp(middle)) * exact).sum(1) - of_label) @ shares)
        low, high = (middle, high) if slope > 0 else (low, middle)
    return math.exp((low + high) / 2)


def fit_calibration(
    logits: Floats,
    labels: NDArray[np.int64],
    notify: Notify,
    equal_recall: bool = False,
    before: float = 1.0,
    weights: Floats | None = None,
) -> Calibration:
    """The temperature that fits logits [n, classes] to labels [n], indices of the classes, of photos not trained on.

    A fit whose expected calibration error on these photos is larger than that of the temperature `before`, or of none,
    is not kept: the better of the two is. With `equal_recall` a bias moves the decision threshold between two classes
    to where their recalls are nearest. `weights` [n], whose mean is 1, say how much each photo counts. Warnings go
    to `notify`. Raises UserError as `fit_temperature` and `equal_recall_threshold` do.
    """
    temperature = fit_temperature(logits, labels, weights)
    count = f"{len(labels):,}"
    if len(labels) < FEW_PHOTOS:
        notify(f"only {count} photos to calibrate on: what is fitted on fewer than {FEW_PHOTOS} is mostly chance")
    fitted = calibration_error(softmax(logits, temperature), labels, weights)
    unfitted = {each: calibration_error(softmax(logits, each), labels, weights) for each in (before, 1.0)}
    best = min(unfitted, key=unfitted.__getitem__)
    if fitted > unfitted[best]:
        notify(
            f"calibration not kept: the calibration error on these {count} photos would rise from {unfitted[best]:.4f}"
            f" to {fitted:.4f}; the temperature is left at {best:.3f}"
        )
        temperature, fitted = best, unfitted[best]
    bias, after = [], fitted
    if equal_recall:
        threshold = equal_recall_threshold(softmax(logits, temperature), labels, weights)
        threshold = min(max(threshold, 1e-6), 1 - 1e-6)
        bias = [0.0, math.log((1 - threshold) / threshold)]
        after = calibration_error(softmax(logits, temperature, bias), labels, weights)
        if after > fitted:
            notify(f"equal recall raises the calibration error from {fitted:.4f} to {after:.4f}")
    return Calibration(temperature, bias, {}, CalibrationFit(len(labels), unfitted[1.0], after, temperature))


def choose_thresholds_for_accuracy(
    probabilities: Floats, labels: NDArray[np.int64], classes: Sequence[str], target: float
) -> dict[str, float]:
    """For each class the smallest threshold at which `target` of its answers are right, on these photos.

    `probabilities` [n, classes] are calibrated, `labels` [n] index the classes. No threshold is below 0.5, so
    that no two classes are candidates at once. Raises UserError where no threshold reaches the target.
    """
    chosen = {}
    for index, name in enumerate(classes):
        ours = np.round(probabilities[:, index].astype(np.float64), 6)
        order = np.argsort(-ours, kind="stable")
        order = order[ours[order] >= 0.5]
        right = np.cumsum(labels[order] == index)
        precision = right / np.arange(1, len(order) + 1)
        # A threshold takes all photos of its probability, so only the last of equals can be one.
        last = np.append(ours[order][1:] != ours[order][:-1], True)[: len(order)]
        reached = np.flatnonzero(last & (precision >= target))
        if not len(reached):
            best = percent(precision[last].max(initial=0))
            raise UserError(
                f"no threshold makes {percent(target)} of the answers {name} right on these"
                f" {len(labels):,} photos (at best {best}); choose a lower --target-accuracy"
            )
        all_of_them = reached[-1] == len(order) - 1
        chosen[name] = 0.5 if all_of_them else float(ours[order[reached[-1]]])
    return chosen


def equal_recall_threshold(probabilities: Floats, labels: NDArray[np.int64], weights: Floats | None = None) -> float:
    """The t at which the recalls of two classes are nearest, the second answered above t, the first below.

    `probabilities` [n, 2] are calibrated, `labels` [n] are 0 or 1, `weights` [n] say how much each counts. Of several
    such t, the nearest to 0.5. Raises UserError where there are other than two classes, or no label of one.
    """
    if probabilities.shape[1] != 2:
        raise UserError(f"equal recall needs two classes, this model has {probabilities.shape[1]}")
    second = np.round(probabilities[:, 1].astype(np.float64), 6)
    if not (labels == 0).any() or not (labels == 1).any():
        raise UserError("all photos to calibrate on are of one class; choose another split or --data")
    values = np.unique(second)
    candidates = np.unique(np.round(np.append((values[1:] + values[:-1]) / 2, 0.5), 6))
    counted = np.ones(len(labels)) if weights is None else weights
    first_recall = _share_up_to(candidates, second[labels == 0], counted[labels == 0])
    second_recall = 1 - _share_up_to(candidates, second[labels == 1], counted[labels == 1])
    apart = np.round(np.abs(first_recall - second_recall), 12)
    nearest = candidates[apart == apart.min()]
    return float(nearest[np.abs(nearest - 0.5).argmin()])


def _share_up_to(limits: Floats, values: Floats, weights: Floats) -> Floats:
    """The weighted share of the values that are not above each limit."""
    order = np.argsort(values, kind="stable")
    summed = np.concatenate([[0.0], np.cumsum(weights[order])])
    return np.asarray(summed[np.searchsorted(values[order], limits, "right")] / summed[-1])


def calibrate(
    file: str,
    data: str | None,
    split: str,
    target: float | None,
    equal_recall: bool,
    notify: Notify,
    sources: str | None = None,
) -> tuple[Checkpoint, Figures]:
    """Fit temperature and thresholds of a checkpoint on a split, store both in it, and return it with its figures.

    `data` is by default the source of its training; each source of the CSV `sources` counts the same in the fit, but
    not for `target`, which is a share of all photos. Raises UserError, and leaves the file as it was, where it is
    no checkpoint, the split can't be read, or `target` can't be reached.
    """
    if kind_of_file(file) is not FileKind.CHECKPOINT:
        raise UserError(f"{file}: an exported model; calibrate the checkpoint it was made from, and export again")
    before = checkpoints.load(file)
    classes, size = before.classes, before.recipe.input_size
    # The labels file is of the photos of the training.
    labels_file = "" if data else before.labels
    photos = open_source(data or before.source, notify, before.label_names, labels_file).split(split)
    if split in ("train", "all"):
        notify(f"--split {split}: probabilities fitted on photos that were trained on are too confident")
    labels_of = photos.labels_as(classes)
    origins = read_origins(sources, photos, notify) if sources else None
    found = predict_split(logits_of(before.deployed()), Batches(photos, size, BATCH, notify), "calibrate", notify)
    labels = labels_of[found.indices]
    # Before what may fail for the same reason.
    accuracy = share(int((found.outputs.argmax(1) == labels).sum()), len(labels))
    if notice := swapped_labels_notice("the model", accuracy, len(labels)):
        notify(notice)
    weights = origins.weights(found.indices) if origins else None
    calibration = fit_calibration(found.outputs, labels, notify, equal_recall, before.calibration.temperature, weights)
    probabilities = softmax(found.outputs, calibration.temperature, calibration.bias)
    if target is not None:
        thresholds = choose_thresholds_for_accuracy(probabilities, labels, classes, target)
        calibration = replace(calibration, thresholds=thresholds)
    counts = RowCounts(classes, calibration.temperature, bias=calibration.bias)
    for row_probabilities, label in zip(probabilities, labels, strict=True):
        counts.add(make_row("", row_probabilities, classes, classes[label], calibration.thresholds))
    # The figures in the checkpoint were those of the old probabilities.
    after = replace(before, calibration=calibration, metrics=None)
    checkpoints.save(after, Path(file))
    return after, counts.figures()


def calibration_text(checkpoint: Checkpoint, figures: Figures) -> str:
    """Lay out what `calibrate` returned for a terminal."""
    calibration = checkpoint.calibration
    fit = calibration.fit
    assert fit
    rows = [["temperature", f"{fit.temperature:.4f}", "the logits are divided by it: above 1 lowers the confidence"]]
    if calibration.bias:
        rows.append(
            ["bias", f"{calibration.bias[1]:+.4f}", f"added for {checkpoint.classes[1]}: evens out the recalls"]
        )
    before = f"mean distance of confidence from accuracy (ECE); {fit.ece_before:.4f} before"
    rows.append(["calibration error", f"{fit.ece_after:.4f}", before])
    covered = f"of the {percent(figures.answered_share)} that get an answer (coverage)"
    rows.append(["accuracy", percent(figures.accuracy), covered])
    table = [["class", "threshold", "coverage", "recall", "precision"]]
    for name, each in figures.classes.items():
        threshold = calibration.thresholds.get(name)
        answered = share(each.support - figures.confusion[name][UNSURE], each.support)
        table.append(
            [
                name,
                "none" if threshold is None else f"{threshold:.6f}",
                *map(percent, (answered, each.recall, each.precision)),
            ]
        )
    lines = [f"{fit.photos:,} photos", *text_table(rows, "<><"), "", *text_table(table, "<>>>>")]
    return "\n".join(lines)


def calibration_error(probabilities: Floats, labels: NDArray[np.int64], weights: Floats | None = None) -> float:
    """The expected calibration error of probabilities [n, classes] for labels [n], which count as `weights` [n] say."""
    error = CalibrationError()
    counted = np.ones(len(labels)) if weights is None else weights
    for row, label, weight in zip(probabilities, labels, counted, strict=True):
        error.add(float(row.max()), bool(row.argmax() == label), float(weight))
    return error.value() or 0.0
