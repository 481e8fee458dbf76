"""Which files are photos: walk, filter, order."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify

_ENDINGS = ".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .tif .tiff .gif .avif .jp2 .pbm .pgm .ppm .heic .heif"
EXTENSIONS = frozenset(_ENDINGS.split())


@dataclass(frozen=True)
class Photo:
    """A photo found: where it lies, the path its row shows (with `/`), and the folder it was found under."""

    file: str
    path: str
    root: str = ""


def printable(path: str) -> str:
    r"""Show a path as valid UTF-8: bytes that are not become `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace") if os.name == "posix" else path


class PhotoFinder:
    """Find the photos under folders, files and patterns, in the order of their paths, without holding them all.

    `notify` gets one line for each folder that can't be listed and each loop of links; `skipped` counts, by
    extension, the files that are no photos. Hidden files and folders (a leading dot) are left alone.
    Raises UserError where an input does not exist.
    """

    def __init__(self, inputs: Sequence[str], notify: Notify) -> None:
        self._notify = notify
        self._warned: set[str] = set()
        self.skipped: Counter[str] = Counter()
        self.unlistable = 0
        self.sources = _sources(inputs)

    def __iter__(self) -> Iterator[Photo]:
        self.skipped.clear()
        self.unlistable = 0
        alone = len(self.sources) == 1
        for source in self.sources:
            if not os.path.isdir(source):
                parent = os.path.basename(os.path.dirname(os.path.abspath(source)))
                yield Photo(source, printable(os.path.basename(source) if alone else source), parent)
                continue
            prefix = "" if alone else source.rstrip("/" + os.sep) + "/"
            yield from self._walk(source, prefix, os.path.basename(os.path.abspath(source)), ())

    def _warn_once(self, line: str) -> None:
        """Pass a warning on, the first time: a finder is walked twice, to count and to classify."""
        if line not in self._warned:
            self._warned.add(line)
            self._notify(line)

    def _walk(self, folder: str, prefix: str, root: str, above: tuple[tuple[int, int], ...]) -> Iterator[Photo]:
        try:
            status = os.stat(folder)
            here = (status.st_dev, status.st_ino)
            if here in above:
                self._warn_once(f"{printable(folder)}: a link back to a folder above it, not followed")
                return
            with os.scandir(folder) as found:
                # A folder sorts as its name and "/", so that this order is the order of the whole paths.
                entries = sorted((entry.name + "/" if _is_folder(entry) else entry.name) for entry in found)
        except OSError as error:
            self.unlistable += 1
            self._warn_once(f"{printable(folder)}: can't list this folder ({os_reason(error)}), its photos are missing")
            return
        for name in entries:
            if name.startswith("."):
                continue
            if name.endswith("/"):
                yield from self._walk(os.path.join(folder, name[:-1]), prefix + name, root, (*above, here))
            elif (extension := os.path.splitext(name)[1].lower()) in EXTENSIONS:
                yield Photo(os.path.join(folder, name), printable(prefix + name), root)
            else:
                self.skipped[extension or "no extension"] += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link to itself: no folder, and as a photo a row with its error.


def _sources(inputs: Sequence[str]) -> list[str]:
    """Expand patterns, refuse what does not exist, and drop what lies inside another input."""
    sources: list[str] = []
    for given in inputs:
        if os.path.lexists(given):
            sources.append(given)
        elif glob.has_magic(given):
            matches = [m for m in glob.glob(given, recursive=True) if not os.path.isdir(m)]
            photos = [m for m in matches if os.path.splitext(m)[1].lower() in EXTENSIONS]
            if not photos:
                raise UserError(f"{printable(given)}: no photo matches this pattern")
            sources.extend(photos)
        else:
            raise UserError(f"{printable(given)}: no such file or folder; check the path")
    real = {source: Path(os.path.realpath(source)) for source in sources}
    chosen = set(real.values())
    kept: dict[Path, str] = {}
    for source in sorted(set(sources)):
        if not any(parent in chosen for parent in real[source].parents):
            kept.setdefault(real[source], source)
    return list(kept.values())
