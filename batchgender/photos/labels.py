"""Class names, their aliases, and the label that a path carries."""

from collections.abc import Iterable, Sequence
from pathlib import PurePath

ALIASES = {
    "Female": ("female", "woman", "women", "girl", "girls", "f"),
    "Male": ("male", "man", "men", "boy", "boys", "m"),
}
_CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


def canonical_name(name: str) -> str:
    """Turn a class name as a dataset spells it ("women") into ours ("Female"); others stay as they are."""
    return _CANONICAL.get(name.strip().lower(), name)


def canonical_classes(names: Iterable[str]) -> list[str]:
    """Order class names: Female 0 and Male 1 where they are these two, else by name."""
    return sorted({canonical_name(name) for name in names})


def label_of(path: str, classes: Sequence[str], root: str = "") -> str:
    """Find the class that a path's folders carry, the part nearest to the file first; "" where none does.

    `path` is relative to the folder given, with `/`; `root` is that folder's own name.
    """
    wanted = {name.lower(): name for name in classes}
    for part in reversed((root, *PurePath(path).parts[:-1])):
        name = wanted.get(part.lower()) or wanted.get(canonical_name(part).lower())
        if name:
            return name
    return ""
