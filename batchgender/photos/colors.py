"""Colour spaces and transparency: what a decoder gives, as RGB on white."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WHITE = (255, 255, 255, 255)


def shown(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Samples uint8 [height, width, 1 to 4] (gray, gray and alpha, RGB, RGB and alpha) as RGB on white."""
    return on_white(displayed(Image.fromarray(samples.squeeze(2) if samples.shape[2] == 1 else samples)))


def displayed(picture: Image.Image) -> Image.Image:
    """The picture in RGB, or in RGBA where a part of it is transparent."""
    if picture.mode == "LAB":
        return rgb_of_lab(picture)
    # Pillow makes no RGBA of gray that is multiplied by its alpha.
    picture = picture.convert("LA") if picture.mode == "La" else picture
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def on_white(picture: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a picture in RGB or RGBA: uint8 [height, width, 3]."""
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture).convert("RGB")
    # A copy: what Pillow gives can't be written to, and PyTorch warns of it.
    return np.array(picture)


def rgb_of_cmyk(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Samples uint8 [height, width, 4], the amounts of ink, as RGB."""
    return np.array(Image.fromarray(samples, "CMYK").convert("RGB"))


def rgb_of_lab(picture: Image.Image) -> Image.Image:
    """A picture in Pillow's LAB, with a and b as signed bytes, as sRGB."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    turned = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    assert turned
    return turned
