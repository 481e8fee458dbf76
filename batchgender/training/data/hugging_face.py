"""Datasets that the package `datasets` loads: saved ones, parquet files, those of the Hub. Each is splits by name."""

import logging
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import datasets.exceptions
from datasets.table import CastError
from huggingface_hub.errors import HfHubHTTPError

from batchgender.errors import UserError
from batchgender.io import Notify, first_line, silent
from batchgender.model.hub_file import refusal
from batchgender.training.data.splits import split_named

# Without an answer for so long the Hub counts as unreachable; its own retries take half a minute.
_SECONDS = 5.0


def load_saved(source: str) -> Any:
    """The splits by name of a dataset that `datasets` saved; raises UserError where it is damaged."""
    try:
        loaded = datasets.load_from_disk(source)
    except Exception as error:  # A damaged dataset raises whatever Arrow meets.
        raise UserError(f"{source}: can't load this saved dataset ({first_line(error)})") from error
    return loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}


def _parquet_splits(files: Sequence[Path], root: Path) -> dict[str, list[str]]:
    """Sort parquet files into splits by the folder or the first word of the name, as the Hub lays them out."""
    splits: dict[str, list[str]] = {}
    for file in files:
        relative = file.relative_to(root)
        words = [*reversed(relative.parts[:-1]), re.split(r"[-_.]", relative.name)[0]]
        split = next((s for word in reversed(words) if (s := split_named(word))), "train")
        splits.setdefault(split, []).append(str(file))
    return splits


def load_parquet(source: str, files: Sequence[Path]) -> Any:
    """The splits by name of a parquet file, or of a folder of them; raises UserError where they are damaged."""
    splits = {"train": [source]} if Path(source).is_file() else _parquet_splits(files, Path(source))
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset("parquet", data_files=splits)
    except Exception as error:  # As above.
        raise UserError(f"{source}: can't load these parquet files ({first_line(error)})") from error


def load_hub(source: str, notify: Notify, otherwise: str) -> Any:
    """The splits by name of a dataset of the Hugging Face Hub, or of its copy in the cache.

    Raises UserError without either; `otherwise` ends it: what else a user can do.
    """
    notify(f"loading {source} from the Hugging Face Hub")
    # Retries and errors are said line by line; what comes of them is said once, below.
    for name in ("huggingface_hub", "datasets"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if notify is silent or sys.stderr is None or not sys.stderr.isatty():
        datasets.disable_progress_bars()
    missing = ""
    if datasets.config.HF_HUB_OFFLINE:
        missing = "HF_HUB_OFFLINE is set"
        notify(f"{missing}: looking for a copy in the cache")
    elif not _answers(datasets.config.HF_ENDPOINT):
        missing = "no answer"
        notify("the Hub does not answer: looking for a copy in the cache")
        _go_offline()
    try:
        return datasets.load_dataset(source)
    except Exception as error:  # Hub, network and cache each raise their own.
        reason = f"{missing}, and no copy in the cache" if missing else _reason(error)
        raise UserError(
            f"{source}: can't load it from the Hugging Face Hub ({reason});"
            f" check the id and the network, or {otherwise}"
        ) from error


def _reason(error: BaseException) -> str:
    """Why a dataset can't be loaded: what the Hub says, or what is wrong with its files, beneath the general error."""
    causes = [error]
    while cause := causes[-1].__cause__:
        causes.append(cause)
    for each in causes:
        if isinstance(each, HfHubHTTPError):
            return refusal(each, "dataset")
        if isinstance(each, CastError):
            found, stated = (", ".join(names) for names in (each.table_column_names, each.requested_column_names))
            return f"its files have the columns {found}, and its card states {stated}"
    return first_line(causes[-1] if isinstance(error, datasets.exceptions.DatasetGenerationError) else error)


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
