"""What a model's metadata calls its dataset: an id of the Hub, or a name of the maker's own."""

import re
from pathlib import PurePosixPath, PureWindowsPath

_ID = re.compile(r"(?:hf://datasets/)?([\w-][\w.-]*/[\w.-]+)/?")


def dataset_named(dataset: str) -> tuple[str, str]:
    """The id of a dataset of the Hub, "" for others, and a name that shows no path of the maker's machine."""
    if found := _ID.fullmatch(dataset):
        return found[1], found[1]
    return "", PureWindowsPath(PurePosixPath(dataset).name).name
