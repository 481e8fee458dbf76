"""The rows of a dataset that `datasets` loaded: its columns of images and labels, as our splits or one by one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import datasets
import numpy as np

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import Notify
from batchgender.photos.columns import Column, image_column, label_column
from batchgender.photos.label_columns import classes_of_values, stated_classes
from batchgender.photos.labels import LabelNames
from batchgender.photos.reading import read_bytes
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.splits import split_named


def labelled_splits(splits: Any, source: str, notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    """The splits of a dataset by our names; its images stay bytes until we decode them.

    Raises UserError where it has no column of images or of labels.
    """
    named = _splits_by_our_names(splits, source, notify)
    columns = _columns(next(iter(named.values()))[0].features)
    image = image_column(columns, source)
    label = _label_column([column for column in columns if column != image], source, names)
    values = {ours: rows.with_format(None)[label.name][:] for ours, (rows, _) in named.items()}
    class_of = classes_of_values(label.classes, chain(*values.values()), label.name, names, notify)
    classes = sorted(set(class_of.values()))
    loaded = {}
    for ours, (rows, titles) in named.items():
        known = [at for at, value in enumerate(values[ours]) if value in class_of]
        if len(known) < len(rows):
            notify(f"{source}: {len(rows) - len(known):,} photos of its {ours} split have no label, and are left out")
        labels = np.array([classes.index(class_of[values[ours][at]]) for at in known], np.int64)
        images = rows.cast_column(image.name, datasets.Image(decode=False)).select(known)
        loaded[ours] = LabelledPhotos(classes, labels, [titles[at] for at in known], _cell_reader(images, image.name))
    return loaded


@dataclass(frozen=True)
class NamedRows:
    """The rows of a dataset as a source of (name, function, label), see `photos.places.named`: "test[0]" and so on.

    `labels` are the classes of each split's rows, "" where a row has none; None where no column holds labels.
    """

    images: dict[str, Any]
    column: str
    labels: dict[str, list[str]] | None

    def __iter__(self) -> Iterator[tuple[str, Callable[[], bytes], str | None]]:
        for split, rows in self.images.items():
            read = _cell_reader(rows, self.column)
            for at in range(len(rows)):
                yield f"{split}[{at}]", partial(read, at), self.labels[split][at] if self.labels else None


def named_rows(splits: Any, source: str, notify: Notify, names: LabelNames | None) -> NamedRows:
    """All rows of all splits of a dataset, labelled or not; with `names` None, or without a column of labels, not.

    Raises UserError where it has no column of images.
    """
    columns = _columns(next(iter(splits.values())).features)
    image = image_column(columns, source)
    label = names and label_column([column for column in columns if column != image], names)
    undecoded = datasets.Image(decode=False)
    images = {str(name): rows.cast_column(image.name, undecoded) for name, rows in splits.items()}
    if not (names and label):
        return NamedRows(images, image.name, None)
    values = {split: rows.with_format(None)[label.name][:] for split, rows in images.items()}
    class_of = stated_classes(label.classes, chain(*values.values()), label.name, names, notify)
    labels = {split: [class_of.get(value, "") for value in of] for split, of in values.items()}
    return NamedRows(images, image.name, labels)


def _splits_by_our_names(splits: Any, source: str, notify: Notify) -> dict[str, tuple[datasets.Dataset, list[str]]]:
    """The rows of each of our splits, several of one split joined, and a title for each row: "test[0]".

    Raises UserError where there are other splits alone.
    """
    names: dict[str, list[str]] = {}
    for name in map(str, splits):
        if ours := split_named(name):
            names.setdefault(ours, []).append(name)
    if not names and len(splits) == 1:
        names = {"train": list(map(str, splits))}
    if not names:
        raise UserError(f"{source}: no split train, validation or test, only {', '.join(map(str, splits))}")
    found = {}
    for ours, of in names.items():
        if len(of) > 1:
            notify(f"{source}: its splits {', '.join(of)} are taken together as {ours}")
        try:
            rows = datasets.concatenate_datasets([splits[name] for name in of])
        except ValueError as error:
            raise UserError(
                f"{source}: its splits {', '.join(of)} differ in their columns; give one of them"
            ) from error
        found[ours] = rows, [f"{name}[{at}]" for name in of for at in range(len(splits[name]))]
    return found


def _cell_reader(rows: Any, column: str) -> Callable[[int], bytes]:
    def read(index: int) -> bytes:
        cell = rows[index][column]
        if cell is None:
            raise UnreadablePhoto("no image in this row")
        return cell["bytes"] if cell["bytes"] is not None else read_bytes(cell["path"])

    return read


def _columns(features: Any) -> list[Column]:
    return [
        Column(
            name,
            isinstance(feature, datasets.Image),
            (isinstance(feature, dict) and "bytes" in feature) or getattr(feature, "dtype", "") == "binary",
            feature.names if isinstance(feature, datasets.ClassLabel) else None,
        )
        for name, feature in features.items()
    ]


def _label_column(columns: Sequence[Column], source: str, names: LabelNames) -> Column:
    """The column of labels; without a sign of which it is, the only one beside the images."""
    if label := label_column(columns, names):
        return label
    if len(columns) == 1:
        return columns[0]
    listed = ", ".join(column.name for column in columns)
    raise UserError(f"{source}: no column named label (or gender, sex, class) among {listed}")
