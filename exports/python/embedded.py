"""What the examples beside this file share: arguments, metadata of an ONNX file, resizing, the self-check, the rows."""

import base64
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageOps

# Added before rounding to bytes, as in the file: a value halfway between two bytes may come out a little below it.
ROUND_UP = 1.5e-4


def model_file(ending: str) -> str:
    """The model that the command line names; ends the program in a line where it names none, or no photo."""
    if len(sys.argv) < 3 or not sys.argv[1].endswith(ending):
        sys.exit(f"usage: python {os.path.basename(sys.argv[0])} MODEL{ending} PHOTO...")
    for path in sys.argv[1:]:
        if not os.path.isfile(path):
            sys.exit(f"{path}: no such file")
    return sys.argv[1]


def onnx_about(path: str) -> dict[str, Any]:
    """An ONNX file's metadata_props (field 14: a key is 1, a value 2), for runtimes that don't give them."""
    try:
        with open(path, "rb") as stream:
            entries = [dict(_fields(entry)) for number, entry in _fields(memoryview(stream.read())) if number == 14]
        about: dict[str, Any] = json.loads(next(bytes(e[2]) for e in entries if bytes(e[1]) == b"batchgender"))
    except (StopIteration, IndexError, KeyError, ValueError):
        sys.exit(f"{path}: no ONNX file from batchgender")
    return about


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 [height, width, 3] as the file does, for runtimes that leave out its Resize's antialiasing."""
    height, width = image.shape[:2]
    rows = _weights(height, size) @ image.reshape(height, -1).astype(np.float32)
    columns = _weights(width, size) @ rows.reshape(size, width, 3)
    return np.asarray(np.round(columns + np.float32(ROUND_UP)), np.uint8)


def answer(about: dict[str, Any], ask: Callable[[np.ndarray], np.ndarray]) -> None:
    """Run the file's self-check, then print a row for each photo of the command line."""
    allowed = about.get("golden_tolerance", 0.0)
    for check in about.get("golden", []):
        apart = np.abs(ask(_decoded(base64.b64decode(check["png"]), "self-check")) - check["probabilities"]).max()
        if not apart <= allowed:
            sys.exit(f"{sys.argv[1]}: self-check failed: probabilities differ by {apart:.4f}, {allowed} allowed")
    print("path", "prediction", *("p_" + name.lower() for name in about["classes"]), sep=",")
    for path in sys.argv[2:]:
        with open(path, "rb") as stream:
            found = ask(_decoded(stream.read(), path))
        print(path, about["classes"][found.argmax()], *(f"{p:.6f}" for p in found), sep=",")


def _decoded(data: bytes, name: str) -> np.ndarray:
    """RGB, upright, on white where it is transparent, at its own size."""
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if image.mode.startswith("I"):
            # Gray in 16 bits, of which Pillow would keep the darkest.
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("RGBA")
    except Exception:  # Pillow's formats each raise their own.
        sys.exit(f"{name}: no photo that Pillow can read")
    white = Image.new("RGBA", image.size, "white")
    return np.array(Image.alpha_composite(white, image).convert("RGB"))


def _weights(length: int, size: int) -> np.ndarray:
    """The antialiased bilinear filter: what each of `length` pixels gives to each of `size`."""
    scale = length / size
    centers = (np.arange(size) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centers[:, None]) / max(scale, 1))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protobuf message that have a length, by number; the others are skipped."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(message):
        key = varint()
        if key & 7 == 2:
            length = varint()
            yield key >> 3, message[at : at + length]
            at += length
        elif key & 7 == 0:
            varint()
        else:
            at += 8 if key & 7 == 1 else 4
