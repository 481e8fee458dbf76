"""Whether a written file gives what PyTorch gives, on real photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.decode import decode
from batchgender.photos.generated import generated_pictures
from batchgender.training.data.sources import LabelledPhotos, load_split
from batchgender.training.evaluation import Predict

_COUNT = 64


@dataclass(frozen=True)
class VerifyPhotos:
    """Photos uint8 [height, width, 3] at their own sizes, and where they are from, in words."""

    images: list[NDArray[np.uint8]]
    source: str


def verify_photos(source: str | None, fallback: str | None) -> VerifyPhotos:
    """Up to 64 test photos of `source`, else of the `fallback` folder, else generated pictures.

    Raises UserError where `source` is named and has no photo that can be read.
    """
    for candidate in (source, fallback):
        if candidate is None:
            continue
        try:
            images = _first_readable(load_split(candidate, "test", lambda line: None))
        except UserError:
            if candidate == source:
                raise
            continue
        if images:
            return VerifyPhotos(images, f"photos of {candidate}")
        if candidate == source:
            raise UserError(f"{source}: none of its test photos can be read; choose another --data")
    return VerifyPhotos(generated_pictures(_COUNT), "generated pictures (no photos)")


def largest_difference(first: Predict, second: Predict, images: Sequence[NDArray[np.uint8]]) -> float:
    """The largest difference in probability of two models over these photos, each fed alone at its own size."""
    return max(float(np.abs(first(image[None]) - second(image[None])).max()) for image in images)


def _first_readable(photos: LabelledPhotos) -> list[NDArray[np.uint8]]:
    # Spread over the split: files sorted by class would give one class alone.
    step = max(1, len(photos) // _COUNT)
    images = []
    for index in range(0, len(photos), step):
        try:
            images.append(decode(photos.read(index)))
        except UnreadablePhoto:
            continue
    return images[:_COUNT]
