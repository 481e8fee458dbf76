"""Where photos are: folders, files and patterns, walked, filtered and ordered."""

import copy
import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify, silent
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.reading import is_photo

# What systems and network storage leave beside photos, in small letters: thumbnails, waste baskets, snapshots.
_SYSTEM_FOLDERS = frozenset(
    {
        *("__macosx", "network trash folder", "temporary items"),  # macOS
        *("$recycle.bin", "recycler", "system volume information"),  # Windows; FOUND.000 is below
        *("lost+found", "lost.dir"),  # Linux, Android
        *("@eadir", "@tmp", "@sharebin", "#recycle", "#snapshot"),  # Synology
        *("@recycle", "@recently-snapshot", "@transcode", "@__thumb"),  # QNAP
        *("~snapshot", "trashbox"),  # NetApp, Buffalo
    }
)
_CHECKED_DISK = re.compile(r"found\.\d{3}")
# The ending that a file is counted by; what follows a full stop within a sentence is none.
_ENDING = re.compile(r"\.[\w~-]{1,16}")
# So many endings of files left out are named: a folder of other things has many.
_ENDINGS_NAMED = 10
# Files that people give in the place of photos, and what to do instead.
_NO_PHOTOS = {
    "an archive": (".zip .tar .gz .tgz .bz2 .xz .7z .rar", "unpack it and give the folder"),
    "a list": (".txt .csv .tsv .json .jsonl .parquet", "give the photos themselves, their folder or a quoted pattern"),
    "a video": (".mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv", "save its frames as photos and give their folder"),
}


@dataclass(frozen=True)
class Photo:
    """A photo found: its file, the path that its row shows (with `/`), and the name of the folder it was found under.

    `names` are what its folders may call the classes, None where they carry no label. `pixels`, uint8
    [height, width, 3] RGB, stand for the file of a photo that is in memory already.
    """

    file: str
    path: str
    root: str = ""
    names: LabelNames | None = DEFAULT_NAMES
    pixels: NDArray[np.uint8] | None = field(default=None, compare=False)


def printable(path: str) -> str:
    r"""Show a path as valid UTF-8: bytes that are not become `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace") if os.name == "posix" else path


class PhotoSource:
    """The photos under folders, files and patterns, in the order of their paths; opened once, iterated as needed.

    A tree is walked as it is iterated, so that the first photos are soon there and memory does not grow with their
    number; a short one, counted by `count_up_to`, is walked once. `notify` gets one line for each folder that can't be
    listed and each loop of links; `skipped` counts, by ending, the files that are no photos (`reading.is_photo`).
    Hidden files (a leading dot) are left out, and folders that systems make (`is_system_folder`). `names` are what
    folders may call the classes; with None no folder's name counts as a label. Raises UserError where an input does not
    exist or is no photo.
    """

    def __init__(
        self, inputs: Sequence[str], notify: Notify = silent, names: LabelNames | None = DEFAULT_NAMES
    ) -> None:
        self.inputs, self.names = list(inputs), names
        self._notify = notify
        self._notified: set[str] = set()
        self.skipped: Counter[str] = Counter()
        self.unlistable = 0
        self._files = _input_files(inputs)
        self._first: list[Photo] = []
        # The walk that found these, to go on from; None where it came to its end.
        self._rest: Iterator[Photo] | None = None

    def __iter__(self) -> Iterator[Photo]:
        if not self._first:
            return self._walk_all()
        if self._rest is None:
            return iter(self._first)
        rest, self._rest = self._rest, None
        first, self._first = self._first, []
        return chain(first, rest)

    def count_up_to(self, limit: int) -> int:
        """How many photos there are, `limit` where there are more; the photos found are kept for the next iteration."""
        if not self._first:
            walk = self._walk_all()
            self._first = list(islice(walk, limit))
            self._rest = walk if len(self._first) == limit else None
        return min(len(self._first), limit)

    def total(self) -> int:
        """How many photos there are, by a walk of its own: it may run beside an iteration."""
        other = copy.copy(self)
        other._notify, other.skipped, other._first, other._rest = silent, Counter(), [], None
        return sum(1 for _ in other)

    def _walk_all(self) -> Iterator[Photo]:
        self.skipped.clear()
        self.unlistable = 0
        alone = len(self._files) == 1
        for file in self._files:
            if not os.path.isdir(file):
                parent = os.path.basename(os.path.dirname(os.path.abspath(file)))
                yield Photo(file, printable(os.path.basename(file) if alone else file), parent, self.names)
                continue
            prefix = "" if alone else file.rstrip("/" + os.sep) + "/"
            yield from self._walk(file, prefix, os.path.basename(os.path.abspath(file)), ())

    def _notify_once(self, line: str) -> None:
        """Pass a line on, the first time: a large tree is walked more than once."""
        if line not in self._notified:
            self._notified.add(line)
            self._notify(line)

    def _walk(self, folder: str, prefix: str, root: str, above: tuple[tuple[int, int], ...]) -> Iterator[Photo]:
        try:
            status = os.stat(folder)
            here = (status.st_dev, status.st_ino)
            if here in above:
                self._notify_once(f"{printable(folder)}: a link back to a folder above it, not followed")
                return
            with os.scandir(folder) as found:
                # A folder sorts as its name and "/", so that this order is the order of the whole paths.
                entries = sorted((entry.name + "/" if _is_folder(entry) else entry.name) for entry in found)
        except OSError as error:
            self.unlistable += 1
            self._notify_once(
                f"{printable(folder)}: can't list this folder ({os_reason(error)}), its photos are missing"
            )
            return
        for name in entries:
            if name.startswith("."):
                continue
            if name.endswith("/"):
                if not is_system_folder(name[:-1]):
                    yield from self._walk(os.path.join(folder, name[:-1]), prefix + name, root, (*above, here))
            elif is_photo(file := os.path.join(folder, name)):
                yield Photo(file, printable(prefix + name), root, self.names)
            else:
                ending = os.path.splitext(name)[1].lower()
                self.skipped[ending if _ENDING.fullmatch(ending) else "no ending"] += 1


def skipped_text(skipped: Counter[str]) -> str:
    """What a walk left out, by ending: ".txt 1,204, .mp4 3, others 12"."""
    most = skipped.most_common(_ENDINGS_NAMED)
    kinds = [f"{ending} {count:,}" for ending, count in most]
    if rest := skipped.total() - sum(count for _, count in most):
        kinds.append(f"others {rest:,}")
    return ", ".join(kinds)


def is_system_folder(name: str) -> bool:
    """Whether a folder of this name is hidden or one that a system made: it holds no photos of anybody's choice."""
    return name.startswith(".") or _made_by_a_system(name)


