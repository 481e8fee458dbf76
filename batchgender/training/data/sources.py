"""Where the labelled photos come from: the Hub, a saved dataset, parquet files, folders."""

import hashlib
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import Notify
from batchgender.photos.decode import decode, read_bytes
from batchgender.photos.finder import PhotoFinder
from batchgender.photos.labels import canonical_classes, canonical_name
from batchgender.photos.resize import resize
from batchgender.threads import available_cores

DEFAULT_SOURCE = "myvision/gender-classification"
OFFLINE_WAYS = (
    "give --data a folder SPLIT/CLASS/* or CLASS/*, a dataset saved by `datasets`, or a folder of parquet files"
)
_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_IMAGE_COLUMNS = ("image", "img", "photo", "picture")
_LABEL_COLUMNS = ("label", "labels", "gender", "sex", "class", "target")
_VAL_SHARE = _TEST_SHARE = 0.1


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos of one split: class indices int64 [n], names for messages and hashing, and their bytes by index."""

    classes: list[str]
    labels: NDArray[np.int64]
    names: list[str]
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Sequence[int]) -> "LabelledPhotos":
        """The photos at these indices, in their order."""
        chosen = list(indices)
        return LabelledPhotos(
            self.classes, self.labels[chosen], [self.names[i] for i in chosen], lambda i: self.read(chosen[i])
        )

    def counts(self) -> dict[str, int]:
        """How many photos each class has."""
        return {name: int((self.labels == index).sum()) for index, name in enumerate(self.classes)}

    def fingerprint(self) -> str:
        """A hash of names, labels and order: the same for the same split."""
        digest = hashlib.sha256("\n".join(self.names).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16] + hashlib.sha256(self.labels.tobytes()).hexdigest()[:16]


# A photo and its index in the split to uint8 [size, size, 3].
View = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
# Images uint8 [B, size, size, 3], labels int64 [B], and the photos' indices in the split.
Batch = tuple[NDArray[np.uint8], NDArray[np.int64], list[int]]


class Batches:
    """Photos decoded ahead by threads, in uint8 [B, size, size, 3] batches with int64 [B] labels, in order.

    A photo that can't be read is left out, and said once to `notify`; `unreadable` names all of them.
    """

    def __init__(self, photos: LabelledPhotos, size: int, batch_size: int, notify: Notify) -> None:
        self.photos, self.size, self.batch_size, self._notify = photos, size, batch_size, notify
        self.unreadable: dict[str, str] = {}

    def __call__(self, order: Sequence[int], view: View | None = None) -> Iterator[Batch]:
        """Yield (images, labels, indices) for the photos at `order`, each as `view` shows it, else resized."""
        groups = [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)]
        with ThreadPoolExecutor(available_cores(), initializer=_give_way) as pool:
            pending = iter(groups)
            ahead = [(g, [pool.submit(self._load, i, view) for i in g]) for g in islice(pending, 4)]
            while ahead:
                group, futures = ahead.pop(0)
                if (following := next(pending, None)) is not None:
                    ahead.append((following, [pool.submit(self._load, i, view) for i in following]))
                loaded = [(i, image) for i, f in zip(group, futures, strict=True) if (image := f.result()) is not None]
                if loaded:
                    indices = [int(i) for i, _ in loaded]
                    yield np.stack([image for _, image in loaded]), self.photos.labels[indices], indices

    def _load(self, index: int, view: View | None) -> NDArray[np.uint8] | None:
        try:
            image = decode(self.photos.read(index))
            return view(image, index) if view else resize(image, self.size)
        except UnreadablePhoto as error:
            name = self.photos.names[index]
            if name not in self.unreadable:
                self.unreadable[name] = str(error)
                self._notify(f"{name}: {error}; left out")
            return None


def _give_way() -> None:
    """Let a decoding thread run where the network's threads wait: they stop for each other where one is held up."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + 10))


def load_split(source: str, split: str, notify: Notify) -> LabelledPhotos:
    """Load one split ("train", "val", "test", or "all") of a source; raises UserError where it has none.

    A source without a test split gives a tenth of its photos, one without a validation split a tenth of the
    rest, chosen by a hash of each name: a photo stays in its split when others are added.
    """
    splits = _open(source, notify)
    if split == "all":
        return _joined(list(splits.values()))
    if "train" in splits:
        if "test" not in splits:
            splits["train"], splits["test"] = _carve(splits["train"], _TEST_SHARE, "test")
        if "val" not in splits:
            splits["train"], splits["val"] = _carve(splits["train"], _VAL_SHARE, "val")
    if split not in splits:
        raise UserError(f"{source}: has no {split} split, only {', '.join(splits)}; try --split all")
    return splits[split]


