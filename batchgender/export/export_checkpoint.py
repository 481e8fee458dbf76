"""One run of `export`: write each format, check it against PyTorch, give it its name."""

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.export.compression_photos import labelled, smaller
from batchgender.export.formats.onnx import FORMATS, OPSET, write_onnx
from batchgender.export.label_agreement import Gate
from batchgender.export.load_any_model import open_any
from batchgender.export.low_rank import folded
from batchgender.export.quantization.float16 import float16_format
from batchgender.export.quantization.int8 import int8_format
from batchgender.export.verification import VerifyPhotos, largest_difference, verify_photos
from batchgender.io import Notify
from batchgender.model.self_check import golden_pictures, with_golden
from batchgender.photos.resize import resize
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import LICENSE, Checkpoint
from batchgender.training.data.sources import load_split
from batchgender.training.evaluation import Predict, predictor
from batchgender.training.networks.alexnet import Deployed

NAME = "batchgender"
# In probability: where another runtime resizes, a byte in the middle of two may be taken up or down.
_RESIZED = 1e-3


@dataclass(frozen=True)
class Options:
    """How files are made.

    `rank` makes linear layers smaller ("auto" finds the smallest that keeps the accuracy), `precision` ("int8",
    "float16") and `opset` are of the ONNX file; `flip` makes it look at mirror images too, `license` is what it states,
    `most_flips` how many photos may change their class.
    """

    rank: int | str | None = None
    precision: str | None = None
    flip: bool = False
    license: str = LICENSE
    opset: int = OPSET
    most_flips: int | None = None


def export(
    checkpoint_file: str,
    formats: Sequence[str],
    out: str,
    data: str | None,
    notify: Notify,
    options: Options = Options(),
) -> list[Path]:
    """Export a checkpoint to `out`, a folder, or a file where there is one format; return what was written.

    Each file is checked against PyTorch on the test photos of `data` (by default of the training source, where it is a
    folder here; else on generated pictures); smaller ones also against the checkpoint on its validation photos. With
    `data`, or a limit of flips, the class of each test photo is compared too. Raises UserError where a file can't be
    written, lies farther from PyTorch than its format may, loses more than half a point of accuracy, or changes the
    class of more photos than may be: that file is not kept.
    """
    targets = _targets(formats, out)
    _check_writable(targets.values())
    checkpoint = replace(checkpoints.load(checkpoint_file), flip=options.flip, license=options.license)
    module, info = checkpoint.deployed(), checkpoint.info()
    # Before the layers are made smaller: what they were is what counts.
    gated = data or options.most_flips is not None
    gate = _gate(checkpoint, module, data, options.most_flips, notify) if gated else None
    forms = {**FORMATS, "onnx": replace(FORMATS["onnx"], write=partial(write_onnx, opset=options.opset))}
    if options.rank or options.precision:
        images, judge = labelled(checkpoint, module, data, notify)
        module.network = folded(module.network)
        if options.rank:
            module, info = smaller(module, info, options.rank, images, judge, notify)
        if options.precision == "int8":
            forms["onnx"] = int8_format(images, judge, notify, options.opset)
        elif options.precision == "float16":
            forms["onnx"] = float16_format(judge, notify, options.opset)
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
            raise UserError(f"{path}: can't write ({os_reason(error)})") from error
        finally:
            for suffix in (form.suffix, *form.beside):
                part.with_suffix(suffix).unlink(missing_ok=True)
        notify(f"{path}  {_megabytes(path)}  {said}")
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


def _check_writable(files: Iterable[Path]) -> None:
    """Raise UserError where one of these can't be made, before any work is done."""
    for file in files:
        there = next(folder for folder in file.absolute().parents if folder.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise UserError(f"{there}: can't write in it; choose another --out")


def _gate(checkpoint: Checkpoint, module: Deployed, data: str | None, most_flips: int | None, notify: Notify) -> Gate:
    source = data or checkpoint.source
    try:
        photos = load_split(source, "test", notify)
    except UserError as error:
        if data:
            raise
        raise UserError(
            f"{source}: the test photos can't be loaded; --max-flips needs labelled ones: give --data"
        ) from error
    return Gate(predictor(module), checkpoint.classes, photos, checkpoint.recipe.input_size, most_flips, notify)


def _megabytes(path: Path) -> str:
    size = path.stat().st_size / 1e6
    return f"{size:.1f} MB" if size < 10 else f"{size:.0f} MB"


def _targets(formats: Sequence[str], out: str) -> dict[str, Path]:
    names = list(dict.fromkeys(formats))
    path = Path(out)
    if path.suffix not in {form.suffix for form in FORMATS.values()}:
        if path.exists() and not path.is_dir():
            raise UserError(f"{out}: is a file; give a folder, or a name that ends as the format does")
        return {name: path / f"{NAME}{FORMATS[name].suffix}" for name in names}
    if len(names) > 1:
        raise UserError(f"{out}: name a folder for {', '.join(names)}")
    if path.suffix != FORMATS[names[0]].suffix:
        raise UserError(f"{out}: name a folder, or a file that ends in {FORMATS[names[0]].suffix}")
    return {names[0]: path}
