"""A model's figures on labelled photos: the same rows and the same report as `classify` gives."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.finder import printable
from batchgender.report.counts import Report
from batchgender.report.groups_csv import GroupFile, joined
from batchgender.results.results_file import Row, make_row
from batchgender.training.data.sources import Batches, LabelledPhotos

# uint8 [B, H, W, 3] RGB to float32 [B, classes].
Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
# What a model file holds: uint8 [B, H, W, 3] to (probabilities, logits) [B, classes].
Module = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def predictor(module: Module, device: torch.device | None = None) -> Predict:
    """Turn a module over tensors on `device` (by default the CPU) into a function over arrays."""

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return module(torch.from_numpy(images).to(device))[0].cpu().numpy()

    return predict


def evaluate(
    predict: Predict,
    classes: list[str],
    photos: LabelledPhotos,
    size: int,
    notify: Notify,
    batch_size: int = 32,
    thresholds: Mapping[str, float] | None = None,
    temperature: float = 1.0,
    bias: Sequence[float] = (),
    groups: GroupFile | None = None,
) -> Report:
    """Predict every photo and count; raises UserError where the photos have a class that the model has not.

    `thresholds` by class decide as in `classify`; `temperature` and `bias` are those inside `predict`, for the
    calibration error before them.
    """
    check_classes(photos, classes)
    # As a results CSV shows them: groups files are written with the same paths.
    names = [printable(name) for name in photos.names]
    report = Report(classes, temperature, joined(groups, lambda: names, notify) if groups else None, bias)
    batches = Batches(photos, size, batch_size, notify)
    with tqdm(total=len(photos), desc="evaluate", unit=" images", disable=None, leave=False) as bar:
        for images, labels, indices in batches(range(len(photos))):
            for share, label, index in zip(predict(images), labels, indices, strict=True):
                report.add(make_row(names[index], share, classes, photos.classes[label], thresholds or {}))
            bar.update(len(indices))
    labels_by_name = dict(zip(photos.names, photos.labels, strict=True))
    for name, error in batches.unreadable.items():
        report.add(Row(printable(name), label=photos.classes[labels_by_name[name]], error=error))
    return report


def check_classes(photos: LabelledPhotos, classes: Sequence[str]) -> None:
    """Raise UserError where there is no photo, or one of a class that the model does not know."""
    strange = sorted(set(photos.classes) - set(classes))
    if strange:
        raise UserError(
            f"the photos have classes that the model does not know: {', '.join(strange)}"
            f" (it knows {', '.join(classes)})"
        )
    if not len(photos):
        raise UserError("the split has no photos")
