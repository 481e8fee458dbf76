"""Where photos are: the inputs of a run, opened as places and looked through in order."""

import glob
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path

from batchgender.errors import PlaceLost, UserError
from batchgender.io import Notify, silent
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.photo import Photo, printable
from batchgender.photos.places.container import is_container, open_container
from batchgender.photos.places.folder import Folder, SingleFile, is_system_folder, made_by_a_system
from batchgender.photos.places.place import Counted, Findings, OpenedPlace, Place
from batchgender.photos.places.remote.address import is_address, shown_address
from batchgender.photos.places.video import ENDINGS as VIDEOS
from batchgender.photos.places.video import is_video
from batchgender.photos.reading import is_photo
from batchgender.photos.shard import Shard, ShardWalk

# Bytes of photos that come with theirs and are looked at before a run.
_HELD = 2**26
# So many endings of files left out are named: a folder of other things has many.
_ENDINGS_NAMED = 10
# Files that people give in the place of photos, and what to do instead.
_NO_PHOTOS = {
    "an archive": (".gz .bz2 .xz .zst .7z .rar", "unpack it and give the folder, or pack it as .zip"),
    "a list": (".txt .csv .tsv", "give it as --from-list"),
    "a table": (".json .jsonl", "give the photos themselves, or a list of them"),
    "a video": (" ".join(VIDEOS), "give --fps 1, too: one frame a second is classified"),
}


