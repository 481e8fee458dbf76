"""The loop that runs a model over the photos of a split."""

from pathlib import Path

import numpy as np
import pytest
from conftest import BLUE, RED, write_picture

from batchgender import progress
from batchgender.io import silent
from batchgender.training.data.batches import Batches
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.open_source import open_source
from batchgender.training.predictions import iterate_predictions, predict_split


def redness(images: np.ndarray) -> np.ndarray:
    """A model that answers by how red and how blue a photo is."""
    return (images[..., [0, 2]].mean((1, 2)) / 255).astype(np.float32)


@pytest.fixture
def photos(tmp_path: Path) -> LabelledPhotos:
    """Ten photos, red ones female and blue ones male; two can't be read."""
    for index in range(5):
        write_picture(tmp_path / "train" / "female" / f"{index}.png", RED)
        write_picture(tmp_path / "train" / "male" / f"{index}.png", BLUE)
    for name in ("female/1.png", "male/4.png"):
        (tmp_path / "train" / name).write_bytes(b"no picture")
    return open_source(str(tmp_path), silent).split("all")


def test_outputs_labels_and_indices_belong_to_the_photos_that_can_be_read(photos: LabelledPhotos) -> None:
    batches = Batches(photos, 16, 4, silent)
    found = predict_split(redness, batches, "test", silent)
    assert len(found) == 8 and found.outputs.shape == (8, 2) and found.outputs.dtype == np.float32
    assert [photos.names[i] for i in found.indices] == [n for n in photos.names if n not in batches.unreadable]
    assert (photos.labels[found.indices] == found.labels).all()
    assert (found.outputs.argmax(1) == found.labels).all()
    parts = list(iterate_predictions(redness, batches, "test", silent))
    assert np.array_equal(np.concatenate([part.outputs for part in parts]), found.outputs)


def test_where_no_photo_can_be_read_the_result_is_empty(photos: LabelledPhotos) -> None:
    unreadable = photos.subset([i for i, name in enumerate(photos.names) if "1.png" in name and "female" in name])
    found = predict_split(redness, Batches(unreadable, 16, 4, silent), "test", silent)
    assert len(found) == 0 and found.outputs.shape == (0, 2)


def test_where_stderr_is_no_terminal_progress_comes_as_lines(
    photos: LabelledPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    lines: list[str] = []
    predict_split(redness, Batches(photos, 16, 5, silent), "evaluate", lines.append)
    assert lines and all(line.startswith("evaluate: ") and "of 10 photos" in line for line in lines)
