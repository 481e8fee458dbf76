"""Which sources are datasets, and opening them with the package `datasets`, which is imported for these alone."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgender.extras import require_extra
from batchgender.io import Notify
from batchgender.photos.labels import LabelNames

if TYPE_CHECKING:
    from batchgender.training.data.dataset_rows import NamedRows

_ID = r"[\w-][\w.-]*(/[\w.-]+)?"
_HUB = re.compile(rf"(?:hf://datasets/)({_ID})/?")
# What `datasets` writes beside the rows of a split.
_SAVED = ("state", "dataset_info")
_OTHERWISE = "give a dataset saved by `datasets`, or a parquet file"


def is_dataset(source: str) -> bool:
    """Whether this is `hf://datasets/USER/NAME`, or a folder that `datasets` saved."""
    return bool(_HUB.fullmatch(source)) or _is_saved(Path(source))


def is_hub_id(source: str) -> bool:
    """Whether this may be the id of a dataset of the Hub, USER/NAME."""
    return re.fullmatch(_ID, source) is not None


def load_splits(source: str, notify: Notify, otherwise: str = _OTHERWISE, parquet: Sequence[Path] = ()) -> Any:
    """The splits by name of what is a dataset, of `parquet` files, or of a Hub id.

    Raises UserError where the extra is missing, and where it can't be loaded: then it ends in `otherwise`.
    """
    path, hub = Path(source), _HUB.fullmatch(source)
    kind = "this kind of data" if path.exists() else "no such folder here, and a dataset of the Hugging Face Hub"
    require_extra("train", f"{source}: {kind}")
    from batchgender.training.data import hugging_face

    if _is_saved(path):
        return hugging_face.load_saved(source)
    if path.exists():
        return hugging_face.load_parquet(source, parquet)
    return hugging_face.load_hub(hub[1] if hub else source, notify, otherwise)


def open_rows(source: str, notify: Notify, names: LabelNames | None) -> "NamedRows":
    """All rows of what is a dataset, for `classify`; with `names` None without labels. Raises UserError."""
    splits = load_splits(source, notify)
    from batchgender.training.data.dataset_rows import named_rows

    return named_rows(splits, source, notify, names)


def _is_saved(path: Path) -> bool:
    # A folder of photos may hold a file state.json, too.
    return (path / "dataset_dict.json").is_file() or all((path / f"{name}.json").is_file() for name in _SAVED)
