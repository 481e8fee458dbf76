"""What finding and cutting faces does to accuracy: the tables of docs/find-faces.md.

bench_faces.py FACES: labelled face photos, {female,male}/*.jpg; what stands before "_" in their names is their kind.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender import Classifier, load_classifier
from batchgender.errors import UnreadablePhoto
from batchgender.faces.cutting import cut_square
from batchgender.faces.detector import Boxes, open_detector
from batchgender.faces.detector_file import find_detector
from batchgender.faces.face_finder import FaceFinder, Look
from batchgender.faces.framing import Framing
from batchgender.io import text_table
from batchgender.photos.decode import decode
from batchgender.photos.resize import resize
from batchgender.photos.source import PhotoSource

Picture = NDArray[np.uint8]
MARGINS = (0.0, 0.04, 0.1, 0.2, 0.3)
SIZES = (15, 20, 30, 50, 100)
WIDTHS = (0.2, 0.35, 0.5, 0.8)


@dataclass(frozen=True)
class Labelled:
    """A photo with the index of its class, and its kind."""

    pixels: Picture
    label: int
    kind: str


def read(folder: str, classes: Sequence[str]) -> list[Labelled]:
    """All photos that can be read, by kind."""
    found = []
    for photo in PhotoSource([folder]):
        try:
            pixels = decode(photo.read())
        except UnreadablePhoto:
            continue
        label = photo.names.label_of(photo.path, classes) if photo.names else ""
        found.append(Labelled(pixels, classes.index(label), Path(photo.path).name.split("_")[0]))
    return sorted(found, key=lambda each: each.kind)


def right(classifier: Classifier, pictures: Sequence[Picture], labels: Sequence[int]) -> float:
    """The share of right answers, in percent."""
    answers: list[int] = []
    for at in range(0, len(pictures), 32):
        batch = np.stack([resize(each, classifier.model.size) for each in pictures[at : at + 32]])
        answers += classifier.model.predict(batch).argmax(1).tolist()
    return 100 * float(np.mean(np.array(answers) == np.array(labels)))


def resized(pixels: Picture, width: int, height: int) -> Picture:
    """A picture made larger, smoothly."""
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def largest(found: Boxes) -> NDArray[np.float32]:
    """The box of the largest face."""
    return found.boxes[found.boxes[:, 2:].prod(1).argmax()]


def by_kind(classifier: Classifier, finder: FaceFinder, photos: Sequence[Labelled]) -> list[str]:
    """Accuracy as photos are, cut at several margins, and aligned, by kind."""
    ways: dict[str, Callable[[Picture, Boxes], Picture]] = {"as they are": lambda pixels, _: pixels}
    for margin in MARGINS:
        ways[f"margin {margin:.2f}"] = lambda pixels, found, m=margin: cut_square(pixels, largest(found), m)  # type: ignore[misc]
    aligned = replace(finder, align=True)
    ways["aligned"] = lambda pixels, _: aligned.cut(pixels, classifier.model.size)[0][1]
    columns = {}
    for kind, group in groupby(photos, key=lambda each: each.kind):
        looks = [(each, finder.find_largest(Look(each.pixels))) for each in group]
        shown = [(each, found) for each, found in looks if len(found)]
        columns[f"{kind} ({len(shown):,} of {len(looks):,})"] = [
            f"{right(classifier, [way(each.pixels, found) for each, found in shown], [e.label for e, _ in shown]):.1f}"
            for way in ways.values()
        ]
    rows = [["right, %", *columns]] + [[way, *(of[at] for of in columns.values())] for at, way in enumerate(ways)]
    return text_table(rows, "<" + ">" * len(columns))


def by_size(classifier: Classifier, finder: FaceFinder, photos: Sequence[Labelled]) -> list[str]:
    """Accuracy by the shorter side of the face: the same faces, made smaller."""
    shown = [
        (each, largest(found))
        for each in photos
        if len(found := finder.find_largest(Look(each.pixels))) and min(largest(found)[2:]) >= max(SIZES)
    ]
    rows = [["face, pixels", *map(str, SIZES)], [f"right, % of {len(shown):,}"]]
    for size in SIZES:
        cuts = []
        for each, box in shown:
            scale = size / float(min(box[2:]))
            small = cv2.resize(each.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            cuts.append(cut_square(np.asarray(small, np.uint8), box * scale, finder.margin))
        rows[1].append(f"{right(classifier, cuts, [each.label for each, _ in shown]):.1f}")
    return text_table(rows, "<" + ">" * len(SIZES))


def scenes(
    finder: FaceFinder, photos: Sequence[Labelled], width: float
) -> Iterator[tuple[Picture, list[Boxes], list[int]]]:
    """Pictures 640 wide of one to three heads on noise, a face's box so wide a share of it, with boxes and labels."""
    rng = np.random.default_rng(int(100 * width))
    heads = [(each, found) for each in photos if len(found := finder.find_largest(Look(each.pixels))) == 1]
    for at in range(0, len(heads) - 3, 3):
        rough = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
        scene = np.asarray(
            cv2.resize(rough, (640, 480 if width < 0.8 else 800), interpolation=cv2.INTER_CUBIC), np.uint8
        )
        boxes: list[Boxes] = []
        labels: list[int] = []
        left = 8
        for each, found in heads[at : at + (3 if width < 0.3 else 1)]:
            scale = width * scene.shape[1] / float(found.boxes[0, 2])
            head = np.asarray(
                cv2.resize(each.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8
            )
            # So much of the head as the scene holds, its face in the middle.
            x, y, w, h = found.boxes[0] * scale
            top, side = max(round(y + h / 2 - scene.shape[0] / 2), 0), max(round(x + w / 2 - scene.shape[1] / 2), 0)
            head = head[top : top + scene.shape[0], side : side + scene.shape[1]]
            if left + head.shape[1] > scene.shape[1]:
                if boxes:
                    break
                left = scene.shape[1] - head.shape[1]
            down = int(rng.integers(0, scene.shape[0] - head.shape[0] + 1))
            scene[down : down + head.shape[0], left : left + head.shape[1]] = head
            moved = found.scaled(scale, scale).boxes[0] + np.array([left - side, down - top, 0, 0], np.float32)
            boxes.append(replace(found, boxes=moved[None]))
            labels.append(each.label)
            left += head.shape[1] + 8
        yield scene, boxes, labels


def by_width(classifier: Classifier, finder: FaceFinder, photos: Sequence[Labelled]) -> list[str]:
    """Recall, false faces and accuracy on scenes."""
    every = replace(finder, every=True)
    rows = [["face / picture", "faces", "found, %", "false a 100 pictures", "right, % of the found"]]
    for width in WIDTHS:
        faces = found_faces = false = pictures = 0
        cuts: list[Picture] = []
        wanted: list[int] = []
        for scene, boxes, labels in scenes(finder, photos, width):
            found = every.find(Look(scene))
            centres = found.boxes[:, :2] + found.boxes[:, 2:] / 2
            matched = np.zeros(len(found), bool)
            for truth, label in zip(boxes, labels, strict=True):
                x, y, w, h = truth.boxes[0]
                near = (abs(centres - (x + w / 2, y + h / 2)) < (w / 3, h / 3)).all(1)
                found_faces += bool(near.any())
                if near.any():
                    cuts.append(cut_square(scene, found.boxes[near.argmax()], finder.margin))
                    wanted.append(label)
                matched |= near
            faces, false, pictures = faces + len(boxes), false + int((~matched).sum()), pictures + 1
        share = f"{100 * found_faces / faces:.1f}"
        rows.append(
            [f"{width}", f"{faces:,}", share, f"{100 * false / pictures:.2f}", f"{right(classifier, cuts, wanted):.1f}"]
        )
    return text_table(rows, "<>>>>")


def main(folder: str) -> None:
    """Print the tables."""
    classifier = load_classifier("packaged")
    framing = Framing.from_dict(classifier.info.framing)
    finder = FaceFinder(open_detector(find_detector(None, print)), framing.margin)
    photos = read(folder, classifier.info.classes)
    heads = [each for each in photos if each.kind == "celeba"] or photos
    for title, table in (
        ("Whole, cut and aligned", by_kind(classifier, finder, photos)),
        ("By the size of the face", by_size(classifier, finder, [each for each in photos if each.kind != "celeba"])),
        ("By the share of the picture", by_width(classifier, finder, heads)),
    ):
        print(f"\n{title}\n", *table, sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
