"""Whether another model answers as the original does, on labelled photos."""

from pathlib import Path

import numpy as np
import pytest
import tiny_networks
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.export.agreement import Reference
from batchgender.io import silent
from batchgender.training.data.open_source import open_source


def female(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.tile(np.array([[0.9, 0.1]], np.float32), (len(images), 1))


def no_numbers(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full((len(images), 2), np.nan, np.float32)


def test_a_model_that_answers_nan_is_wrong_on_every_photo_and_not_kept(tmp_path: Path) -> None:
    photos = open_source(str(tiny_networks.write_tinted(tmp_path / "photos", 12)), silent).val
    reference = Reference(female, photos.classes, photos, 32, silent)
    same = reference.compare(female, "the same")
    assert not same.flips and same.largest_difference == 0 and same.points_lost == 0
    agreement = reference.compare(no_numbers, "NaN")
    assert agreement.accuracy == 0 and agreement.largest_difference == agreement.mean_difference == 1
    assert {flip.after for flip in agreement.flips} == {"no answer"} and len(agreement.flips) == len(photos)
    with pytest.raises(UserError, match="falls from"):
        agreement.check_points_lost()
