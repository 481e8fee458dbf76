"""Whether faces are looked for in the photos of a run, and cut: as the user says, or as the first photos show."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from batchgender.classify.fetches import Fetches
from batchgender.errors import UnreadablePhoto, UserError
from batchgender.faces.detector import open_detector
from batchgender.faces.detector_file import find_detector
from batchgender.faces.face_finder import MIN_FACE, FaceFinder
from batchgender.faces.framing import Framing
from batchgender.io import Notify
from batchgender.model.metadata import ModelInfo
from batchgender.photos.photo import Photo

OFF, AUTO, LARGEST, ALL = "off", "auto", "largest", "all"
MODES = (AUTO, LARGEST, ALL, OFF)
# Photos that "auto" looks at, and those of them that it looks at first: they tell mostly.
_LOOKED_AT, _FIRST = 100, 12
# Where so large a share of the photos with a face is framed otherwise, faces are cut.
_FEW = 0.1


@dataclass(frozen=True)
class FaceOptions:
    """How faces are looked for.

    `mode` is one of MODES; `detector` a file, by default the one that `find_detector` finds; `min_face` the shorter
    side in pixels below which a face is none; `align` turns each face by its eyes.
    """

    mode: str = AUTO
    detector: str | None = None
    min_face: int = MIN_FACE
    align: bool = False


# Photos as they are.
WHOLE = FaceOptions(OFF)


class Sampled(Protocol):
    """Photos of which some can be looked at before a run."""

    def first(self, count: int) -> list[Photo]:
        """The first photos, up to `count`."""


def choose_faces(
    info: ModelInfo, source: Sampled | None, options: FaceOptions, workers: int, notify: Notify
) -> FaceFinder | None:
    """What finds the faces in the photos of `source` for a model, None where photos are taken whole.

    `notify` gets what "auto" finds and decides, on `workers` cores.
    Raises UserError where a detector is asked for, or named, and can't be had.
    """
    if options.mode not in MODES:
        raise UserError(f"faces: {options.mode!r} is none of {', '.join(MODES)}")
    if options.mode == AUTO and source is None:
        raise UserError("faces: auto looks at photos before it classifies them, which these can't be; choose another")
    if options.mode == OFF:
        return None
    try:
        file = find_detector(options.detector, notify)
    except UserError as error:
        if options.mode != AUTO or options.detector:
            raise
        notify(f"faces: not looked for, so each photo should show one face, cropped: {error}")
        return None
    detector, framing = open_detector(file), Framing.from_dict(info.framing)
    finder = FaceFinder(detector, framing.margin, options.mode == ALL, options.min_face, options.align)
    if options.mode == AUTO and source and not _wants_cutting(finder, framing, source, workers, notify):
        return None
    return finder


def as_before(options: FaceOptions, before: Mapping[str, Any]) -> FaceOptions:
    """What "auto" has decided in a run with the settings `before`, where there are any: new photos change it not."""
    if options.mode != AUTO or not before:
        return options
    faces = before.get("faces")
    return replace(options, mode=(ALL if faces.get("mode") == ALL else LARGEST) if isinstance(faces, dict) else OFF)


def face_settings(finder: FaceFinder | None) -> dict[str, Any]:
    """What decides which faces the rows of a run are about, as plain data."""
    if finder is None:
        return {}
    return {
        "faces": {
            "mode": ALL if finder.every else LARGEST,
            "detector": sha256(Path(finder.detector.file).read_bytes()).hexdigest(),
            "margin": finder.margin,
            "min_face": finder.min_face,
            "align": finder.align,
        }
    }


def _wants_cutting(finder: FaceFinder, framing: Framing, source: Sampled, workers: int, notify: Notify) -> bool:
    """Look at the first photos: whether their faces are framed otherwise than the model was trained."""
    photos = source.first(_LOOKED_AT)
    # Spread over them: a folder may begin with photos of another kind.
    some = photos[:: max(len(photos) // _FIRST, 1)]
    with ThreadPoolExecutor(workers) as pool, closing(Fetches()) as fetches:
        looks = _Looks(finder, framing, fetches)
        looks.add(pool.map(looks.look, some))
        if not looks.clear:
            chosen = set(map(id, some))
            looks.add(pool.map(looks.look, [photo for photo in photos if id(photo) not in chosen]))
    smaller, seen = looks.smaller, looks.framed + looks.smaller
    if not seen:
        notify(
            f"faces: none found in {looks.count:,} photos looked at, so photos are classified whole;"
            " --faces largest looks into each"
        )
    elif smaller > _FEW * seen:
        notify(
            f"faces: smaller than those that the model was trained on in {smaller:,} of {looks.count:,} photos looked"
            " at, so each photo is cut to its largest face; --faces off classifies photos whole"
        )
        return True
    else:
        notify(
            f"faces: framed as the model was trained in {looks.framed:,} of {looks.count:,} photos looked at, so photos"
            " are classified whole; --faces largest cuts each to its largest face"
        )
    return False


class _Looks:
    """What the photos that are looked at show."""

    def __init__(self, finder: FaceFinder, framing: Framing, fetches: Fetches) -> None:
        self._finder, self._framing, self._fetches = finder, framing, fetches
        self.count = self.framed = self.smaller = 0

    def look(self, photo: Photo) -> bool | None:
        """Whether a photo's face is framed as in training; None where it shows none, or can't be read."""
        try:
            found = self._finder.found_in(self._fetches.photo(photo))
        except UnreadablePhoto:
            return None
        return self._framing.is_framed(found.share) if len(found.boxes) else None

    def add(self, found: Iterator[bool | None]) -> None:
        """Count what `look` has found."""
        for framed in found:
            self.count += 1
            self.framed += framed is True
            self.smaller += framed is False

    @property
    def clear(self) -> bool:
        """Whether nearly all show a face, and all of these are framed one way or most are the other."""
        seen = self.framed + self.smaller
        return seen >= 0.8 * self.count and (not self.smaller or self.smaller >= self.count / 2)