def _made_by_a_system(name: str) -> bool:
    return (lower := name.lower()) in _SYSTEM_FOLDERS or _CHECKED_DISK.fullmatch(lower) is not None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link to itself: no folder, and as a photo a row with its error.


def _input_files(inputs: Sequence[str]) -> list[str]:
    """Expand patterns, refuse what does not exist or is no photo, and drop what lies inside another input."""
    files: list[str] = []
    for given in inputs:
        if os.path.lexists(given):
            _refuse_no_photo(given)
            files.append(given)
        elif glob.has_magic(given):
            photos = [m for m in _matches(given) if not os.path.isdir(m) and is_photo(m)]
            if not photos:
                raise UserError(f"{printable(given)}: no photo matches this pattern")
            files.extend(photos)
        else:
            raise UserError(f"{printable(given)}: no such file or folder; check the path")
    real = {file: Path(os.path.realpath(file)) for file in files}
    chosen = set(real.values())
    kept: dict[Path, str] = {}
    for file in sorted(set(files)):
        if not _is_walked(real[file], chosen):
            kept.setdefault(real[file], file)
    return list(kept.values())


def _is_walked(file: Path, chosen: set[Path]) -> bool:
    """Whether a walk of one of the inputs `chosen` finds this file or folder."""
    parent = next((each for each in file.parents if each in chosen), None)
    return parent is not None and not any(map(is_system_folder, file.relative_to(parent).parts))


def _matches(pattern: str) -> list[str]:
    """What a pattern matches, but for what its wildcards find in folders that systems make."""
    named = set(Path(pattern).parts)
    return [
        file
        for file in glob.glob(pattern, recursive=True)
        if not any(part not in named and _made_by_a_system(part) for part in Path(file).parts[:-1])
    ]


def _refuse_no_photo(given: str) -> None:
    """Raise UserError on a file whose ending says that it is something else than a photo."""
    ending = os.path.splitext(given)[1].lower()
    for kind, (endings, instead) in _NO_PHOTOS.items():
        if ending in endings.split() and os.path.isfile(given):
            raise UserError(f"{printable(given)}: {kind}, not a photo; {instead}")
