"""Labelled photos in folders: SPLIT/CLASS/* or CLASS/*."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.labels import LabelNames
from batchgender.photos.photo import Photo
from batchgender.photos.places.folder import is_system_folder
from batchgender.photos.reading import is_photo
from batchgender.photos.source import PhotoSource
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.splits import split_named

EXPECTED = "expected SPLIT/CLASS/* or CLASS/*, or as --data a CSV of paths and labels"


def from_folder(source: str, notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    """The splits of a folder; raises UserError where it has no folders of classes, or a split's photos are in none."""
    root = Path(source)
    folders = _subfolders(root)
    if not folders:
        raise UserError(f"{source}: no folders in it; {EXPECTED}")
    roots = _split_folders(root, folders, notify)
    class_folders = {split: [each for folder in of for each in _subfolders(folder)] for split, of in roots.items()}
    for split, of in roots.items():
        for folder in of:
            _check_loose_photos(folder, bool(class_folders[split]), notify)
    classes = names.canonical_classes(folder.name for folders in class_folders.values() for folder in folders)
    if not classes:
        raise UserError(f"{source}: no class folders in it; {EXPECTED}")
    return {split: _files(root, folders, classes, names, notify) for split, folders in class_folders.items()}


def _split_folders(root: Path, folders: Sequence[Path], notify: Notify) -> dict[str, list[Path]]:
    """The folders of each split; the root is that of the training split where none is named as a split."""
    roots: dict[str, list[Path]] = {}
    for folder in folders:
        if split := split_named(folder.name):
            roots.setdefault(split, []).append(folder)
    if not roots:
        return {"train": [root]}
    for split, of in roots.items():
        if len(of) > 1:
            notify(f"{root}: the folders {', '.join(each.name for each in of)} are taken together as its {split} split")
    if others := [folder.name for folder in folders if not split_named(folder.name)]:
        notify(f"{root}: left out, for they are no split: {', '.join(others)}")
    return roots


def _check_loose_photos(folder: Path, has_classes: bool, notify: Notify) -> None:
    """Say how many photos of a split lie in no class folder; raise UserError where all of them do."""
    loose = sum(is_photo(str(file)) for file in folder.iterdir() if not file.name.startswith(".") and file.is_file())
    if loose and not has_classes:
        raise UserError(
            f"{folder}: photos lie in it, and no class folders; sort them into folders of classes"
            f" ({folder.name}/female, {folder.name}/male), or take the folder away"
        )
    if loose:
        notify(f"{folder}: photos beside the class folders are left out: {loose:,}")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir() and not is_system_folder(each.name))


def _files(
    root: Path, folders: Sequence[Path], classes: list[str], names: LabelNames, notify: Notify
) -> LabelledPhotos:
    photos: list[Photo] = []
    labels: list[int] = []
    titles: list[str] = []
    for folder in folders:
        found = list(PhotoSource([str(folder)], notify))
        photos += found
        labels += [classes.index(names.canonical_name(folder.name))] * len(found)
        titles += [os.path.join(os.path.relpath(folder, root), photo.path) for photo in found]
    return LabelledPhotos(classes, np.array(labels, np.int64), titles, lambda i: photos[i].read())
