"""Labelled photos that the package `datasets` reads: saved datasets, parquet files, datasets of the Hub."""

import logging
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import Notify, first_line
from batchgender.photos.columns import Column, image_column, label_column
from batchgender.photos.label_columns import classes_of_values
from batchgender.photos.labels import LabelNames
from batchgender.photos.reading import read_bytes
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.splits import split_named

# Without an answer for so long the Hub counts as unreachable; its own retries take half a minute.
_SECONDS = 5.0


def from_saved_dataset(source: str, notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    """The splits of a dataset that `datasets` saved; raises UserError where it is damaged."""
    try:
        loaded = datasets.load_from_disk(source)
    except Exception as error:  # A damaged dataset raises whatever Arrow meets.
        raise UserError(f"{source}: can't load this saved dataset ({first_line(error)})") from error
    splits = loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    return _from_datasets(splits, source, notify, names)


def _parquet_splits(files: Sequence[Path], root: Path) -> dict[str, list[str]]:
    """Sort parquet files into splits by the folder or the first word of the name, as the Hub lays them out."""
    splits: dict[str, list[str]] = {}
    for file in files:
        relative = file.relative_to(root)
        words = [*reversed(relative.parts[:-1]), re.split(r"[-_.]", relative.name)[0]]
        split = next((s for word in reversed(words) if (s := split_named(word))), "train")
        splits.setdefault(split, []).append(str(file))
    return splits


def from_parquet(source: str, files: Sequence[Path], notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    """The splits of a parquet file, or of a folder of them; raises UserError where they are damaged."""
    splits = {"train": [source]} if Path(source).is_file() else _parquet_splits(files, Path(source))
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset("parquet", data_files=splits)
    except Exception as error:  # As above.
        raise UserError(f"{source}: can't load these parquet files ({first_line(error)})") from error
    return _from_datasets(loaded, source, notify, names)


def from_hub(source: str, notify: Notify, names: LabelNames, otherwise: str) -> dict[str, LabelledPhotos]:
    """The splits of a dataset of the Hugging Face Hub, or of its copy in the cache; raises UserError without either.

    `otherwise` ends that error: what else a user can do.
    """
    notify(f"loading {source} from the Hugging Face Hub")
    # Its retries are said line by line; what comes of them is said once, below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    unreachable = not datasets.config.HF_HUB_OFFLINE and not _answers(datasets.config.HF_ENDPOINT)
    if unreachable:
        notify("the Hub does not answer: looking for a copy in the cache")
        _go_offline()
    try:
        loaded = datasets.load_dataset(source)
    except Exception as error:  # Hub, network and cache each raise their own.
        reason = "no answer, and no copy in the cache" if unreachable else first_line(error)
        raise UserError(
            f"{source}: can't load it from the Hugging Face Hub ({reason});"
            f" check the id and the network, or {otherwise}"
        ) from error
    return _from_datasets(loaded, source, notify, names)


def _from_datasets(splits: Any, source: str, notify: Notify, names: LabelNames) -> dict[str, LabelledPhotos]:
    """Turn the splits of a `datasets` dataset into ours; its images stay bytes until we decode them."""
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


def _answers(address: str) -> bool:
    """Whether a server answers at this address, and is not out of order."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=_SECONDS).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except (OSError, ValueError):
        return False
    return True


def _go_offline() -> None:
    """Have `datasets` ask the cache alone from here on."""
    import huggingface_hub.constants

    datasets.config.HF_HUB_OFFLINE = True
    huggingface_hub.constants.HF_HUB_OFFLINE = True
