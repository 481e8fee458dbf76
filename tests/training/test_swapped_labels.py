"""A look at the labels before a training, by the packaged model."""

from pathlib import Path

import pytest

from batchgender.io import silent
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.training.data.open_source import open_source
from batchgender.training.swapped_labels import warn_of_swapped_labels

SWAPPED = LabelNames({"Female": ["male"], "Male": ["female"]})


@pytest.mark.parametrize(("names", "warned"), [(DEFAULT_NAMES, 0), (SWAPPED, 1)])
def test_labels_that_are_the_other_way_round_are_noticed(faces: Path, names: LabelNames, warned: int) -> None:
    said: list[str] = []
    warn_of_swapped_labels(open_source(str(faces), silent, names).val, said.append)
    assert len(said) == warned
    assert all("the packaged model is right on" in line and "--label-names" in line for line in said)


def test_few_photos_and_other_classes_are_not_judged(portraits: Path) -> None:
    said: list[str] = []
    warn_of_swapped_labels(open_source(str(portraits), silent, SWAPPED).test, said.append)
    others = LabelNames({"cat": ["female"], "dog": ["male"]})
    warn_of_swapped_labels(open_source(str(portraits), silent, others).train, said.append)
    assert not said
