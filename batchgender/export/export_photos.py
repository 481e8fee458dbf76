"""The photos that an export needs: its source is opened once, for checks, for labels and for calibration."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import Notify
from batchgender.photos.decode import decode
from batchgender.photos.generated import generated_pictures
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.data.batches import Batches
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.open_source import open_source
from batchgender.training.data.splits import LabelledSource
from batchgender.training.predictions import BATCH

_CHECKED = 64
_CALIBRATED = 1024


@dataclass(frozen=True)
class CheckPhotos:
    """Photos uint8 [height, width, 3] at their own sizes, and in words what they are."""

    images: list[NDArray[np.uint8]]
    source: str


@dataclass(frozen=True)
class ExportPhotos:
    """The source of an export's photos; `source` is None where it can't be opened and need not be.

    `named` is whether the user named it; `problem` says why it can't be opened.
    """

    name: str
    named: bool
    source: LabelledSource | None
    problem: UserError | None = None

    def labelled(self, split: str, needed_by: str) -> LabelledPhotos:
        """A split with labels, for the options `needed_by`; raises UserError where there is none."""
        if self.source:
            return self.source.split(split)
        words = {"train": "training", "val": "validation", "test": "test"}[split]
        raise UserError(f"{self.name}: the {words} photos can't be loaded; {needed_by}: give --data") from self.problem

    def training_batches(self, size: int, notify: Notify) -> list[NDArray[np.uint8]]:
        """Up to 1,024 training photos, spread over the split: uint8 [B, size, size, 3]."""
        photos = self.labelled("train", "--compress and --quantize need labelled ones")
        images = [batch for batch, _, _ in Batches(photos, size, BATCH, notify)(photos.spread(_CALIBRATED))]
        if not images:
            raise UserError(f"{self.name}: none of its training photos can be read; choose another --data")
        return images

    def check_photos(self) -> CheckPhotos:
        """Up to 64 test photos, else generated pictures; raises UserError where the user named photos without any."""
        if self.source:
            try:
                images = _first_readable(self.source.test)
            except UserError:
                if self.named:
                    raise
                images = []
            if images:
                return CheckPhotos(images, f"photos of {self.name}")
            if self.named:
                raise UserError(f"{self.name}: none of its test photos can be read; choose another --data")
        return CheckPhotos(generated_pictures(_CHECKED), "generated pictures (no photos)")


def open_export_photos(data: str | None, checkpoint: Checkpoint, labels_needed: bool, notify: Notify) -> ExportPhotos:
    """Open the photos that the user named, else those of the checkpoint's training where they are here.

    A Hub id is asked only where labels are needed: an export must work without a network.
    """
    trained_on = checkpoint.source
    if data:
        return ExportPhotos(data, True, open_source(data, notify, checkpoint.label_names))
    if not labels_needed and not Path(trained_on).exists():
        return ExportPhotos(trained_on, False, None)
    try:
        return ExportPhotos(
            trained_on, False, open_source(trained_on, notify, checkpoint.label_names, checkpoint.labels)
        )
    except UserError as error:
        return ExportPhotos(trained_on, False, None, error)


def _first_readable(photos: LabelledPhotos) -> list[NDArray[np.uint8]]:
    # Spread over the split: files sorted by class would give one class alone.
    step = max(1, len(photos) // _CHECKED)
    images = []
    for index in range(0, len(photos), step):
        try:
            images.append(decode(photos.read(index)))
        except UnreadablePhoto:
            continue
    return images[:_CHECKED]
