"""Labels in a tar as WebDataset lays it out: 0001.cls or 0001.json beside 0001.jpg."""

import json
import posixpath

# Keys in a description of a photo that are its label.
_KEYS = ("label", "gender", "sex")
# What is larger is no label, nor what describes a photo.
_LONGEST = {"cls": 2**10, "json": 2**20}


def sample_of(path: str) -> str:
    """The sample that a member belongs to: its path up to the first full stop of its name."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, name.partition(".")[0])


def may_label(path: str, size: int) -> bool:
    """Whether a member may be the label of its sample."""
    return size <= _LONGEST.get(_kind(path), -1)


def label_in(path: str, data: bytes) -> tuple[str, str] | None:
    """What a member calls its sample, and the name of that value; None where it says nothing of it."""
    text = data.decode("utf-8", "replace").strip()
    if _kind(path) == "cls":
        return ("cls", text) if text else None
    try:
        described = json.loads(text)
    except (ValueError, RecursionError):
        return None
    values = {key.lower(): value for key, value in described.items()} if isinstance(described, dict) else {}
    found = ((key, values[key]) for key in _KEYS if isinstance(values.get(key), str | int | float))
    return next(((key, str(value)) for key, value in found), None)


def _kind(path: str) -> str:
    return posixpath.basename(path).partition(".")[2].lower()