class PhotoSource:
    """The photos of a run's inputs, in the order of their paths; opened once, iterated as needed.

    The places are looked through as it is iterated, so that the first photos are soon there and memory does not grow
    with their number; a short one, counted by `count_up_to`, is looked through once. `notify` gets one line for each
    folder that can't be listed and each loop of links; `skipped` counts, by ending, the files that are no photos
    (`reading.is_photo`). Hidden files (a leading dot) are left out, and folders that systems make
    (`folder.is_system_folder`). `names` are what folders may call the classes; with None no folder's name counts as a
    label. `fps` is how many frames a second are taken of videos; with None these are left out. `opened` are places
    beside the inputs, whose photos come last and in their own order: lists, for example. `leave_out` is a folder that
    no walk looks into, and no pattern, unless an input is in it. Raises UserError where an input does not exist, is no
    photo, or can't be opened as what its ending says.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        notify: Notify = silent,
        names: LabelNames | None = DEFAULT_NAMES,
        fps: float | None = None,
        opened: Sequence[OpenedPlace] = (),
        leave_out: str | None = None,
    ) -> None:
        shown = list(map(shown_address, inputs))
        self.inputs, self.names, self.fps = [*shown, *(place.title for place in opened)], names, fps
        # What a resumed run compares.
        origins = [each if is_address(each) else os.path.abspath(each) for each in shown]
        self.origins = [*origins, *(place.origin for place in opened)]
        self._findings = Findings(notify, names, fps, leave_out)
        self._places = [*_places(inputs, fps is not None, notify, leave_out), *opened]
        self._folders = _statuses([given for given in inputs if not is_address(given)])
        self._stated: Mapping[str, str] = {}
        self._first: list[Photo] = []
        # The walk that found these, to go on from; None where it came to its end.
        self._rest: Iterator[Photo] | None = None
        self.shard: Shard | None = None
        self.shard_walk: ShardWalk | None = None

    def take_shard(self, shard: Shard) -> None:
        """Iterate over the photos of a shard alone; what is looked at before a run stays the same for all shards.

        `shard_walk` is then that of the last iteration.
        """
        self.shard = shard

    def state_labels(self, labels: Mapping[str, str]) -> None:
        """Have the photos of these paths labelled with these classes, "" for none, whatever their folders state."""
        self._stated, self._first, self._rest = labels, [], None

    @property
    def stated_digest(self) -> str:
        """A hash of the labels that were stated so, "" where none were: what a resumed run compares."""
        rows = sorted(self._stated.items())
        return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest() if rows else ""

    @property
    def sequential(self) -> bool:
        """Whether some of its photos come with their bytes, for they can only be read in their order."""
        return any(place.sequential for place in self._places)

    @property
    def of_files(self) -> bool:
        """Whether each of its photos is a file of this machine, by itself."""
        return all(isinstance(place, Folder | SingleFile) for place in self._places)

    def check_there(self) -> None:
        """Raise PlaceLost where a folder that photos come from is gone since, or another one is in its place."""
        for folder, status in self._folders.items():
            try:
                there = os.path.samestat(os.stat(folder), status)
            except OSError:
                there = False
            if not there:
                raise PlaceLost(
                    f"{printable(folder)}: is gone since the run began; was it removed, or its disk disconnected?"
                )

    @property
    def skipped(self) -> Counter[str]:
        """The files that the last walk left out, by ending."""
        return self._findings.skipped

    @property
    def unlistable(self) -> int:
        """How many folders the last walk could not list."""
        return self._findings.unlistable

    def __iter__(self) -> Iterator[Photo]:
        if not self.shard:
            return self._all()
        walk = self.shard_walk = self._findings.shard_walk = ShardWalk(self.shard)
        return _taken(self._all(), walk)

    def _all(self) -> Iterator[Photo]:
        if not self._first:
            return self._walk(self._findings)
        if self._rest is None:
            return iter(self._first)
        rest, self._rest = self._rest, None
        first, self._first = self._first, []
        return chain(first, rest)

    def count_up_to(self, limit: int) -> int:
        """How many photos there are, `limit` where there are more; the photos found are kept for the next iteration."""
        if self.fps or self.sequential:
            # What would be kept holds its bytes.
            return self._count(self._findings, limit)
        if not self._first:
            self._rest = self._walk(self._findings)
        if self._rest and len(self._first) < limit:
            self._first += islice(self._rest, limit - len(self._first))
            if len(self._first) < limit:
                self._rest = None
        return min(len(self._first), limit)

    def first(self, count: int) -> list[Photo]:
        """The first photos, up to `count`, or fewer where they hold much memory; the next iteration gives them, too."""
        found: list[Photo] = []
        held = 0
        for photo in islice(self._first or self._walk(self._findings.beside()), count):
            found.append(photo)
            held += photo.content.held
            if held > _HELD:
                break
        return found

    def again(self) -> Generator[Photo]:
        """The photos once more, by a walk of its own, of which nothing is counted or said."""
        findings = self._findings.beside()
        if not self.shard:
            yield from self._walk(findings)
            return
        walk = findings.shard_walk = ShardWalk(self.shard)
        yield from _taken(self._walk(findings), walk)

    def look(self, notify: Notify) -> tuple[Findings, Iterator[Photo]]:
        """The photos once more, by a walk of its own, and what it finds beside them; `notify` gets each line once."""
        findings = Findings(notify, self.names, self.fps, self._findings.leave_out)
        return findings, self._walk(findings)

    @property
    def folders(self) -> list[Folder]:
        """Those of its places that are folders of this machine."""
        return [place for place in self._places if isinstance(place, Folder)]

    @property
    def of_folders(self) -> bool:
        """Whether all its places are folders of this machine."""
        return len(self.folders) == len(self._places)

    def total(self) -> int:
        """How many photos there are, by a walk of its own: it may run beside an iteration."""
        if not self.shard:
            return self._count(self._findings.beside())
        if self.sequential:
            # To know the paths is to read all.
            return self._count(self._findings.beside()) // self.shard.of
        return sum(1 for _ in self.again())

    def _count(self, findings: Findings, limit: int = sys.maxsize) -> int:
        findings.begin()
        count = 0
        for place in self._places:
            if isinstance(place, Counted):
                count += place.count(findings)
            else:
                count += sum(1 for _ in islice(place.photos(findings), limit - count))
            if count >= limit:
                return limit
        return count

    def _walk(self, findings: Findings) -> Iterator[Photo]:
        findings.begin()
        for place in self._places:
            photos = place.photos(findings)
            yield from map(self._relabelled, photos) if self._stated else photos

    def _relabelled(self, photo: Photo) -> Photo:
        label = self._stated.get(photo.path)
        # A class is not to be translated again.
        return photo if label is None else replace(photo, label=label, names=DEFAULT_NAMES)


def _statuses(inputs: Sequence[str]) -> dict[str, os.stat_result]:
    """The folders of inputs, and what they are on their disks; of files and patterns, the folders that these lie in."""
    found: dict[str, os.stat_result] = {}
    for given in inputs:
        folder = given
        while folder and not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        with suppress(OSError):
            found[folder or "."] = os.stat(folder or ".")
    return found


def _taken(photos: Iterator[Photo], walk: ShardWalk) -> Iterator[Photo]:
    """Those of a shard; of a video it was decided before its frames."""
    return (photo for photo in photos if photo.time is not None or walk.takes(photo.path))


def skipped_text(skipped: Counter[str]) -> str:
    """What a walk left out, by ending: ".txt 1,204, .mp4 3, others 12"."""
    most = skipped.most_common(_ENDINGS_NAMED)
    kinds = [f"{ending} {count:,}" for ending, count in most]
    if rest := skipped.total() - sum(count for _, count in most):
        kinds.append(f"others {rest:,}")
    return ", ".join(kinds)


def _places(inputs: Sequence[str], videos: bool, notify: Notify, leave_out: str | None) -> list[Place]:
    """The places that inputs name, in the order of their paths; of one alone the paths are relative to it."""
    addresses = [given for given in inputs if is_address(given)]
    files = _input_files([given for given in inputs if not is_address(given)], videos, leave_out)
    alone = len(files) + len(set(addresses)) == 1
    places = [(file, _place(file, alone)) for file in files]
    if addresses:
        # Imported for those who need it: the event loop takes longer than all else here.
        from batchgender.photos.places.remote.open_places import open_places

        places = sorted([*places, *open_places(addresses, alone, notify)], key=itemgetter(0))
    return [place for _, place in places]


def _place(file: str, alone: bool) -> Place:
    prefix = "" if alone else file.rstrip("/" + os.sep) + "/"
    if os.path.isdir(file):
        return Folder(file, prefix)
    if is_container(file):
        return open_container(file, prefix)
    return SingleFile(file, os.path.basename(file) if alone else file)


def _input_files(inputs: Sequence[str], videos: bool, leave_out: str | None) -> list[str]:
    """Expand patterns, refuse what does not exist or is no photo, and drop what lies inside another input."""

    def is_wanted(file: str) -> bool:
        return is_container(file) or (videos and is_video(file)) or is_photo(file)

    files: list[str] = []
    for given in inputs:
        if os.path.lexists(given):
            if not (videos and is_video(given)):
                _refuse_no_photo(given)
            files.append(given)
        elif glob.has_magic(given):
            photos = [m for m in _matches(given, leave_out) if not os.path.isdir(m) and is_wanted(m)]
            if not photos:
                raise UserError(f"{printable(given)}: no photo matches this pattern")
            files.extend(photos)
        else:
            raise UserError(f"{printable(given)}: no such file or folder; check the path")
    real = {file: Path(os.path.realpath(file)) for file in files}
    chosen = set(real.values())
    kept: dict[Path, str] = {}
    for file in sorted(set(files)):
        # A walk does not look into files.
        if is_container(file) or not _is_walked(real[file], chosen):
            kept.setdefault(real[file], file)
    return list(kept.values())


def _is_walked(file: Path, chosen: set[Path]) -> bool:
    """Whether a walk of one of the inputs `chosen` finds this file or folder."""
    parent = next((each for each in file.parents if each in chosen), None)
    return parent is not None and not any(map(is_system_folder, file.relative_to(parent).parts))


def _matches(pattern: str, leave_out: str | None) -> list[str]:
    """What a pattern matches, but for what lies in `leave_out`, or its wildcards find in folders that systems make."""
    named = set(Path(pattern).parts)
    left_out = leave_out and Path(os.path.realpath(leave_out))
    try:
        matches = glob.glob(pattern, recursive=True)
    except RecursionError as error:
        raise UserError(f"{printable(pattern)}: folders too deep for a pattern; give the folder itself") from error
    return [
        file
        for file in matches
        if not any(part not in named and made_by_a_system(part) for part in Path(file).parts[:-1])
        and not (left_out and left_out in (folder := Path(os.path.realpath(os.path.dirname(file))), *folder.parents))
    ]


def _refuse_no_photo(given: str) -> None:
    """Raise UserError on a file whose ending says that it is something else than a photo."""
    ending = os.path.splitext(given)[1].lower()
    for kind, (endings, instead) in _NO_PHOTOS.items():
        if ending in endings.split() and os.path.isfile(given) and not is_container(given):
            raise UserError(f"{printable(given)}: {kind}, not a photo; {instead}")
