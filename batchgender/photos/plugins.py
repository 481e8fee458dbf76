"""Pillow's plugins: one a format, loaded with its first picture, so that no other format is tried."""

import importlib
import io
from typing import Any

from PIL import Image

from batchgender.errors import UnreadablePhoto
from batchgender.extras import missing_extra

# By format: the class that reads it.
_PLUGINS = {
    "PNG": "PIL.PngImagePlugin.PngImageFile",
    "WebP": "PIL.WebPImagePlugin.WebPImageFile",
    "GIF": "PIL.GifImagePlugin.GifImageFile",
    "BMP": "PIL.BmpImagePlugin.BmpImageFile",
    "TIFF": "PIL.TiffImagePlugin.TiffImageFile",
    "AVIF": "PIL.AvifImagePlugin.AvifImageFile",
    "JPEG 2000": "PIL.Jpeg2KImagePlugin.Jpeg2KImageFile",
    "PNM": "PIL.PpmImagePlugin.PpmImageFile",
    "JPEG": "PIL.JpegImagePlugin.JpegImageFile",
    # Not pi_heif, the same without an encoder: its last version crashes on damaged files.
    "HEIC": "pillow_heif.as_plugin.HeifImageFile",
    "JPEG XL": "pillow_jxl.JpegXLImagePlugin.JXLImageFile",
}
# Of those that are no part of Pillow: the extra that brings them.
_EXTRAS = {"HEIC": "heic", "JPEG XL": "jxl"}
FORMATS = frozenset(_PLUGINS)


def open_picture(data: bytes, kind: str) -> Image.Image:
    """Read a file's header: its size and mode are known then, its pixels, but of JPEG XL, not yet decoded.

    Raises UnreadablePhoto where the extra that reads the format is not installed, and what Pillow does.
    """
    module, name = _PLUGINS[kind].rsplit(".", 1)
    try:
        plugin: Any = importlib.import_module(module)
    except ImportError as error:
        if kind not in _EXTRAS:
            raise
        raise UnreadablePhoto(missing_extra(_EXTRAS[kind], kind, module.split(".")[0])) from error
    if kind in _EXTRAS:
        # Each worker decodes its own photo, and no threads of a codec fight with it over the cores.
        options = plugin.options if kind == "HEIC" else plugin
        options.DECODE_THREADS = 0
    picture: Image.Image = getattr(plugin, name)(io.BytesIO(data))
    return picture