def check_trainable(photos: LabelledPhotos, source: str) -> None:
    """Raise UserError where the training split can't teach anything: one class, or a class with no photo."""
    counts = photos.counts()
    if len(counts) < 2:
        raise UserError(f"{source}: has only one class ({', '.join(counts) or 'none'}); training needs two")
    for name, count in counts.items():
        if not count:
            raise UserError(f"{source}: class {name} has no photo in the training split; add some or remove it")


def _open(source: str, notify: Notify) -> dict[str, LabelledPhotos]:
    path = Path(source)
    if path.is_file() and path.suffix == ".parquet":
        return _from_parquet({"train": [str(path)]}, source, notify)
    if path.is_dir():
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            return _from_disk(source, notify)
        if parquet := sorted(str(f) for f in path.rglob("*.parquet")):
            return _from_parquet(_parquet_splits(parquet, path), source, notify)
        return _from_folder(source, notify)
    if path.exists():
        raise UserError(f"{source}: neither a folder nor a parquet file; {OFFLINE_WAYS}")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) or source.startswith("."):
        raise UserError(f"{source}: no such folder, and no dataset id either; {OFFLINE_WAYS}")
    return _from_hub(source, notify)


def _split_named(name: str) -> str | None:
    return next((split for split, names in _SPLITS.items() if name.lower() in names), None)


def _from_folder(source: str, notify: Notify) -> dict[str, LabelledPhotos]:
    folders = sorted(f for f in Path(source).iterdir() if f.is_dir() and not f.name.startswith("."))
    if not folders:
        raise UserError(f"{source}: no folders in it; expected SPLIT/CLASS/* or CLASS/*")
    by_split = {split: f for f in folders if (split := _split_named(f.name))}
    roots = by_split or {"train": Path(source)}
    class_folders = {
        split: sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
        for split, root in roots.items()
    }
    classes = canonical_classes(f.name for folders in class_folders.values() for f in folders)
    if not classes:
        raise UserError(f"{source}: no class folders in it; expected SPLIT/CLASS/* or CLASS/*")
    return {split: _files(Path(source), folders, classes, notify) for split, folders in class_folders.items()}


def _files(root: Path, folders: Sequence[Path], classes: list[str], notify: Notify) -> LabelledPhotos:
    files: list[str] = []
    labels: list[int] = []
    for folder in folders:
        found = [photo.file for photo in PhotoFinder([str(folder)], notify)]
        files += found
        labels += [classes.index(canonical_name(folder.name))] * len(found)
    names = [os.path.relpath(file, root) for file in files]
    return LabelledPhotos(classes, np.array(labels, np.int64), names, lambda i: read_bytes(files[i]))


def _from_disk(source: str, notify: Notify) -> dict[str, LabelledPhotos]:
    import datasets

    try:
        loaded = datasets.load_from_disk(source)
    except Exception as error:  # A damaged dataset raises whatever Arrow meets.
        raise UserError(f"{source}: can't load this saved dataset ({_first_line(error)})") from error
    splits = loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    return _from_datasets(splits, source, notify)


def _parquet_splits(files: Sequence[str], root: Path) -> dict[str, list[str]]:
    """Sort parquet files into splits by the folder or the first word of the name, as the Hub lays them out."""
    splits: dict[str, list[str]] = {}
    for file in files:
        relative = Path(file).relative_to(root)
        words = [*reversed(relative.parts[:-1]), re.split(r"[-_.]", relative.name)[0]]
        split = next((s for word in reversed(words) if (s := _split_named(word))), "train")
        splits.setdefault(split, []).append(file)
    return splits


def _from_parquet(files: dict[str, list[str]], source: str, notify: Notify) -> dict[str, LabelledPhotos]:
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset("parquet", data_files=files)
    except Exception as error:  # As above.
        raise UserError(f"{source}: can't load these parquet files ({_first_line(error)})") from error
    return _from_datasets(loaded, source, notify)


