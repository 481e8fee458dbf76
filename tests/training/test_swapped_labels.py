"""A look at the labels before a training, by the packaged model."""

import io
from pathlib import Path

import numpy as np
import pytest
from drawn_faces import CLASSES, draw_portrait
from numpy.typing import NDArray
from PIL import Image

from batchgender.io import silent
from batchgender.model.open_model import PACKAGED, named_model, open_model
from batchgender.photos.decode import to_size
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.training.data.open_source import open_source
from batchgender.training.swapped_labels import warn_of_swapped_labels

SWAPPED = LabelNames({"Female": ["male"], "Male": ["female"]})


@pytest.mark.parametrize(("names", "warned"), [(DEFAULT_NAMES, 0), (SWAPPED, 1)])
def test_labels_that_are_the_other_way_round_are_noticed(faces: Path, names: LabelNames, warned: int) -> None:
    said: list[str] = []
    warn_of_swapped_labels([open_source(str(faces), silent, names).val], said.append)
    assert len(said) == warned
    assert all("the packaged model is right on" in line and "--label-names" in line for line in said)


@pytest.mark.parametrize(("train", "val", "warned"), [(10, 60, 1), (60, 10, 1), (20, 20, 0)])
def test_photos_to_train_on_are_asked_where_those_to_validate_are_few(
    tmp_path: Path, train: int, val: int, warned: int
) -> None:
    pictures = [_png(draw_portrait(CLASSES[at % 2], np.random.default_rng(at))) for at in range(train + val)]
    model = open_model(named_model(PACKAGED))
    answers = model.predict(np.stack([to_size(picture, model.info.input_size) for picture in pictures])).argmax(1)
    assert set(answers) == {0, 1}
    for at, (picture, answer) in enumerate(zip(pictures, answers, strict=True)):
        file = tmp_path / ("train" if at < train else "val") / CLASSES[answer] / f"{at}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
    for names, count in ((SWAPPED, warned), (DEFAULT_NAMES, 0)):
        said: list[str] = []
        source = open_source(str(tmp_path), silent, names)
        warn_of_swapped_labels([source.val, source.train], said.append)
        assert len(said) == count


def _png(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def test_few_photos_and_other_classes_are_not_judged(portraits: Path) -> None:
    said: list[str] = []
    warn_of_swapped_labels([open_source(str(portraits), silent, SWAPPED).test], said.append)
    others = LabelNames({"cat": ["female"], "dog": ["male"]})
    warn_of_swapped_labels([open_source(str(portraits), silent, others).train], said.append)
    assert not said
