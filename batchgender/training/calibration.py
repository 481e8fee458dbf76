"""Probabilities that mean what they say, and thresholds on them, both chosen on photos kept from training."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.io import Notify, percent
from batchgender.model.model_file import read_extra
from batchgender.model.thresholds import UNSURE
from batchgender.report.counts import Report
from batchgender.report.statistics import CalibrationError, share
from batchgender.results.results_file import make_row
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.data.sources import Batches, LabelledPhotos, load_split
from batchgender.training.evaluation import Module, check_classes

Floats = NDArray[np.floating[Any]]
# Beyond these the photos are too few or the network too poor to say anything.
_LOWEST, _HIGHEST = 1 / 20, 20.0


def softmax(logits: Floats, temperature: float = 1.0, bias: Sequence[float] = ()) -> NDArray[np.float64]:
    """Logits [n, classes] over the temperature plus the bias [classes] to probabilities float64 [n, classes]."""
    scaled = logits.astype(np.float64) / temperature + np.array(bias or 0.0)
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature, 0.05 to 20, under which labels [n] are likeliest (Guo et al. 2017), of logits [n, classes].

    Mean negative log likelihood is convex in 1/T, so its slope is bisected. Where each photo is right it falls
    for ever as T does: nothing speaks for one temperature, and it stays 1. Raises UserError where there is no
    photo, all are of one class, or a logit is no number.
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
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    for _ in range(60):
        middle = (low + high) / 2
        # The slope in 1/T: what the model expects of its logits less what the labels have.
        slope = float(((softmax(exact, math.exp(middle)) * exact).sum(1) - of_label).mean())
        low, high = (middle, high) if slope > 0 else (low, middle)
    return math.exp((low + high) / 2)


def calibrated(
    checkpoint: Checkpoint, logits: Floats, labels: NDArray[np.int64], equal_recall: bool = False
) -> Checkpoint:
    """The checkpoint with the temperature that fits its network's logits [n, classes] on validation photos.

    `labels` [n] index its classes. With `equal_recall` a bias moves the line between two classes to where their
    recalls are nearest. What stood on the old probabilities is dropped: thresholds and figures. Raises as
    `fit_temperature` and `equal_recall_threshold` do.
    """
    temperature = fit_temperature(logits, labels)
    bias = []
    if equal_recall:
        t = min(max(equal_recall_threshold(softmax(logits, temperature), labels), 1e-6), 1 - 1e-6)
        bias = [0.0, math.log((1 - t) / t)]
    calibration = {
        "photos": len(labels),
        "ece_before": _calibration_error(softmax(logits), labels),
        "ece_after": _calibration_error(softmax(logits, temperature, bias), labels),
        "temperature": temperature,
    }
    return replace(checkpoint, temperature=temperature, bias=bias, calibration=calibration, thresholds={}, metrics={})


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


def equal_recall_threshold(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """The t at which the recalls of two classes are nearest, the second answered above t, the first below.

    `probabilities` [n, 2] are calibrated, `labels` [n] are 0 or 1. Of several such t, the nearest to 0.5. Raises
    UserError where there are other than two classes, or none of a class among the labels.
    """
    if probabilities.shape[1] != 2:
        raise UserError(f"equal recall needs two classes, this model has {probabilities.shape[1]}")
    second = np.round(probabilities[:, 1].astype(np.float64), 6)
    of_first, of_second = np.sort(second[labels == 0]), np.sort(second[labels == 1])
    if not len(of_first) or not len(of_second):
        raise UserError("all photos to calibrate on are of one class; choose another split or --data")
    values = np.unique(second)
    candidates = np.unique(np.round(np.append((values[1:] + values[:-1]) / 2, 0.5), 6))
    first_recall = np.searchsorted(of_first, candidates, "right") / len(of_first)
    second_recall = 1 - np.searchsorted(of_second, candidates, "right") / len(of_second)
    apart = np.round(np.abs(first_recall - second_recall), 12)
    nearest = candidates[apart == apart.min()]
    return float(nearest[np.abs(nearest - 0.5).argmin()])


def calibrate(
    file: str, source: str | None, split: str, target: float | None, equal_recall: bool, notify: Notify
) -> tuple[Checkpoint, dict[str, Any]]:
    """Fit temperature and thresholds of a checkpoint on a split, store both in it, and return it with its figures.

    `source` is by default the data of its training. Raises UserError, and leaves the file as it was, where it is
    no checkpoint, the split can't be read, or `target` can't be reached.
    """
    if file.endswith(".onnx") or read_extra(file):
        raise UserError(f"{file}: an exported model; calibrate the checkpoint it was made from, and export again")
    before = checkpoints.load(file)
    classes = before.classes
    photos = load_split(source or before.source, split, notify)
    check_classes(photos, classes)
    logits, labels = logits_of(before.deployed(), photos, classes, before.recipe.input_size, notify)
    after = calibrated(before, logits, labels, equal_recall)
    probabilities = softmax(logits, after.temperature, after.bias)
    if target is not None:
        after = replace(after, thresholds=choose_thresholds_for_accuracy(probabilities, labels, classes, target))
    report = Report(classes, after.temperature, bias=after.bias)
    for shares, label in zip(probabilities, labels, strict=True):
        report.add(make_row("", shares, classes, classes[label], after.thresholds))
    checkpoints.save(after, Path(file))
    return after, report.metrics()


def as_text(checkpoint: Checkpoint, metrics: dict[str, Any]) -> str:
    """Lay out what `calibrate` returned for a terminal."""
    fit = checkpoint.calibration
    width = max(map(len, ("class", *checkpoint.classes)))
    lines = [
        f"{fit['photos']:,} photos",
        f"temperature        {fit['temperature']:>8.4f}",
        *([f"bias               {checkpoint.bias[1]:>+8.4f}   of {checkpoint.classes[1]}"] if checkpoint.bias else []),
        f"calibration error  {fit['ece_after']:>8.4f}   expected (ECE, 15 bins), {fit['ece_before']:.4f} before",
        "",
        f"{'class':<{width}}  {'threshold':>9}  {'coverage':>8}  {'recall':>8}  {'precision':>9}",
    ]
    for name, figures in metrics["classes"].items():
        threshold = checkpoint.thresholds.get(name)
        covered = share(figures["support"] - metrics["confusion"][name][UNSURE], figures["support"])
        lines.append(
            f"{name:<{width}}  {'none' if threshold is None else f'{threshold:.6f}':>9}  {percent(covered):>8}"
            f"  {percent(figures['recall']):>8}  {percent(figures['precision']):>9}"
        )
    covered = share(metrics["evaluated"] - metrics["unsure"], metrics["evaluated"])
    lines += ["", f"accuracy           {percent(metrics['accuracy']):>8}   at coverage {percent(covered)}"]
    return "\n".join(lines)


def logits_of(
    module: Module,
    photos: LabelledPhotos,
    classes: Sequence[str],
    size: int,
    notify: Notify,
    device: torch.device | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits [n, classes] of the photos that can be read, and their labels [n] as indices of `classes`."""
    as_ours = np.array([classes.index(name) for name in photos.classes], np.int64)
    logits, labels = [np.empty((0, len(classes)), np.float32)], [np.empty(0, np.int64)]
    for images, theirs, _ in Batches(photos, size, 32, notify)(range(len(photos))):
        with torch.inference_mode():
            logits.append(module(torch.from_numpy(images).to(device))[1].cpu().numpy())
        labels.append(as_ours[theirs])
    return np.concatenate(logits), np.concatenate(labels)


def _calibration_error(probabilities: Floats, labels: NDArray[np.int64]) -> float | None:
    error = CalibrationError()
    for shares, label in zip(probabilities, labels, strict=True):
        error.add(float(shares.max()), bool(shares.argmax() == label))
    return error.value()
