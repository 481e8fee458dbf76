"""An explanation as a picture: the photo, the heat map over it, and a legend that says which colour means what."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from batchgender.explanation.explain import COVERED, Explanation
from batchgender.io import percent
from batchgender.report.text import LIMIT

# Blue and red that people tell apart whatever colours they see, and what lies between them on a dark photo.
LOW, HIGH = (0, 90, 181), (220, 50, 32)
_INK, _PAPER, _FAINT = (25, 25, 25), (255, 255, 255), (95, 95, 95)
# How much of the colour covers the gray photo where the map is strongest.
_OPAQUE = 0.75
_MARGIN, _GAP, _BAR = 24, 16, 18
_TITLE, _TEXT = 24, 17


def sides(classes: Sequence[str], explained: str) -> tuple[str, str]:
    """What the two colours stand for, LOW and HIGH, where the class `explained` is explained."""
    # Of two classes each has its own colour, whichever is explained.
    if len(classes) == 2:
        return f"speaks for {classes[0]}", f"speaks for {classes[1]}"
    return f"speaks against {explained}", f"speaks for {explained}"


def heat_map(explanation: Explanation) -> NDArray[np.uint8]:
    """The map in colours over the photo in gray: uint8 [height, width, 3] RGB, of the photo's size.

    HIGH and LOW are what `sides` says; a pixel without colour says nothing. The strongest pixel has the full colour.
    """
    height, width = explanation.photo.shape[:2]
    values = explanation.map
    if len(explanation.classes) == 2 and explanation.explained == explanation.classes[0]:
        values = -values
    values = np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    values /= max(float(np.abs(values).max()), 1e-12)
    gray = cv2.cvtColor(explanation.photo, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    return _coloured(gray, values[..., None])


def explanation_picture(explanation: Explanation) -> NDArray[np.uint8]:
    """The photo beside its heat map, with the answer above and the legend below: uint8 [height, width, 3] RGB."""
    photo = Image.fromarray(explanation.photo)
    width, height = photo.size
    title, text = (ImageFont.load_default(size) for size in (_TITLE, _TEXT))
    lines = list(_above(explanation))
    below = list(_below(explanation))
    # A narrow photo leaves too little room for the text.
    inner = max(2 * width + _GAP, 620)
    above = _MARGIN + _TITLE + 14 + len(lines) * (_TEXT + 7) + 10
    legend = above + height + 14
    notes = [part for line in below for part in _wrapped(line, text, inner)]
    total = legend + _BAR + 2 * (_TEXT + 8) + len(notes) * (_TEXT + 7) + _MARGIN
    page = Image.new("RGB", (inner + 2 * _MARGIN, total), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN), _answer(explanation), _INK, title)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + _TITLE + 14 + number * (_TEXT + 7)), line, _FAINT, text)
    page.paste(photo, (_MARGIN, above))
    page.paste(Image.fromarray(heat_map(explanation)), (_MARGIN + width + _GAP, above))
    page.paste(_colour_bar(inner), (_MARGIN, legend))
    low, high = sides(explanation.classes, explanation.explained)
    at = legend + _BAR + 6
    draw.text((_MARGIN, at), low, LOW, text)
    draw.text((_MARGIN + inner / 2, at), "no colour: says nothing", _FAINT, text, anchor="ma")
    draw.text((_MARGIN + inner, at), high, HIGH, text, anchor="ra")
    for number, line in enumerate(notes):
        draw.text((_MARGIN, at + _TEXT + 16 + number * (_TEXT + 7)), line, _FAINT, text)
    return np.asarray(page, np.uint8)


def _answer(explanation: Explanation) -> str:
    row = explanation.row
    shares = ", ".join(
        f"{name} {percent(share)}" for name, share in zip(explanation.classes, row.probabilities, strict=True)
    )
    return f"{row.prediction}  ({shares})"


def _above(explanation: Explanation) -> list[str]:
    face = explanation.row.face
    seen = f"face {face.number} of the photo, cut out as the model sees it" if face else "the whole photo"
    return [f"Explained: {explanation.explained}, by {explanation.method.title}", f"Shown: {seen}"]


def _below(explanation: Explanation) -> list[str]:
    before, after = percent(explanation.probability), percent(explanation.covered)
    return [
        f"Covering the {100 * COVERED:.0f} % of the picture that speak most for {explanation.explained} changes the"
        f" probability of {explanation.explained} from {before} to {after}.",
        LIMIT,
    ]


def _wrapped(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """A line in as many as fit this width."""
    words = line.split()
    breaks = [0]
    for end in range(1, len(words) + 1):
        if font.getlength(" ".join(words[breaks[-1] : end])) > width:
            breaks.append(end - 1)
    return [" ".join(words[start:end]) for start, end in pairwise([*breaks, len(words)])]


def _colour_bar(width: int) -> Image.Image:
    """The colours from LOW to HIGH, as they lie on a middle gray."""
    values = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return Image.fromarray(np.repeat(_coloured(np.full_like(values, 160), values), _BAR, 0))


def _coloured(gray: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """LOW and HIGH over gray pixels [height, width, 1], the more of them the farther `values`, -1 to 1, are from 0."""
    colour = np.where(values < 0, np.array(LOW, np.float32), np.array(HIGH, np.float32))
    share = _OPAQUE * np.abs(values)
    return np.asarray((gray * (1 - share) + colour * share).round(), np.uint8)
