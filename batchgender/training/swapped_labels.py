"""A look at the labels before a training: the packaged model tells Female from Male, whatever they are called here."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import Notify
from batchgender.model.open_model import PACKAGED, named_model, open_model
from batchgender.photos.decode import to_size
from batchgender.photos.labels import ALIASES
from batchgender.report.text import swapped_labels_notice
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.predictions import BATCH

# Photos that are looked at: one to two seconds.
_LOOKED_AT = 200


def warn_of_swapped_labels(splits: Sequence[LabelledPhotos], notify: Notify) -> None:
    """Say so where the packaged model is right on far less than half of 200 photos, of the first split if it has them.

    A network learns swapped labels as well as others, and its accuracy on photos that are labelled so shows nothing.
    """
    if splits[0].classes != list(ALIASES):
        return
    try:
        model = open_model(named_model(PACKAGED))
    except UserError:
        return  # What can't be asked stops no training.
    images: list[NDArray[np.uint8]] = []
    labels = []
    for photos in splits:
        for index in photos.spread(_LOOKED_AT - len(images)):
            try:
                images.append(to_size(photos.read(index), model.info.input_size))
                labels.append(photos.labels[index])
            except UnreadablePhoto:
                continue
    batches = [np.stack(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    answers = [model.predict(batch).argmax(1) for batch in batches]
    accuracy = float((np.concatenate(answers) == np.array(labels)).mean()) if answers else None
    if notice := swapped_labels_notice("the packaged model", accuracy, len(labels)):
        notify(notice)
