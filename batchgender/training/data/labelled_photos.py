"""The photos of one split with their labels: held as names and a way to read each, not as bytes."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.photos.photo import Photo, printable
from batchgender.photos.places.named import Given


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos of one split: class indices int64 [n], names for messages and hashing, bytes or pixels by index."""

    classes: list[str]
    labels: NDArray[np.int64]
    names: list[str]
    read: Callable[[int], bytes | NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Sequence[int]) -> "LabelledPhotos":
        """The photos at these indices, in their order."""
        chosen = list(indices)
        return LabelledPhotos(
            self.classes, self.labels[chosen], [self.names[i] for i in chosen], lambda i: self.read(chosen[i])
        )

    def relabelled(self, labels: Mapping[str, str]) -> "LabelledPhotos":
        """The same with other classes for the photos of these paths, without those of which the class is ""."""
        stated = [
            labels.get(printable(name), self.classes[own]) for name, own in zip(self.names, self.labels, strict=True)
        ]
        kept = [index for index, label in enumerate(stated) if label]
        found = np.array([self.classes.index(stated[index]) for index in kept], np.int64)
        return replace(self.subset(kept), labels=found)

    def spread(self, count: int) -> list[int]:
        """Indices of up to `count` photos, evenly spread: files sorted by class would begin with one class alone."""
        return np.linspace(0, len(self) - 1, min(count, len(self))).astype(int).tolist()

    def as_photos(self) -> Iterator[Photo]:
        """The photos by the paths that rows show."""
        return (Photo(printable(name), Given(partial(self.read, index))) for index, name in enumerate(self.names))

    def counts(self) -> dict[str, int]:
        """How many photos each class has."""
        return {name: int((self.labels == index).sum()) for index, name in enumerate(self.classes)}

    def fingerprint(self) -> str:
        """A hash of names, labels and order: the same for the same split."""
        digest = hashlib.sha256("\n".join(self.names).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16] + hashlib.sha256(self.labels.tobytes()).hexdigest()[:16]

    def labels_as(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """The labels int64 [n] as indices of a model's classes; raises UserError as `check_classes` does."""
        check_classes(self, classes)
        return np.array([classes.index(name) for name in self.classes], np.int64)[self.labels]


def joined(splits: Sequence[LabelledPhotos]) -> LabelledPhotos:
    """The photos of several splits of one source as one."""
    where = [(split, index) for split, photos in enumerate(splits) for index in range(len(photos))]
    names = [splits[split].names[index] for split, index in where]
    labels = np.concatenate([photos.labels for photos in splits])
    return LabelledPhotos(splits[0].classes, labels, names, lambda i: splits[where[i][0]].read(where[i][1]))


def check_trainable(photos: LabelledPhotos, source: str) -> None:
    """Raise UserError where the training split can't teach anything: one class, or a class with no photo."""
    counts = photos.counts()
    if len(counts) < 2:
        raise UserError(f"{source}: has only one class ({', '.join(counts) or 'none'}); training needs two")
    for name, count in counts.items():
        if not count:
            raise UserError(f"{source}: class {name} has no photo in the training split; add some or remove it")


def check_classes(photos: LabelledPhotos, classes: Sequence[str]) -> None:
    """Raise UserError where there is no photo, or one of a class that the model does not know."""
    strange = sorted(set(photos.classes) - set(classes))
    if strange:
        raise UserError(
            f"the photos have classes that the model does not know: {', '.join(strange)}"
            f" (it knows {', '.join(classes)}); --label-names of `evaluate` and `train` says which class a name is"
        )
    if not len(photos):
        raise UserError("the split has no photos")
