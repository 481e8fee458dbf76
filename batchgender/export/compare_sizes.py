"""All the sizes that a checkpoint can be exported in, side by side: bytes, accuracy, speed."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from batchgender.errors import UserError
from batchgender.export.agreement import Kept
from batchgender.export.compression_photos import labelled, smaller
from batchgender.export.formats.onnx import FORMATS, OPSET
from batchgender.export.load_any_model import open_any
from batchgender.export.low_rank import folded
from batchgender.export.quantization.float16 import float16_format
from batchgender.export.quantization.int8 import int8_format
from batchgender.io import Notify, percent
from batchgender.training import checkpoint as checkpoints
from batchgender.training.evaluation import Predict

_BATCH, _CALLS = 32, 5


@dataclass(frozen=True)
class Variant:
    """One way to export, and what became of it; `refused` says why there is no file, and the rest is then None.

    `options` is what to give `export`; `images_per_second` is the model alone on one core, batches of 32.
    """

    options: str
    megabytes: float | None = None
    kept: Kept | None = None
    images_per_second: float | None = None
    refused: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**asdict(self), "kept": self.kept.as_dict() if self.kept else None}


def compare_exports(checkpoint_file: str, data: str | None, notify: Notify, opset: int = OPSET) -> list[Variant]:
    """Export a checkpoint to ONNX in each precision, whole and of low rank, and measure each; keeps no file.

    Raises UserError where the checkpoint, or its photos, can't be read.
    """
    checkpoint = checkpoints.load(checkpoint_file)
    module, info = checkpoint.deployed(), checkpoint.info()
    images, judge = labelled(checkpoint, module, data, notify)
    module.network = folded(module.network)
    forms = {
        "": FORMATS["onnx"],
        "--quantize float16": float16_format(judge, lambda line: None, opset),
        "--quantize int8": int8_format(images, judge, lambda line: None, opset),
    }
    ways = {"": (module, info)}
    refused = ""
    try:
        ways["--compress auto"] = smaller(module, info, "auto", images, judge, lambda line: None)
    except UserError as error:
        refused = str(error)
    found = []
    for rank in ("", "--compress auto"):
        for precision, form in forms.items():
            options = f"{rank} {precision}".strip()
            notify(f"measuring {options or 'float32'}")
            if rank not in ways:
                found.append(Variant(options, refused=refused))
                continue
            small, told = ways[rank]
            with TemporaryDirectory() as folder:
                file = Path(folder) / "model.onnx"
                try:
                    form.write(small, told, file)
                    predict, _ = open_any(str(file))
                    kept = judge.compare(predict)
                    found.append(Variant(options, file.stat().st_size / 1e6, kept, _speed(predict, images[0])))
                except UserError as error:
                    found.append(Variant(options, refused=str(error).removeprefix(f"{file}: ")))
    return found


def as_text(variants: list[Variant]) -> str:
    """Lay the variants out for a terminal."""
    lines = [
        f"{'export --format onnx':<36} {'size':>9} {'accuracy':>9} {'points lost':>12} {'flips':>6} {'images/s':>9}"
    ]
    for one in variants:
        name = one.options or "(float32)"
        if one.kept is None:
            lines.append(f"{name:<36} refused: {one.refused}")
            continue
        lines.append(
            f"{name:<36} {one.megabytes:>6.1f} MB {percent(one.kept.exported):>9} {one.kept.fall:>12.2f}"
            f" {one.kept.flips:>6,} {one.images_per_second:>9,.0f}"
        )
    photos = next((one.kept.photos for one in variants if one.kept), 0)
    return "\n".join([*lines, f"accuracy over {photos:,} validation photos; images/s of the model alone on one core"])


def _speed(predict: Predict, images: np.ndarray) -> float:
    batch = np.ascontiguousarray(np.resize(images, (_BATCH, *images.shape[1:])))
    predict(batch)
    seconds = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        predict(batch)
        seconds.append(time.perf_counter() - started)
    return _BATCH / median(seconds)
