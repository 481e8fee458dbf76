"""What the examples beside this file share: the metadata of an ONNX file, resizing, the pictures and the rows."""

import base64
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

# A tie may come out a little below a half; the file adds the same before it rounds.
ROUND_UP = 1.5e-4


def onnx_about(path: str) -> dict[str, Any]:
    """An ONNX file's metadata_props (field 14: a key is 1, a value 2), for runtimes that don't give them."""
    with open(path, "rb") as stream:
        entries = [dict(_fields(entry)) for number, entry in _fields(memoryview(stream.read())) if number == 14]
    about: dict[str, Any] = json.loads(next(bytes(e[2]) for e in entries if bytes(e[1]) == b"batchgender"))
    return about


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 [height, width, 3] as the file does, for runtimes that leave out its Resize's antialiasing."""
    height, width = image.shape[:2]
    rows = _weights(height, size) @ image.reshape(height, -1).astype(np.float32)
    columns = _weights(width, size) @ rows.reshape(size, width, 3)
    return np.asarray(np.round(columns + np.float32(ROUND_UP)), np.uint8)


def answer(about: dict[str, Any], ask: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replay the file's own pictures, then print a row for each photo of the command line."""
    for golden in about.get("golden", []):
        apart = np.abs(ask(_decoded(base64.b64decode(golden["png"]))) - golden["probabilities"]).max()
        if not apart <= about["golden_tolerance"]:
            sys.exit(f"{sys.argv[1]}: answers its own pictures wrongly here, {apart:.4f} apart")
    print("path", "prediction", *("p_" + name.lower() for name in about["classes"]), sep=",")
    for path in sys.argv[2:]:
        with open(path, "rb") as stream:
            found = ask(_decoded(stream.read()))
        print(path, about["classes"][found.argmax()], *(f"{p:.6f}" for p in found), sep=",")


def _decoded(data: bytes) -> np.ndarray:
    """RGB, upright, at its own size."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))


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