def _from_hub(source: str, notify: Notify) -> dict[str, LabelledPhotos]:
    import datasets

    notify(f"loading {source} from the Hugging Face Hub")
    # Its retries are said line by line; what comes of them is said once, below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        loaded = datasets.load_dataset(source)
    except Exception as error:  # Hub, network and cache each raise their own.
        raise UserError(
            f"{source}: can't load it from the Hugging Face Hub ({_first_line(error)});"
            f" check the id and the network, or {OFFLINE_WAYS}"
        ) from error
    return _from_datasets(loaded, source, notify)


def _from_datasets(splits: Any, source: str, notify: Notify) -> dict[str, LabelledPhotos]:
    """Turn the splits of a `datasets` dataset into ours; its images stay bytes until we decode them."""
    import datasets

    named = {ours: name for name in splits if (ours := _split_named(str(name)))}
    if not named and len(splits) == 1:
        named = {"train": next(iter(splits))}
    if not named:
        raise UserError(f"{source}: no split train, validation or test, only {', '.join(map(str, splits))}")
    features = splits[next(iter(named.values()))].features
    image_column = _image_column(features, source)
    label_column = _label_column(features, image_column, source)
    values = {ours: splits[name].with_format(None)[label_column][:] for ours, name in named.items()}
    names = _class_names(features[label_column], values, label_column, notify)
    classes = canonical_classes(names.values())
    loaded = {}
    for ours, name in named.items():
        rows = splits[name].cast_column(image_column, datasets.Image(decode=False))
        unknown = {value for value in values[ours] if value not in names}
        if unknown:
            raise UserError(f"{source}: split {name} has photos without a class (label {sorted(map(str, unknown))[0]})")
        labels = np.array([classes.index(canonical_name(names[value])) for value in values[ours]], np.int64)
        titles = [f"{name}[{i}]" for i in range(len(rows))]
        loaded[ours] = LabelledPhotos(classes, labels, titles, _cell_reader(rows, image_column))
    return loaded


def _cell_reader(rows: Any, column: str) -> Callable[[int], bytes]:
    def read(index: int) -> bytes:
        cell = rows[index][column]
        if cell is None:
            raise UnreadablePhoto("no image in this row")
        return cell["bytes"] if cell["bytes"] is not None else read_bytes(cell["path"])

    return read


def _image_column(features: Any, source: str) -> str:
    import datasets

    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    # Parquet written without `datasets` has plain structs or bytes.
    plain = [
        name
        for name, feature in features.items()
        if (isinstance(feature, dict) and "bytes" in feature) or getattr(feature, "dtype", "") == "binary"
    ]
    candidates = images or plain
    if not candidates:
        raise UserError(f"{source}: no column of images among {', '.join(features)}")
    return next((name for name in candidates if name.lower() in _IMAGE_COLUMNS), candidates[0])


def _label_column(features: Any, image_column: str, source: str) -> str:
    import datasets

    others = [name for name in features if name != image_column]
    labels = [name for name in others if isinstance(features[name], datasets.ClassLabel)]
    for candidates in (labels, others):
        by_name = [name for name in candidates if name.lower() in _LABEL_COLUMNS]
        if by_name or len(candidates) == 1:
            return (by_name or candidates)[0]
    raise UserError(f"{source}: no column named label (or gender, sex, class) among {', '.join(features)}")


def _class_names(feature: Any, values: dict[str, Sequence[Any]], column: str, notify: Notify) -> dict[Any, str]:
    """Map each value of the label column to its class name."""
    found = sorted({value for split in values.values() for value in split if value is not None}, key=str)
    declared = getattr(feature, "names", None)
    names = dict(enumerate(declared)) if declared else {value: str(value) for value in found}
    if set(names.values()) == {"0", "1"}:
        notify(f"the column {column} does not name its classes: taking 0 for Female and 1 for Male")
        return {value: ("Female", "Male")[int(name)] for value, name in names.items()}
    return names


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _joined(splits: Sequence[LabelledPhotos]) -> LabelledPhotos:
    where = [(s, i) for s, photos in enumerate(splits) for i in range(len(photos))]
    names = [splits[s].names[i] for s, i in where]
    labels = np.concatenate([photos.labels for photos in splits])
    return LabelledPhotos(splits[0].classes, labels, names, lambda i: splits[where[i][0]].read(where[i][1]))


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
