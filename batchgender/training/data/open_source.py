"""Opening a source of labelled photos: a folder, a list, a saved dataset, parquet files, or a dataset of the Hub."""

from collections.abc import Sequence
from pathlib import Path

from batchgender.errors import UserError
from batchgender.io import Notify, is_number
from batchgender.photos.labels import ALIASES, DEFAULT_NAMES, LabelNames, names_option
from batchgender.photos.labels_file import LabelsFile, read_labels
from batchgender.photos.photo import printable
from batchgender.photos.places.folder import is_system_folder
from batchgender.photos.places.list_text import CSV_ENDINGS
from batchgender.photos.source import PhotoSource
from batchgender.training.data.folders import from_folder
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.open_dataset import is_dataset, is_hub_id, load_splits
from batchgender.training.data.photo_sources import from_list, from_photos
from batchgender.training.data.splits import LabelledSource

DEFAULT_SOURCE = "myvision/gender-classification"
OFFLINE_WAYS = (
    "give --data a folder SPLIT/CLASS/* or CLASS/*, a CSV of paths and labels, a dataset saved by `datasets`, or"
    " parquet files"
)
# Endings of files that are no ids of datasets.
_FILES = (".parquet", ".zip", ".tar", ".gz", ".tgz")
# So many classes are named: a column of ages has a hundred.
_NAMED = 5


def open_source(
    source: str, notify: Notify, names: LabelNames = DEFAULT_NAMES, labels: str | None = None
) -> LabelledSource:
    """Open a source by its path or Hub id, once for all its splits; raises UserError where it can't be read.

    `names` are what its labels may call the classes; `labels` is a file of labels that replace its own. Folders, lists,
    and what else `classify` reads need no extra; the others are read by the package `datasets`.
    """
    # Before a source that takes long to open.
    stated = read_labels(labels, notify, names) if labels else None
    splits = _splits(source, notify, names)
    if stated:
        splits = _relabelled(splits, stated, notify)
    filled = {split: photos for split, photos in splits.items() if len(photos)}
    for split in splits.keys() - filled.keys():
        made = ": it is made from the training photos" if "train" in filled and split != "train" else ""
        notify(f"{source}: its {split} split has no labelled photo, and is left out{made}")
    _notify_unknown_names(source, next(iter(splits.values())).classes, notify)
    # Where nothing is left, what asks for the photos says so.
    return LabelledSource(source, filled or splits)


def _relabelled(splits: dict[str, LabelledPhotos], stated: LabelsFile, notify: Notify) -> dict[str, LabelledPhotos]:
    """The splits with the labels that a file states, without the photos that it leaves without one."""
    classes = next(iter(splits.values())).classes
    stated.check_classes(classes, "the photos")
    # As a results file shows them: labels files are written with the same paths.
    labels = stated.labels_of(
        lambda: (printable(name) for photos in splits.values() for name in photos.names), classes, notify
    )
    return {split: photos.relabelled(labels) for split, photos in splits.items()}


def _notify_unknown_names(source: str, classes: Sequence[str], notify: Notify) -> None:
    """Say so where classes are numbers, or where one of two is ours: names of both may be meant, and be unknown."""
    unknown = [name for name in classes if name not in ALIASES]
    if len(classes) == 2 and len(unknown) == 1:
        missing = next(name for name in ALIASES if name not in classes)
        known = next(name for name in classes if name in ALIASES)
        notify(
            f"{source}: its classes are {known} and {unknown[0]};"
            f" {names_option(missing, unknown[0])} says that {unknown[0]} is {missing}"
        )
    elif unknown and all(map(is_number, unknown)):
        listed = ", ".join(unknown[:_NAMED]) + (" and so on" if len(unknown) > _NAMED else "")
        notify(
            f"{source}: its classes are called {listed}; --label-names says which class a number is"
            " (--label-names male=1 --label-names female=2, for example)"
        )


def _parquet_files(folder: Path) -> list[Path]:
    """The parquet files under a folder, but for hidden ones and those in folders that systems make."""
    try:
        found = sorted(folder.rglob("*.parquet"))
    except RecursionError as error:
        raise UserError(f"{folder}: its folders lie too deep in each other; give one further down") from error
    return [file for file in found if not any(map(is_system_folder, file.relative_to(folder).parts))]


def _splits(source: str, notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    path = Path(source)
    parquet = [path] if path.suffix == ".parquet" and path.is_file() else []
    if not parquet and not is_dataset(source):
        if path.is_dir():
            parquet = _parquet_files(path)
            if not parquet:
                return from_folder(source, notify, names)
        elif path.exists() and path.suffix.lower() in CSV_ENDINGS:
            return from_list(source, notify, names)
        elif path.exists() or "://" in source:
            return from_photos(PhotoSource([source], notify, names), notify, names)
        elif path.suffix.lower() in (*CSV_ENDINGS, *_FILES):
            raise UserError(f"{source}: no such file; check --data")
        elif not is_hub_id(source):
            raise UserError(f"{source}: no such folder, and no dataset id either; {OFFLINE_WAYS}")
    loaded = load_splits(source, notify, OFFLINE_WAYS, parquet)
    from batchgender.training.data.dataset_rows import labelled_splits

    return labelled_splits(loaded, source, notify, names)
