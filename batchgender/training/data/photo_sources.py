"""Labelled photos of a list, and of any place that `PhotoSource` opens: an archive, an address."""

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.label_columns import classes_of_values
from batchgender.photos.labels import ALIASES, LabelNames
from batchgender.photos.photo import Content, LocalFile, Photo, printable
from batchgender.photos.places.path_list import open_path_list
from batchgender.photos.places.remote.address import shown_address
from batchgender.photos.source import PhotoSource
from batchgender.training.data.folders import EXPECTED
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.splits import split_named

# So many names are named where there are more.
_NAMED = 3


@dataclass(frozen=True)
class _Found:
    """A photo, and its split and label as they are written there: "" where it has none."""

    name: str
    content: Content
    split: str
    label: str


def from_list(source: str, notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    """The splits of a CSV with columns `path` and `label`, and perhaps `split`: without it, all are to train.

    Photos without a label or a split are left out and counted, files that are not there named and counted. Raises
    UserError where there is no label.
    """
    listed = open_path_list(source, notify)
    found = []
    for path, label, split in listed.listed():
        if label is None:
            raise UserError(f"{source}: no column `label` in its first line; name the columns path and label")
        found.append(_Found(shown_address(path), listed.content(path), "train" if split is None else split, label))
    _notify_missing(found, source, notify)
    return _labelled(found, _stated_classes(found, names, notify), source, notify)


def from_photos(source: PhotoSource, notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    """The splits of a source whose paths are SPLIT/CLASS/* or CLASS/*, under folders that all share or not.

    Where labels are stated for photos, these count, and folders but for their splits. Photos without a label, or beside
    the splits, are left out and counted. Raises UserError where no photo has a label, and where the source can't be
    read in any order.
    """
    (title,) = source.inputs
    if source.sequential:
        raise UserError(f"{title}: can only be read from its beginning on; unpack it, and give the folder")
    photos = list(source)
    stated = any(photo.label for photo in photos)
    found = _found(photos, stated, names)
    if not any(each.label for each in found):
        raise UserError(f"{title}: no class folders in it; {EXPECTED}")
    if stated:
        return _labelled(found, _stated_classes(found, names, notify), title, notify)
    classes: dict[Hashable, str] = {each.label: names.canonical_name(each.label) for each in found if each.label}
    return _labelled(found, classes, title, notify)


def _found(photos: Sequence[Photo], stated: bool, names: LabelNames) -> list[_Found]:
    folders = [photo.path.split("/")[:-1] for photo in photos]
    # An archive may have the folder that it was made of around all others: it is no class.
    while folders and all(each and each[0] == folders[0][0] for each in folders):
        known = split_named(folders[0][0]) or names.canonical_name(folders[0][0]) in ALIASES
        if known or not (stated or any(len(each) > 1 for each in folders)):
            break
        folders = [each[1:] for each in folders]
    has_splits = any(each and split_named(each[0]) for each in folders)
    found = []
    for photo, above in zip(photos, folders, strict=True):
        split, rest = (above[0] if above else "", above[1:]) if has_splits else ("train", above)
        label = (photo.label or "") if stated else (rest[0] if rest else "")
        found.append(_Found(photo.path, photo.content, split, label))
    return found


def _stated_classes(found: Iterable[_Found], names: LabelNames, notify: Notify) -> dict[Hashable, str]:
    return classes_of_values(None, (each.label for each in found), "label", names, notify)


def _labelled(
    found: Sequence[_Found], class_of: Mapping[Hashable, str], source: str, notify: Notify
) -> dict[str, LabelledPhotos]:
    """The photos by their splits; `class_of` has the class of each label that is one."""
    classes = sorted(set(class_of.values()))
    if not classes:
        raise UserError(f"{source}: no photo in it has a label")
    splits: dict[str, list[_Found]] = {}
    outside: Counter[str] = Counter()
    for each in found:
        if split := split_named(each.split):
            splits.setdefault(split, []).append(each)
        else:
            outside[printable(each.split) or "none"] += 1
    if outside:
        listed = ", ".join(name for name, _ in outside.most_common(_NAMED)) + ("..." if len(outside) > _NAMED else "")
        notify(f"{source}: photos left out, for their split is no train, val or test: {outside.total():,} ({listed})")
    if not splits:
        raise UserError(f"{source}: no photo in it is of a split train, val or test")
    return {
        split: _split(photos, classes, class_of, f"{source}: its {split} split", notify)
        for split, photos in splits.items()
    }


def _split(
    found: Sequence[_Found], classes: list[str], class_of: Mapping[Hashable, str], title: str, notify: Notify
) -> LabelledPhotos:
    known = [each for each in found if each.label in class_of]
    if len(known) < len(found):
        notify(f"{title}: photos without a label are left out: {len(found) - len(known):,}")
    labels = np.array([classes.index(class_of[each.label]) for each in known], np.int64)
    contents = [each.content for each in known]
    return LabelledPhotos(
        classes, labels, [each.name for each in known], lambda i: contents[i].read(contents[i].size())
    )


def _notify_missing(found: Iterable[_Found], source: str, notify: Notify) -> None:
    missing = [
        printable(each.name)
        for each in found
        if isinstance(each.content, LocalFile) and not os.path.exists(each.content.file)
    ]
    if missing:
        more = " and others" if len(missing) > _NAMED else ""
        notify(f"{source}: files that are not there: {len(missing):,} ({', '.join(missing[:_NAMED])}{more})")
