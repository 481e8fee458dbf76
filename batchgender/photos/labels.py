"""Class names, the other names that folders and columns have for them, and the label that a path carries."""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath

from batchgender.errors import UserError, os_reason

ALIASES = {
    "Female": ("female", "woman", "women", "girl", "girls", "f"),
    "Male": ("male", "man", "men", "boy", "boys", "m"),
}
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


@dataclass(frozen=True)
class LabelNames:
    """Names that stand for classes: those of ALIASES, and those that the user gives, which go first.

    They are compared without regard to case, spaces around them and Unicode normal form; numbers by their value.
    """

    given: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def _classes(self) -> dict[str, str]:
        """The class by each name's key."""
        found = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
        for name, names in self.given.items():
            found.setdefault(_key(name), name)
            found.update(dict.fromkeys(map(_key, names), name))
        return found

    def canonical_name(self, name: str) -> str:
        """Turn a class name as a dataset spells it ("women") into ours ("Female"); others stay as they are."""
        return self._classes.get(_key(name), name)

    def canonical_classes(self, names: Iterable[str]) -> list[str]:
        """Order class names: Female 0 and Male 1 where they are these two, else by name."""
        return sorted({self.canonical_name(name) for name in names})

    def label_of(self, path: str, classes: Sequence[str], root: str = "") -> str:
        """Find the class that a path's folders carry, the part nearest to the file first; "" where none does.

        `path` is relative to the folder given, with `/`; `root` is that folder's own name.
        """
        wanted = {_key(name): name for name in classes}
        for part in reversed((root, *PurePath(path).parts[:-1])):
            key = _key(part)
            known = self._classes.get(key)
            name = wanted.get(_key(known)) if known else wanted.get(key)
            if name:
                return name
        return ""

    def as_dict(self) -> dict[str, list[str]]:
        """The names given, as plain data."""
        return {name: list(names) for name, names in self.given.items()}


DEFAULT_NAMES = LabelNames()


def _key(name: str) -> str:
    """What is compared of a name."""
    text = name.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    # A column of numbers may hold 1 or 1.0.
    return f"{float(text):g}" if _NUMBER.fullmatch(text) else text.casefold()


def parse_label_names(texts: Iterable[str]) -> LabelNames:
    """Read `CLASS=NAME,NAME` texts, and files of such lines (blank ones, and those that begin with #, are left out).

    Raises UserError on what is neither, and on a name that stands for two classes.
    """
    given: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for text in texts:
        for line in [text] if "=" in text else _lines(text):
            kind, sign, listed = line.partition("=")
            names = [name.strip() for name in listed.split(",")]
            if not (sign and kind.strip() and all(names)):
                raise UserError(f"--label-names {line!r}: write CLASS=NAME,NAME: female=mujer,Weiblich")
            name = DEFAULT_NAMES.canonical_name(kind.strip())
            for each in names:
                if owner.setdefault(_key(each), name) != name:
                    raise UserError(f"--label-names: {each!r} stands for {owner[_key(each)]} and {name}; choose one")
            given.setdefault(name, []).extend(names)
    return LabelNames(given)


def _lines(file: str) -> list[str]:
    if not os.path.isfile(file):
        raise UserError(f"--label-names {file!r}: neither CLASS=NAME,NAME nor a file of such lines")
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"{file}: can't read it ({os_reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8; save it as text in UTF-8") from error
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]
