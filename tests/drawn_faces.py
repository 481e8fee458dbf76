"""Drawn portraits for the demo: a labelled stand-in for real photos, the same for the same seed.

`python tests/drawn_faces.py FOLDER` writes FOLDER/{train,test}/{female,male}/*.jpg. The two classes differ in
how often they have long hair, a beard, or strong brows, and overlap in all of them: figures on these drawings say
that the pipeline works, and nothing about people.
"""

from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError, os_reason

SIZE = 224
COUNTS = {"train": 500, "test": 100}
CLASSES = ("female", "male")

Canvas = NDArray[np.uint8]
Color = tuple[float, float, float]


def draw_portrait(label: str, rng: np.random.Generator) -> Canvas:
    """Draw one portrait of a class of CLASSES: uint8 [224, 224, 3] RGB."""
    female = label == "female"
    skin = _mix((250, 219, 194), (92, 58, 40), rng.random(), rng, 3)
    hair = _mix((30, 22, 18), (214, 178, 120), rng.random() ** 2, rng, 3)
    image = _background(rng)
    x, y = (int(v) for v in rng.integers((98, 104), (127, 123)))
    width, height = int(rng.integers(40, 49)), int(rng.integers(52, 63))
    long_hair = rng.random() < (0.85 if female else 0.12)
    if long_hair:
        fall = height + int(rng.integers(20, 55))
        _ellipse(image, (x, y + 12), (width + int(rng.integers(12, 22)), fall), hair)
    clothes = tuple(float(c) for c in rng.integers(20, 236, 3))
    _ellipse(image, (x, 236), (int(rng.integers(78, 100)), 68), clothes)
    _ellipse(image, (x, y + height), (18 if female else 23, 30), _shade(skin, 0.88))
    for side in (-1, 1):
        _ellipse(image, (x + side * width, y + 4), (7, 12), _shade(skin, 0.92))
    _ellipse(image, (x, y), (width, height), skin)
    if not female:
        # A wider jaw.
        _ellipse(image, (x, y + height // 3), (width - 1, height * 2 // 3 - 2), skin)
    _beard(image, (x, y), (width, height), hair, rng.random() < (0.0 if female else 0.5))
    _features(image, (x, y), (width, height), skin, hair, female, rng)
    top = int(rng.integers(22, 34))
    cv2.ellipse(image, (x, y - height + top), (width + 4, top + 8), 0, 180, 360, hair, -1, cv2.LINE_AA)
    if rng.random() < 0.2:
        for side in (-1, 1):
            cv2.circle(image, (x + side * 18, y - 4), 13, (35, 35, 40), 2, cv2.LINE_AA)
        cv2.line(image, (x - 5, y - 4), (x + 5, y - 4), (35, 35, 40), 2, cv2.LINE_AA)
    return _photographed(image, rng)


def write_portraits(folder: Path, counts: dict[str, int] = COUNTS, seed: int = 0) -> None:
    """Draw `counts[split]` portraits of each class into folder/SPLIT/CLASS; raises UserError where it can't write."""
    for split_index, (split, count) in enumerate(counts.items()):
        for label_index, label in enumerate(CLASSES):
            target = folder / split / label
            for index in range(count):
                rng = np.random.default_rng([seed, split_index, label_index, index])
                image = cv2.cvtColor(draw_portrait(label, rng), cv2.COLOR_RGB2BGR)
                quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
                data = cv2.imencode(".jpg", image, quality)[1].tobytes()
                try:
                    target.mkdir(parents=True, exist_ok=True)
                    (target / f"{index:04}.jpg").write_bytes(data)
                except OSError as error:
                    raise UserError(f"{target}: can't write the drawn portraits ({os_reason(error)})") from None


def _mix(first: Color, second: Color, share: float, rng: np.random.Generator, noise: float) -> Color:
    values = np.array(first) * (1 - share) + np.array(second) * share + rng.normal(0, noise, 3)
    red, green, blue = (float(v) for v in values.clip(0, 255))
    return red, green, blue


def _shade(color: Color, factor: float) -> Color:
    red, green, blue = (c * factor for c in color)
    return red, green, blue


def _ellipse(image: Canvas, center: tuple[int, int], axes: tuple[int, int], color: tuple[float, ...]) -> None:
    cv2.ellipse(image, center, axes, 0, 0, 360, color, -1, cv2.LINE_AA)


def _background(rng: np.random.Generator) -> Canvas:
    """A gradient between two colours at a random angle."""
    first, second = rng.integers(40, 236, (2, 3))
    angle = rng.random() * 2 * np.pi
    grid = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    ramp = np.clip(np.cos(angle) * grid[1] + np.sin(angle) * grid[0], 0, 1)[..., None]
    return np.ascontiguousarray(first * (1 - ramp) + second * ramp, np.uint8)


def _beard(image: Canvas, center: tuple[int, int], axes: tuple[int, int], hair: Color, grown: bool) -> None:
    if grown:
        (x, y), (width, height) = center, axes
        cv2.ellipse(image, (x, y + 14), (width - 1, height - 15), 0, 0, 180, hair, -1, cv2.LINE_AA)


def _features(
    image: Canvas,
    center: tuple[int, int],
    axes: tuple[int, int],
    skin: Color,
    hair: Color,
    female: bool,
    rng: np.random.Generator,
) -> None:
    """Eyes, brows, nose and mouth."""
    (x, y), (_, height) = center, axes
    iris = tuple(float(c) for c in rng.integers((30, 40, 30), (120, 130, 150)))
    brow = int(rng.integers(2, 4) if female else rng.integers(4, 7))
    for side in (-1, 1):
        eye = (x + side * 18, y - 4)
        _ellipse(image, eye, (8, 5), (245, 245, 245))
        cv2.circle(image, eye, 4, iris, -1, cv2.LINE_AA)
        cv2.circle(image, eye, 2, (10, 10, 10), -1, cv2.LINE_AA)
        cv2.ellipse(image, (eye[0], eye[1] - 8), (11, 5), 0, 200, 340, _shade(hair, 0.7), brow, cv2.LINE_AA)
    cv2.line(image, (x, y + 2), (x + int(rng.integers(-4, 5)), y + 16), _shade(skin, 0.75), 2, cv2.LINE_AA)
    painted = female and rng.random() < 0.6
    lips = (190.0, 40.0, 60.0) if painted else _mix(_shade(skin, 0.8), (160, 70, 70), 0.4, rng, 6)
    _ellipse(image, (x, y + height // 2 + 2), (int(rng.integers(11, 18)), int(rng.integers(3, 6))), lips)


def _photographed(image: Canvas, rng: np.random.Generator) -> Canvas:
    """Tilt, mirror, light, blur and grain, as a camera would add them."""
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.uniform(-12, 12), rng.uniform(0.95, 1.2))
    turned = cv2.warpAffine(image, turn, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
    if rng.random() < 0.5:
        turned = cv2.flip(turned, 1)
    blurred = cv2.GaussianBlur(turned, (0, 0), rng.uniform(0.5, 1.6)).astype(np.float32)
    lit = blurred * rng.uniform(0.7, 1.2) + rng.normal(0, rng.uniform(2, 10), blurred.shape)
    return lit.clip(0, 255).astype(np.uint8)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Draw 1,200 portraits into FOLDER/{train,test}/{female,male}."""
    try:
        write_portraits(folder)
    except UserError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{sum(COUNTS.values()) * len(CLASSES):,} drawn portraits, a stand-in for real photos: {folder}")


if __name__ == "__main__":
    main()
