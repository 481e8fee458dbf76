"""A source of labelled photos and its splits; those that are missing are made by a hash of the names."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from batchgender.errors import UserError
from batchgender.training.data.labelled_photos import LabelledPhotos, joined

_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_VAL_SHARE = _TEST_SHARE = 0.1


def split_named(name: str) -> str | None:
    """The split ("train", "val", "test") that a folder's or a dataset's name for it stands for."""
    return next((split for split, names in _NAMES.items() if name.lower() in names), None)


@dataclass(frozen=True)
class LabelledSource:
    """A source, opened once: its name and the splits that it has itself.

    A source without a test split gives a tenth of its training photos, one without a validation split a tenth of the
    rest, chosen by a hash of each name: a photo stays in its split when others are added.
    """

    name: str
    own: dict[str, LabelledPhotos]

    @property
    def train(self) -> LabelledPhotos:
        """The photos to train on."""
        return self.split("train")

    @property
    def val(self) -> LabelledPhotos:
        """The photos to validate on."""
        return self.split("val")

    @property
    def test(self) -> LabelledPhotos:
        """The photos to test on."""
        return self.split("test")

    def split(self, name: str) -> LabelledPhotos:
        """One split by name ("train", "val", "test"), or "all" photos; raises UserError where there is none."""
        if name == "all":
            return joined(list(self.own.values()))
        if name not in self._splits:
            raise UserError(f"{self.name}: has no {name} split, only {', '.join(self._splits)}; try --split all")
        return self._splits[name]

    @cached_property
    def _splits(self) -> dict[str, LabelledPhotos]:
        splits = dict(self.own)
        if "train" in splits:
            if "test" not in splits:
                splits["train"], splits["test"] = _carve(splits["train"], _TEST_SHARE, "test")
            if "val" not in splits:
                splits["train"], splits["val"] = _carve(splits["train"], _VAL_SHARE, "val")
        return splits


def _carve(photos: LabelledPhotos, share: float, salt: str) -> tuple[LabelledPhotos, LabelledPhotos]:
    """Split off about `share` of the photos by hash; each class that has two photos gives at least one."""
    keys = [_hash_share(name, salt) for name in photos.names]
    chosen = {i for i, key in enumerate(keys) if key < share}
    for index in range(len(photos.classes)):
        of_class = [int(i) for i in np.flatnonzero(photos.labels == index)]
        if len(of_class) > 1 and not chosen.intersection(of_class):
            chosen.add(min(of_class, key=keys.__getitem__))
    rest = [i for i in range(len(photos)) if i not in chosen]
    return photos.subset(rest), photos.subset(sorted(chosen))


def _hash_share(name: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}:{name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) / 2**64
