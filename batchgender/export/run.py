"""One run of `export`: write each format, check it against PyTorch, give it its name."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchgender.decode import resize
from batchgender.errors import UserError, os_reason
from batchgender.export.compress import compress, folded, responses, smallest
from batchgender.export.flips import Gate
from batchgender.export.float16 import float16_format
from batchgender.export.formats import FORMATS, OPSET, write_onnx
from batchgender.export.judge import Judge
from batchgender.export.load import open_any
from batchgender.export.quantize import int8_format
from batchgender.export.verify import VerifyPhotos, largest_difference, verify_photos
from batchgender.golden import golden_pictures, with_golden
from batchgender.model_file import ModelInfo
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import LICENSE, Checkpoint
from batchgender.training.data import Batches, Log, load_split
from batchgender.training.evaluate import Predict, predictor
from batchgender.training.models import Deployed

NAME = "batchgender"
_PHOTOS, _BATCH = 1024, 32
# In probability: where another runtime resizes, a byte in the middle of two may be taken up or down.
_RESIZED = 1e-3


def export(
    checkpoint_file: str,
    formats: Sequence[str],
    out: str,
    data: str | None,
    log: Log,
    rank: int | str | None = None,
    precision: str | None = None,
    flip: bool = False,
    terms: str = LICENSE,
    opset: int = OPSET,
    most_flips: int | None = None,
) -> list[Path]:
    """Export a checkpoint to `out`, a folder, or a file where there is one format; return what was written.

    `rank` makes linear layers smaller ("auto" finds the smallest that keeps the accuracy), `precision` ("int8",
    "float16") and `opset` are of the ONNX file; `flip` makes it look at mirror images too, `terms` is the licence that
    it states.
    Each file is checked against PyTorch on the test photos of `data` (by default of the training source, where
    it is a folder here; else on drawn portraits); smaller ones also against the checkpoint on its validation
    photos. With `data`, or `most_flips`, the class of each test photo is compared too. Raises UserError where a file
    can't be written, lies farther from PyTorch than its format may, loses more than half a point of accuracy, or
    changes the class of more than `most_flips` photos: that file is not kept.
    """
    targets = _targets(formats, out)
    checkpoint = replace(checkpoints.load(checkpoint_file), flip=flip, license=terms)
    module, info = checkpoint.deployed(), checkpoint.info()
    # Before the layers are made smaller: what they were is what counts.
    gate = _gate(checkpoint, module, data, most_flips, log) if data or most_flips is not None else None
    forms = {**FORMATS, "onnx": replace(FORMATS["onnx"], write=partial(write_onnx, opset=opset))}
    if rank or precision:
        images, judge = labelled(checkpoint, module, data, log)
        module.network = folded(module.network)
        if rank:
            module, info = smaller(module, info, rank, images, judge, log)
        if precision == "int8":
            forms["onnx"] = int8_format(images, judge, log, opset)
        elif precision == "float16":
            forms["onnx"] = float16_format(judge, log, opset)
    predict = predictor(module)
    info = with_golden(info, predict, golden_pictures(predict))
    # A Hub id is not asked again: an export must work without a network.
    fallback = checkpoint.source if Path(checkpoint.source).exists() else None
    photos = verify_photos(data, fallback)
    for name, path in targets.items():
        form = forms[name]
        part = path.with_name(f"{path.stem}.part{form.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                form.write(module, info, part)
            said = "not checked: Core ML runs on macOS alone"
            if form.tolerance is not None:
                written, _ = open_any(str(part))
                said = _checked(predict, written, path, photos, module.input_size, form.tolerance)
                if gate:
                    gate.check(str(path), written)
            for suffix in form.beside:
                os.replace(part.with_suffix(suffix), path.with_suffix(suffix))
            os.replace(part, path)
        except OSError as error:
            raise UserError(f"{path}: can't write ({os_reason(error)})") from None
        finally:
            for suffix in (form.suffix, *form.beside):
                part.with_suffix(suffix).unlink(missing_ok=True)
        log(f"{path}  {megabytes(path)}  {said}")
    return list(targets.values())


def _checked(expected: Predict, written: Predict, path: Path, photos: VerifyPhotos, size: int, tolerance: float) -> str:
    """Say how far a file lies from PyTorch, at the model's size and with the resize inside; UserError where too far."""
    differences = []
    sized = [resize(image, size) for image in photos.images]
    for images, limit in ((sized, tolerance), (photos.images, max(tolerance, _RESIZED))):
        differences.append(largest_difference(expected, written, images))
        if not differences[-1] <= limit:
            raise UserError(
                f"{path}: differs from PyTorch by {differences[-1]:.1e} in probability, more than {limit:.0e}; not kept"
            )
    network, whole = differences
    return (
        f"largest difference from PyTorch {network:.1e}, {whole:.1e} with the resize inside, over {len(sized)}"
        f" {photos.source}"
    )


