"""Where photos go: rows of results to a folder for each photo, and its name in there."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchgender.csv_files import same_name
from batchgender.errors import UserError
from batchgender.model.thresholds import UNSURE, decide, in_force
from batchgender.results.read_results import read_results
from batchgender.results.rows import NO_FACE

_UNSURE, _NO_FACE, _UNREADABLE = "unsure", "no-face", "unreadable"
# The folders of photos without a class, with their places in a list of folders.
OF_NO_CLASS = {_UNSURE: 0, _NO_FACE: 1, _UNREADABLE: 2}
# Names that Windows keeps for devices.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def class_folder(name: str) -> str:
    """The folder of a class: its name in small letters, without what a folder's name can't have on every system."""
    folder = re.sub(r"[^\w .+-]", "_", same_name(name.strip()).lower()).strip(". ")
    taken = not folder or folder in OF_NO_CLASS or _DEVICES.fullmatch(folder)
    return f"class-{folder}" if taken else folder


def check_class_folders(classes: Iterable[str]) -> None:
    """Raise UserError where two classes would share a folder."""
    owners: dict[str, str] = {}
    for name in classes:
        other = owners.setdefault(class_folder(name), name)
        if other.lower() != name.lower():
            raise UserError(f"the classes {other!r} and {name!r} would share the folder {class_folder(name)}/")


@dataclass
class Decisions:
    """The folder of each photo, by its path in the results.

    A photo of several faces goes where its largest face goes, the first of its rows. `frames` counts the rows of
    videos, which have no folder.
    """

    folders: dict[str, str] = field(default_factory=dict)
    predictions: set[str] = field(default_factory=set)
    frames: int = 0

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, str]]) -> "Decisions":
        """Decide by rows; raises UserError where two classes would share a folder."""
        decisions = cls()
        for row in rows:
            decisions._add(row)
        check_class_folders(decisions.predictions)
        return decisions

    def _add(self, row: Mapping[str, str]) -> None:
        if row.get("time"):
            self.frames += 1
        elif row["path"] not in self.folders or row.get("face") == "1":
            prediction = row["prediction"].strip()
            if not prediction:
                folder = _NO_FACE if row["error"] == NO_FACE else _UNREADABLE
            elif prediction == UNSURE:
                folder = _UNSURE
            else:
                folder = class_folder(prediction)
                self.predictions.add(prediction)
            self.folders[row["path"]] = folder


def decided_anew(file: str, threshold: float) -> Iterator[dict[str, str]]:
    """The rows of a results file with the predictions that a threshold gives: `Unsure` below it, never with 0.

    Raises UserError as `read_results` does, and where a row has a prediction and no probabilities.
    """
    # The columns' names are in small letters.
    spelled = {row["prediction"].lower(): row["prediction"] for row in read_results(file)}
    for row in read_results(file):
        shares = {name.removeprefix("p_"): share for name, share in row.items() if name.startswith("p_") and share}
        if row["prediction"]:
            try:
                probabilities = [float(share) for share in shares.values()]
            except ValueError as error:
                raise UserError(f"{row['path']}: a probability in the results is no number") from error
            if not probabilities:
                raise UserError(f"{row['path']}: has no probabilities in the results, which --threshold needs")
            names = list(shares)
            decided = decide(probabilities, names, in_force({}, threshold, names))
            row["prediction"] = spelled.get(decided, decided)
        yield row


def name_below(path: str) -> Path:
    """A photo's place within its folder, by its path in the results: the same folders, and never out of it."""
    if os.sep == "\\":
        path = path.replace("\\", "/").replace(":", "_")
    parts = [part.replace("\0", "_") for part in path.split("/") if part not in ("", ".")]
    return Path(*("_" if part == ".." else part for part in parts))


def sharing_names(folders: Mapping[str, str]) -> set[str]:
    """The photos that would have the name of one before them, on a system that ignores case, too."""
    taken: set[str] = set()
    sharing = set()
    for path, folder in folders.items():
        name = same_name(f"{folder}/{name_below(path)}").casefold()
        if name in taken:
            sharing.add(path)
        taken.add(name)
    return sharing
