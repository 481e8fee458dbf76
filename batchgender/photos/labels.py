"""Class names, the other names that folders and columns have for them, and the label that a path carries."""

import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path, PurePath

from batchgender.errors import UserError, os_reason
from batchgender.io import bytes_shown, one_line
from batchgender.photos.file_type import container_ending

ALIASES = {
    "Female": ("female", "woman", "women", "girl", "girls", "f"),
    "Male": ("male", "man", "men", "boy", "boys", "m"),
}
_NUMBER = re.compile(r"([+-]?)0*(\d+)(?:\.(\d*?)0*)?", re.ASCII)
_BOOLEANS = {"false": "0", "true": "1"}
# Folders whose label is remembered.
_FOLDERS_KEPT = 256


@dataclass(frozen=True)
class LabelNames:
    """Names that stand for classes: those of ALIASES, and those that the user gives, which go first.

    They are compared by `name_key`: without regard to case, spaces around them and Unicode normal form, numbers by
    their value.
    """

    given: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def _given(self) -> dict[str, str]:
        """The class by the key of each name that the user gives; a class has its own name, too."""
        owners = {class_: _ALIAS_CLASSES.get(name_key(class_), class_) for class_ in self.given}
        found = {name_key(name): owners[class_] for class_, names in self.given.items() for name in names}
        for class_, owner in owners.items():
            found.setdefault(name_key(class_), owner)
        return found

    def is_given(self, name: str) -> bool:
        """Whether the user says which class this name stands for."""
        return name_key(name) in self._given

    def canonical_name(self, name: str) -> str:
        """Turn a class name as a dataset spells it ("women") into ours ("Female"); others stay as they are."""
        key = name_key(name)
        return self._given.get(key) or _ALIAS_CLASSES.get(key, name)

    def canonical_classes(self, names: Iterable[str]) -> list[str]:
        """Order class names: Female 0 and Male 1 where they are these two, else by name."""
        return sorted({self.canonical_name(name) for name in names})

    def label_of(self, path: str, classes: Sequence[str], root: str = "") -> str:
        """Find the class that a path's folders carry, the part nearest to the file first; "" where none does.

        `path` is relative to the folder given, with `/`; `root` is that folder's own name. An archive is a folder
        of its name without the ending.
        """
        # Photos of one folder follow each other.
        return self._label_of_folder(path.rpartition("/")[0], tuple(classes), root)

    @cached_property
    def _label_of_folder(self) -> Callable[[str, tuple[str, ...], str], str]:
        @lru_cache(_FOLDERS_KEPT)
        def label(folder: str, classes: tuple[str, ...], root: str) -> str:
            wanted = {name_key(name): name for name in classes}
            parts = reversed((root, *PurePath(folder).parts))
            folders = (part.removesuffix(container_ending(part)) for part in parts)
            return next((name for folder in folders if (name := self._class_of(folder, wanted))), "")

        return label

    def class_named(self, name: str, classes: Sequence[str]) -> str:
        """Find the one of a model's classes that a label stands for, "" where it stands for none."""
        return self._class_of(name, {name_key(each): each for each in classes})

    def _class_of(self, name: str, wanted: Mapping[str, str]) -> str:
        key = name_key(name)
        # A class of the model may be called like an alias: "boy" beside "man".
        known = self._given.get(key) or (name if key in wanted else _ALIAS_CLASSES.get(key))
        return wanted.get(name_key(known), "") if known else ""

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise UserError where names are given for what is no class of a model."""
        keys = set(map(name_key, classes))
        if strange := sorted(class_ for class_ in set(self._given.values()) if name_key(class_) not in keys):
            raise UserError(f"--label-names: the model has no class {strange[0]}, only {', '.join(classes)}")

    def as_dict(self) -> dict[str, list[str]]:
        """The names given, as plain data: the same for the same names, whatever their order and spelling."""
        return {class_: sorted(set(map(name_key, names))) for class_, names in sorted(self.given.items())}


def name_key(name: str) -> str:
    """What is compared of a name: "1", "1.0" and "True" are the same, as are "MÄNNER" and "männer " in any spelling."""
    text = name.strip()
    # A column of numbers may hold 1 or 1.0.
    if number := _NUMBER.fullmatch(text):
        sign, whole, fraction = number.groups()
        value = f"{whole}.{fraction}" if fraction else whole
        return "-" + value if sign == "-" and value != "0" else value
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", bytes_shown(text)).casefold())
    return _BOOLEANS.get(text, text)


_ALIAS_CLASSES = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
DEFAULT_NAMES = LabelNames()


def label_names(names: LabelNames | None, stated: str | None) -> LabelNames | None:
    """What labels are called where a place may have stated a class itself: that is not to be translated again."""
    return names if stated is None or names is None else DEFAULT_NAMES


def names_option(class_: str, name: str) -> str:
    """What to write on a command line so that `name` stands for a class."""
    return f"--label-names {shlex.quote(one_line(f'{class_.lower()}={name}'))}"


def parse_label_names(texts: Iterable[str]) -> LabelNames:
    """Read `CLASS=NAME,NAME` texts, and files of such lines (blank ones, and those that begin with #, are left out).

    Raises UserError on what is neither, and on a name that stands for two classes.
    """
    given: dict[str, list[str]] = {}
    classes: dict[str, str] = {}
    owners: dict[str, str] = {}
    for where, line in chain.from_iterable(map(_lines, texts)):
        class_, sign, listed = line.partition("=")
        names = [bytes_shown(name.strip()) for name in listed.split(",")]
        if not (sign and class_.strip() and all(names)):
            raise UserError(f"{where}: {line!r}: write CLASS=NAME,NAME: female=mujer,Weiblich")
        owner = DEFAULT_NAMES.canonical_name(bytes_shown(class_.strip()))
        # A class that is written in two ways is one.
        owner = classes.setdefault(name_key(owner), owner)
        for name in names:
            if (other := owners.setdefault(name_key(name), owner)) != owner:
                raise UserError(f"{where}: {name!r} stands for {other} and {owner}; choose one")
        given.setdefault(owner, []).extend(name for name in names if name not in given.get(owner, ()))
    return LabelNames(given)


def _lines(text: str) -> list[tuple[str, str]]:
    """The lines that a text stands for, itself or those of a file of this name, and where each is."""
    option = "--label-names"
    if not os.path.isfile(text):
        if "=" in text:
            return [(option, text)]
        raise UserError(f"{option}: {text!r}: neither CLASS=NAME,NAME nor a file of such lines")
    try:
        lines = Path(text).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"{option}: {text}: can't read it ({os_reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{option}: {text}: not UTF-8; save it as text in UTF-8") from error
    numbered = ((f"{option}: {text}, line {number}", line.strip()) for number, line in enumerate(lines, 1))
    return [(where, line) for where, line in numbered if line and not line.startswith("#")]
