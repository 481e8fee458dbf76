"""All the sizes that a checkpoint can be exported in, side by side: bytes, accuracy, speed."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.export.agreement import Agreement
from batchgender.export.export_checkpoint import SmallerModel, Write
from batchgender.export.export_photos import open_export_photos
from batchgender.export.formats import onnx as onnx_format
from batchgender.export.low_rank import fold_batch_norm
from batchgender.io import Notify, percent, silent, text_table
from batchgender.model.agreement import Predict
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import open_model
from batchgender.training import checkpoint as checkpoints
from batchgender.training.networks.deployed import Deployed

_BATCH, _CALLS = 32, 5


@dataclass(frozen=True)
class Variant:
    """One way to export, and what it gives; `refused` says why there is no file, and the rest is then None.

    `options` is what to give `export`; `images_per_second` is the model alone on one core, batches of 32.
    """

    options: str
    megabytes: float | None = None
    agreement: Agreement | None = None
    images_per_second: float | None = None
    refused: str = ""


def measure_variants(
    checkpoint_file: str, data: str | None, notify: Notify, opset: int = onnx_format.OPSET
) -> list[Variant]:
    """Export a checkpoint to ONNX in each precision, whole and of low rank, and measure each; keeps no file.

    Raises UserError where the checkpoint, or its photos, can't be read.
    """
    checkpoint = checkpoints.load(checkpoint_file)
    module, info = checkpoint.deployed(), checkpoint.info()
    photos = open_export_photos(data, checkpoint, True, notify)
    smaller = SmallerModel.prepare(checkpoint, module, photos, notify)
    module.network = fold_batch_norm(module.network)
    writers: dict[str, Write] = {
        "": partial(onnx_format.write, opset=opset),
        "--quantize float16": smaller.writer("float16", silent, opset)[0],
        "--quantize int8": smaller.writer("int8", silent, opset)[0],
    }
    found = [_measure(precision, write, module, info, smaller, notify) for precision, write in writers.items()]
    try:
        module, info = smaller.low_rank(module, info, "auto", silent)
    except UserError as error:
        return found + [Variant(f"--compress auto {precision}".strip(), refused=str(error)) for precision in writers]
    for precision, write in writers.items():
        found.append(_measure(f"--compress auto {precision}".strip(), write, module, info, smaller, notify))
    return found


def _measure(
    options: str, write: Write, module: Deployed, info: ModelInfo, smaller: SmallerModel, notify: Notify
) -> Variant:
    notify(f"measuring {options or 'float32'}")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            write(module, info, file)
            predict = open_model(file).predict
            agreement = smaller.reference.compare(predict, options or "float32")
            return Variant(options, file.stat().st_size / 1e6, agreement, _speed(predict, smaller.images[0]))
        except UserError as error:
            return Variant(options, refused=str(error).removeprefix(f"{file}: "))


def size_table_text(variants: list[Variant]) -> str:
    """Lay the variants out for a terminal."""
    rows = [["export --format onnx", "size", "accuracy", "points lost", "flips", "images/s"]]
    for one in variants:
        name = one.options or "(float32)"
        if one.agreement is None:
            rows.append([name, "refused"])
            continue
        rows.append(
            [
                name,
                f"{one.megabytes:.1f} MB",
                percent(one.agreement.accuracy),
                f"{one.agreement.points_lost:.2f}",
                f"{len(one.agreement.flips):,}",
                f"{one.images_per_second:,.0f}",
            ]
        )
    refused = [f"{one.options or '(float32)'} refused: {one.refused}" for one in variants if one.refused]
    photos = next((one.agreement.photos for one in variants if one.agreement), 0)
    note = f"accuracy over {photos:,} validation photos; images/s of the model alone on one core"
    return "\n".join([*text_table(rows, "<>>>>>"), *refused, note])


def _speed(predict: Predict, images: NDArray[np.uint8]) -> float:
    batch = np.ascontiguousarray(np.resize(images, (_BATCH, *images.shape[1:])))
    predict(batch)
    seconds = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        predict(batch)
        seconds.append(time.perf_counter() - started)
    return _BATCH / median(seconds)