def _gate(checkpoint: Checkpoint, module: Deployed, data: str | None, most_flips: int | None, log: Log) -> Gate:
    source = data or checkpoint.source
    try:
        photos = load_split(source, "test", log)
    except UserError:
        if data:
            raise
        raise UserError(
            f"{source}: the test photos can't be loaded; --max-flips needs labelled ones: give --data"
        ) from None
    return Gate(predictor(module), checkpoint.classes, photos, checkpoint.recipe.input_size, most_flips, log)


def labelled(
    checkpoint: Checkpoint, module: Deployed, data: str | None, log: Log
) -> tuple[list[NDArray[np.uint8]], Judge]:
    """Training photos uint8 [B, size, size, 3] to look at, up to 1,024, and the judge over the validation photos."""
    source, size = data or checkpoint.source, checkpoint.recipe.input_size
    try:
        training, validation = (load_split(source, split, log) for split in ("train", "val"))
    except UserError:
        if data:
            raise
        raise UserError(
            f"{source}: the training photos can't be loaded; --compress and --quantize need labelled ones: give --data"
        ) from None
    # Spread over the split: files sorted by class would give one class alone.
    spread = np.linspace(0, len(training) - 1, min(_PHOTOS, len(training))).astype(int).tolist()
    images = [batch for batch, _, _ in Batches(training, size, _BATCH, log)(spread)]
    if not images:
        raise UserError(f"{source}: none of its training photos can be read; choose another --data")
    return images, Judge(predictor(module), checkpoint.classes, validation, size, log)


def smaller(
    module: Deployed, info: ModelInfo, rank: int | str, images: list[NDArray[np.uint8]], judge: Judge, log: Log
) -> tuple[Deployed, ModelInfo]:
    if isinstance(rank, int):
        small = compress(module, responses(module, images, rank), rank)
        kept = judge.compare(predictor(small))
        log(f"rank {rank}: {kept}")
        kept.check()
    else:
        small, rank, kept = smallest(module, images, judge, log)
    found = {"rank": rank, "rank_photos": sum(map(len, images)), **kept.as_dict()}
    return small, replace(info, compression=found)


def megabytes(path: Path) -> str:
    size = path.stat().st_size / 1e6
    return f"{size:.1f} MB" if size < 10 else f"{size:.0f} MB"


def _targets(formats: Sequence[str], out: str) -> dict[str, Path]:
    names = list(dict.fromkeys(formats))
    path = Path(out)
    if path.suffix not in {form.suffix for form in FORMATS.values()}:
        if path.exists() and not path.is_dir():
            raise UserError(f"{out}: is a file; give a folder, or a name that ends as the format does")
        return {name: path / f"{NAME}{FORMATS[name].suffix}" for name in names}
    if len(names) > 1 or path.suffix != FORMATS[names[0]].suffix:
        raise UserError(f"{out}: name a folder for {', '.join(names)}")
    return {names[0]: path}
