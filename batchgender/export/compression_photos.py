"""What makes a model smaller: labelled photos to look at and to judge by, and layers of low rank."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.export.agreement import Judge
from batchgender.export.low_rank import compress, responses, smallest
from batchgender.io import Notify
from batchgender.model.model_file import ModelInfo
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.data.sources import Batches, load_split
from batchgender.training.evaluation import predictor
from batchgender.training.networks.alexnet import Deployed

_PHOTOS, _BATCH = 1024, 32


def labelled(
    checkpoint: Checkpoint, module: Deployed, data: str | None, notify: Notify
) -> tuple[list[NDArray[np.uint8]], Judge]:
    """Training photos uint8 [B, size, size, 3] to look at, up to 1,024, and the judge over the validation photos."""
    source, size = data or checkpoint.source, checkpoint.recipe.input_size
    try:
        training, validation = (load_split(source, split, notify) for split in ("train", "val"))
    except UserError as error:
        if data:
            raise
        raise UserError(
            f"{source}: the training photos can't be loaded; --compress and --quantize need labelled ones: give --data"
        ) from error
    # Spread over the split: files sorted by class would give one class alone.
    spread = np.linspace(0, len(training) - 1, min(_PHOTOS, len(training))).astype(int).tolist()
    images = [batch for batch, _, _ in Batches(training, size, _BATCH, notify)(spread)]
    if not images:
        raise UserError(f"{source}: none of its training photos can be read; choose another --data")
    return images, Judge(predictor(module), checkpoint.classes, validation, size, notify)


def smaller(
    module: Deployed, info: ModelInfo, rank: int | str, images: list[NDArray[np.uint8]], judge: Judge, notify: Notify
) -> tuple[Deployed, ModelInfo]:
    """The module with linear layers of this rank ("auto": the smallest that keeps the accuracy), and what it says then.

    Raises UserError where it loses more than half a point of accuracy, or no layer gets smaller.
    """
    if isinstance(rank, int):
        small = compress(module, responses(module, images, rank), rank)
        kept = judge.compare(predictor(small))
        notify(f"rank {rank}: {kept}")
        kept.check()
    else:
        small, rank, kept = smallest(module, images, judge, notify)
    found = {"rank": rank, "rank_photos": sum(map(len, images)), **kept.as_dict()}
    return small, replace(info, compression=found)
