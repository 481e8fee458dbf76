"""A list of photos as a place: each path one photo, in the order of the list."""

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.label_columns import stated_classes
from batchgender.photos.labels import name_key
from batchgender.photos.photo import Content, LocalFile, Photo, printable
from batchgender.photos.places.list_text import STDIN, Listed, ListText, open_list
from batchgender.photos.places.place import Findings
from batchgender.photos.places.remote.address import is_address, shown_address
from batchgender.photos.places.video import Video, is_video

if TYPE_CHECKING:
    from batchgender.photos.places.remote.listed import ListedAddresses

# So many paths tell which folder the relative ones are relative to.
_TRIED = 100
# More different labels are none of two classes.
_LABELS = 1000


@dataclass(frozen=True)
class PathList:
    """The photos that a list names, in its order, each once; what is not there is a photo that can't be read.

    Relative paths begin in `folder`, "" for the current one. `repeated` are the hashes of what stands in it more than
    once, `labels` its different labels, up to a thousand. `addresses` opens those in it, None where it has none.
    """

    text: ListText
    folder: str
    repeated: frozenset[int]
    labels: frozenset[str]
    addresses: "ListedAddresses | None"
    sequential = False

    @property
    def title(self) -> str:
        """The file of the list."""
        return self.text.title

    @property
    def origin(self) -> str:
        """What makes two lists the same: their bytes, and where relative paths begin."""
        return f"a list of SHA-256 {self.text.digest}, read in {os.path.abspath(self.folder)}"

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos in its own order; raises UserError where the list is damaged."""
        meant = self._meant(findings)
        for path, label, _ in self.listed():
            label, root = label and meant.get(label, label), _root(self.folder, path)
            if findings.fps and is_video(path):
                frames = Video(os.path.join(self.folder, path), path, root).photos(findings)
                yield from (replace(frame, label=label) for frame in frames)
            else:
                yield Photo(printable(shown_address(path)), self.content(path), root, findings.names, label)

    def listed(self) -> Iterator[Listed]:
        """Yield what it lists, each photo once."""
        seen: set[str] = set()
        for each in self.text:
            if self.repeated and hash(key := _key(each.path)) in self.repeated:
                if key in seen:
                    continue
                seen.add(key)
            yield each

    def _meant(self, findings: Findings) -> dict[str, str]:
        """What labels mean that name no class, but for those that nothing is known of: 0 and 1, and no label."""
        names = findings.names
        if names is None or not self.labels:
            return {}
        class_of = stated_classes(None, self.labels, "label", names, findings.notify_once)
        meant = {label: class_of.get(label, "") for label in self.labels}
        return {label: class_ for label, class_ in meant.items() if class_ != names.canonical_name(label)}

    def content(self, path: str) -> Content:
        """The bytes of the photo at a path, or an address, of the list."""
        if self.addresses and is_address(path):
            return self.addresses.content(path)
        return LocalFile(os.path.join(self.folder, path) if self.folder else path)


def open_path_list(file: str, notify: Notify, null: bool = False) -> PathList:
    """Open a list, as `open_list` does, and look through it.

    Relative paths are looked for in the current folder; where none of the first hundred is there, and one is in the
    folder of the list, in that one, and `notify` gets a line. It gets others where none is there at all, and with the
    number of lines whose photo stands above already. Raises UserError, also where such lines have different labels.
    """
    text = open_list(file, null)
    tried = [path for path, *_ in islice(text, _TRIED) if not is_address(path)]
    folder = "" if file == STDIN else _folder(tried, os.path.dirname(file), text.title, notify)
    hashes, labels, schemes = array("q"), set[str](), set[str]()
    for each in text:
        if is_address(each.path):
            schemes.add(each.path.partition("://")[0].lower())
        hashes.append(hash(_key(each.path)))
        if each.label and len(labels) < _LABELS:
            labels.add(each.label)
    if not hashes:
        raise UserError(f"{text.title}: no path in it")
    values, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    repeated = frozenset(values[counts > 1].tolist())
    if repeated and (count := _repeats(text, repeated)):
        notify(f"{text.title}: lines whose photo stands above already: {count:,}; each photo has one row")
    return PathList(text, folder, repeated, frozenset(labels), _opener(schemes, notify) if schemes else None)


def _opener(schemes: set[str], notify: Notify) -> "ListedAddresses":
    # What it needs is imported where there is an address.
    from batchgender.photos.places.remote.listed import ListedAddresses

    return ListedAddresses(schemes, notify)


def _folder(tried: Sequence[str], beside: str, title: str, notify: Notify) -> str:
    """The folder in which relative paths begin."""
    if not tried or any(map(os.path.lexists, tried)):
        return ""
    if beside and any(os.path.lexists(os.path.join(beside, path)) for path in tried):
        notify(f"{title}: its paths are taken from its own folder, {printable(beside)}")
        return beside
    places = " and ".join(map(printable, dict.fromkeys((os.getcwd(), os.path.abspath(beside)))))
    notify(f"{title}: nothing is there under its first {len(tried):,} paths, which are looked for in {places}")
    return ""


def _repeats(text: ListText, repeated: frozenset[int]) -> int:
    """How many lines name a photo that stands above; raises UserError where one is labelled otherwise there."""
    first: dict[str, Listed] = {}
    count = 0
    for each in text:
        key = _key(each.path)
        if hash(key) not in repeated:
            continue
        if (other := first.setdefault(key, each)) is each:
            continue
        count += 1
        for here, there, column in ((each.label, other.label, "label"), (each.split, other.split, "split")):
            if name_key(here or "") != name_key(there or ""):
                raise UserError(
                    f"{text.title}: {printable(each.path)!r} stands twice, with the {column} {there!r} and {here!r};"
                    " keep one of the lines"
                )
    return count


def _key(path: str) -> str:
    """What two spellings of a path share: "./a.jpg" and "a.jpg", an address signed twice.

    Folders above are left as they are: behind a link they are others.
    """
    if is_address(path):
        return shown_address(path)
    return path if ".." in path else os.path.normpath(path)


def _root(folder: str, path: str) -> str:
    """The name of the folder that a photo lies in, where its path does not show it; else ""."""
    above = os.path.dirname(path)
    if is_address(path):
        return ""
    if above.strip("./") and ".." not in above:
        return ""
    return os.path.basename(os.path.abspath(os.path.join(folder, above)))
