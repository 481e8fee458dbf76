"""Labelled photos in folders: SPLIT/CLASS/* or CLASS/*."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.labels import canonical_classes, canonical_name
from batchgender.photos.reading import read_bytes
from batchgender.photos.source import PhotoSource, is_system_folder
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.splits import split_named


def from_folder(source: str, notify: Notify) -> dict[str, LabelledPhotos]:
    """The splits of a folder; raises UserError where it has no folders of classes."""
    folders = _subfolders(Path(source))
    if not folders:
        raise UserError(f"{source}: no folders in it; expected SPLIT/CLASS/* or CLASS/*")
    by_split = {split: folder for folder in folders if (split := split_named(folder.name))}
    roots = by_split or {"train": Path(source)}
    class_folders = {split: _subfolders(root) for split, root in roots.items()}
    classes = canonical_classes(folder.name for folders in class_folders.values() for folder in folders)
    if not classes:
        raise UserError(f"{source}: no class folders in it; expected SPLIT/CLASS/* or CLASS/*")
    return {split: _files(Path(source), folders, classes, notify) for split, folders in class_folders.items()}


def _subfolders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir() and not is_system_folder(each.name))


def _files(root: Path, folders: Sequence[Path], classes: list[str], notify: Notify) -> LabelledPhotos:
    files: list[str] = []
    labels: list[int] = []
    for folder in folders:
        found = [photo.file for photo in PhotoSource([str(folder)], notify)]
        files += found
        labels += [classes.index(canonical_name(folder.name))] * len(found)
    names = [os.path.relpath(file, root) for file in files]
    return LabelledPhotos(classes, np.array(labels, np.int64), names, lambda i: read_bytes(files[i]))
