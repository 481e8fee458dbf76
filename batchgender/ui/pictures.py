"""What the page shows of photos: each with the faces that were found drawn on it, and explanations as HTML."""

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from batchgender.errors import UnreadablePhoto
from batchgender.explanation.explain import COVERED, Explanation
from batchgender.explanation.picture import HIGH, LOW, heat_map, sides
from batchgender.io import percent
from batchgender.model.thresholds import UNSURE
from batchgender.photos.decode import decode_copy
from batchgender.photos.photo import Photo
from batchgender.results.rows import Row

# Pixels of the longer side of a photo that is shown.
_SHOWN = 800
# Height of letters in it: in a gallery on a phone it is a third as wide.
_LETTERS = 40
_BOX, _UNSURE_BOX, _INK = (255, 214, 0), (190, 190, 190), (20, 20, 20)


def answer_text(row: Row) -> str:
    """A row's answer in a few words: "Female 97.1 %", or its error."""
    if row.error:
        return row.error
    return f"{row.prediction} {percent(row.confidence)}"


def drawn_photo(photo: Photo, rows: Sequence[Row]) -> NDArray[np.uint8]:
    """A photo with the boxes of its rows' faces and their answers: uint8 [height, width, 3] RGB.

    Of a photo that can't be read, a gray picture that says so.
    """
    try:
        image, (_, width) = decode_copy(photo.read(), _SHOWN)
    except UnreadablePhoto:
        image, width = np.full((300, 400, 3), 230, np.uint8), 400
    factor = _SHOWN / max(image.shape)
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    size = [max(round(side * factor), 1) for side in image.shape[1::-1]]
    page = Image.fromarray(np.asarray(cv2.resize(image, size, interpolation=way), np.uint8))
    draw = ImageDraw.Draw(page)
    for row in reversed(rows):
        _draw_answer(draw, page, row, page.width / width, len(rows) > 1)
    return np.asarray(page, np.uint8)


def _draw_answer(draw: ImageDraw.ImageDraw, page: Image.Image, row: Row, scale: float, several: bool) -> None:
    face, colour = row.face, _BOX if row.prediction not in ("", UNSURE) else _UNSURE_BOX
    left, top, right, bottom = 0.0, 0.0, page.width - 1.0, page.height - 1.0
    if face:
        left, top = max(face.x * scale, left), max(face.y * scale, top)
        right = min((face.x + face.width) * scale, right)
        bottom = min((face.y + face.height) * scale, bottom)
        draw.rectangle((left, top, max(right, left), max(bottom, top)), outline=_INK, width=8)
        draw.rectangle((left + 1, top + 1, max(right - 1, left + 1), max(bottom - 1, top + 1)), outline=colour, width=5)
    text, font = answer_text(row), ImageFont.load_default(_LETTERS)
    if face and several:
        # Over a small face the number alone has room; the table has the rest.
        text = f"{face.number}: {text}" if right - left > font.getlength(text) * 0.7 else str(face.number)
    x0, y0, x1, y1 = draw.textbbox((0, 0), text, font)
    # Above the face, or in it where the photo ends there.
    wide, high = x1 - x0 + 12, y1 - y0 + 12
    x = min(left, max(page.width - wide, 0))
    y = top - high if top >= high else top
    draw.rectangle((x, y, x + wide, y + high), fill=colour)
    draw.text((x + 6 - x0, y + 6 - y0), text, _INK, font)


def caption(path: str, rows: Sequence[Row]) -> str:
    """What stands below a photo: its answer, or how many faces it has, and its path."""
    return f"{answer_text(rows[0]) if len(rows) == 1 else f'{len(rows):,} faces'}, {path}"


def explanation_html(explanation: Explanation) -> str:
    """An explanation as HTML that needs no other file: the picture, the heat map, and the legend."""
    row = explanation.row
    low, high = map(html.escape, sides(explanation.classes, explanation.explained))
    name = html.escape(row.path) + (f", face {row.face.number}" if row.face else "")
    if row.error:
        return f"<p>{name}: not explained: {html.escape(row.error)}</p>"
    explained = html.escape(explanation.explained)
    pictures = (
        (explanation.photo, f"what the model saw of {name}"),
        (heat_map(explanation), f"the same in gray, in colours what {low} and what {high}"),
    )
    images = "".join(f'<img src="{_data_address(image)}" alt="{text}">' for image, text in pictures)
    blue, red = (f"rgb{colour}" for colour in (LOW, HIGH))
    return (
        f'<figure class="explanation"><figcaption><b>{name}: {html.escape(answer_text(row))}</b><br>'
        f"Explained: {explained}, by {html.escape(explanation.method.title)}</figcaption>"
        f'<div class="pictures">{images}</div>'
        f'<div class="bar" style="background:linear-gradient(90deg,{blue},rgb(160,160,160),{red})"></div>'
        f'<div class="sides"><span><i style="background:{blue}"></i>{low}</span><span>no colour: says nothing</span>'
        f'<span><i style="background:{red}"></i>{high}</span></div>'
        f"<p>Covering the {100 * COVERED:.0f} % of the picture that speak most for {explained} changes the probability"
        f" of {explained} from {percent(explanation.probability)} to {percent(explanation.covered)}.</p></figure>"
    )


def _data_address(image: NDArray[np.uint8]) -> str:
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
