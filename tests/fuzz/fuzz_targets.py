"""What is fuzzed: for each kind of file sound ones to begin with, and the code that reads it."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from photo_files import PORTRAIT, encoded, png, tiff
from PIL import Image

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import silent
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import PACKAGED_MODEL, open_model
from batchgender.photos.decode import to_size
from batchgender.photos.labels_file import read_labels
from batchgender.photos.path_table import read_path_table
from batchgender.photos.source import PhotoSource
from batchgender.report.compare_results import compare_results
from batchgender.results.answers import read_answers

# What a fault in a file may raise.
EXPECTED = (UserError, UnreadablePhoto)
_SMALL = Image.fromarray(PORTRAIT[::3, ::3])


@dataclass(frozen=True)
class Target:
    """Sound files, by their ending, and what reads one that lies at a path."""

    seeds: Sequence[tuple[str, bytes]]
    read: Callable[[Path], object]


def _images() -> list[tuple[str, bytes]]:
    plain: dict[str, tuple[str, dict[str, Any]]] = {
        ".jpg": ("JPEG", {}),
        ".progressive.jpg": ("JPEG", {"progressive": True}),
        ".webp": ("WebP", {}),
        ".lossless.webp": ("WebP", {"lossless": True}),
        ".bmp": ("BMP", {}),
        ".gif": ("GIF", {}),
        ".jp2": ("JPEG2000", {}),
        ".avif": ("AVIF", {}),
        ".ppm": ("PPM", {}),
        ".png": ("PNG", {}),
        ".heic": ("HEIF", {}),
        ".jxl": ("JXL", {}),
        **{
            f".{name}.tif": ("TIFF", {"compression": name}) for name in ("packbits", "tiff_lzw", "tiff_deflate", "jpeg")
        },
    }
    found = [(ending, encoded(kind, _SMALL, **options)) for ending, (kind, options) in plain.items()]
    samples = np.asarray(_SMALL)
    cmyk = encoded("JPEG", _SMALL.convert("CMYK"))
    return [*found, (".cmyk.jpg", cmyk), (".16.png", png(samples.astype(np.uint16) * 257, 2, 16)), (".16.tif", _tiff())]


def _tiff() -> bytes:
    return tiff(np.asarray(_SMALL).astype(np.uint16) * 257, 16)


def _results() -> bytes:
    lines = ["path,prediction,confidence,p_female,p_male,label,error"]
    for at in range(40):
        share = round(0.5 + at / 100, 6)
        named, label = ("Male", "Female")[at % 2], ("Male", "Female")[at % 3 // 2]
        lines.append(f"{at % 3}/ä{at}.jpg,{named},{share},{share},{1 - share:.6f},{label},")
    return "\r\n".join([*lines, "b.jpg,,,,,Female,empty file", ""]).encode()


def _archives() -> list[tuple[str, bytes]]:
    members = {"female/a.jpg": encoded("JPEG", _SMALL), "male/b.png": encoded("PNG", _SMALL), "c.txt": b"x" * 50}
    found = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", kind) as packed:
            for name, data in members.items():
                packed.writestr(name, data)
        found.append((".zip", stream.getvalue()))
    modes: tuple[tuple[Any, str], ...] = (
        ("w", ".tar"),
        ("w:gz", ".tar.gz"),
        ("w:bz2", ".tar.bz2"),
        ("w:xz", ".tar.xz"),
    )
    for mode, ending in modes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=mode) as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        found.append((ending, stream.getvalue()))
    return found


def _metadata() -> bytes:
    return ModelInfo(["Female", "Male"], 96, [0.5] * 3, [0.5] * 3, bias=[0.1, -0.1]).to_json().encode()


def _read_image(file: Path) -> None:
    to_size(file.read_bytes(), 96)


def _read_model(file: Path) -> None:
    model = open_model(file)
    model.predict(np.zeros((1, 80, 60, 3), np.uint8))


def _read_metadata(file: Path) -> None:
    ModelInfo.from_json(file.read_bytes().decode("utf-8", "replace"), "m.onnx").to_json()


def _read_table(file: Path) -> None:
    read_path_table(str(file))
    read_labels(str(file), silent)


def _read_results(file: Path) -> None:
    with suppress(UserError):
        compare_results(str(file), str(file))
    read_answers(str(file)).labelled()


def _read_archive(file: Path) -> None:
    for photo in PhotoSource([str(file)]):
        try:
            to_size(photo.read(), 96)
        except UnreadablePhoto:
            continue


def _read_checkpoint(file: Path) -> None:
    from batchgender.training.checkpoint import load

    load(file).info().to_json()


def _checkpoint() -> bytes:
    import torch
    from tiny_networks import tiny

    from batchgender.training.checkpoint import Checkpoint, save
    from batchgender.training.recipe import Recipe

    file = Path("checkpoint_seed.pt")
    save(Checkpoint(tiny().state_dict(), ["Female", "Male"], Recipe(architecture="tiny"), "faces"), file)
    assert torch.get_num_threads()
    data = file.read_bytes()
    file.unlink()
    return data


def target(name: str) -> Target:
    """One of NAMES; its seeds are made anew."""
    table = b'path,label,age\na/b.jpg,female,1-5\n"c,\n d.png",m,\n' * 3
    rows = _results()
    jsonl = b"".join(
        json.dumps(
            {
                "path": f"{at}.jpg",
                "prediction": "Male",
                "confidence": 0.9,
                "p_female": 0.1,
                "p_male": 0.9,
                "label": ("Male", "Female")[at % 2],
                "error": "",
            }
        ).encode()
        + b"\n"
        for at in range(20)
    )
    return {
        "images": lambda: Target(_images(), _read_image),
        "models": lambda: Target([(".onnx", PACKAGED_MODEL.read_bytes())], _read_model),
        "metadata": lambda: Target([(".json", _metadata())], _read_metadata),
        "tables": lambda: Target([(".csv", table), (".csv", table.decode().encode("utf-16"))], _read_table),
        "results": lambda: Target([(".csv", rows), (".jsonl", jsonl)], _read_results),
        "archives": lambda: Target(_archives(), _read_archive),
        "checkpoints": lambda: Target([(".pt", _checkpoint())], _read_checkpoint),
    }[name]()


NAMES = ("images", "models", "metadata", "tables", "results", "archives", "checkpoints")
