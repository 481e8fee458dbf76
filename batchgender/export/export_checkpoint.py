"""One run of `export`: write each format, check it against PyTorch, give it its name."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError, os_reason
from batchgender.export.agreement import Reference, check_flips
from batchgender.export.export_photos import CheckPhotos, ExportPhotos, open_export_photos
from batchgender.export.formats import onnx as onnx_format
from batchgender.export.formats.registry import FORMATS, Format
from batchgender.export.load_any_model import load_any_model
from batchgender.export.low_rank import compress, fold_batch_norm, responses, smallest_rank_that_agrees
from batchgender.export.quantization.float16 import write_float16
from batchgender.export.quantization.int8 import write_int8
from batchgender.extras import require_extra
from batchgender.io import Notify, check_writable
from batchgender.lock import locked
from batchgender.model import tolerances
from batchgender.model.agreement import Predict, largest_difference
from batchgender.model.metadata import ModelInfo
from batchgender.model.self_check import self_check_pictures, with_self_check
from batchgender.photos.resize import resize
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.networks.deployed import Deployed, probabilities_of
from batchgender.training.networks.pooling import fold_pooling

_NAME = "batchgender"
Write = Callable[[Deployed, ModelInfo, Path], None]


@dataclass(frozen=True)
class ExportOptions:
    """How files are made.

    `rank` makes linear layers smaller ("auto" finds the smallest that keeps the accuracy), `precision` ("int8",
    "float16") and `opset` are of the ONNX file; `flip` averages answers over mirror images, `license` is what the file
    states (None: the checkpoint's), `max_flips` how many photos may change their class.
    """

    rank: int | str | None = None
    precision: str | None = None
    flip: bool = False
    license: str | None = None
    opset: int = onnx_format.OPSET
    max_flips: int | None = None


@dataclass(frozen=True)
class SmallerModel:
    """What makes and judges smaller models: training photos uint8 [B, size, size, 3], answers on validation photos."""

    images: list[NDArray[np.uint8]]
    reference: Reference

    @classmethod
    def prepare(cls, checkpoint: Checkpoint, module: Deployed, photos: ExportPhotos, notify: Notify) -> "SmallerModel":
        """Load the photos, and have the original answer them; raises UserError where there are none."""
        size = checkpoint.recipe.input_size
        images = photos.training_batches(size, notify)
        validation = photos.labelled("val", "--compress and --quantize need labelled ones")
        return cls(images, Reference(probabilities_of(module), checkpoint.classes, validation, size, notify))

    def low_rank(
        self, module: Deployed, info: ModelInfo, rank: int | str, notify: Notify
    ) -> tuple[Deployed, ModelInfo]:
        """The module with linear layers of this rank ("auto": the smallest that keeps the accuracy), and its metadata.

        Raises UserError where it loses more than half a point of accuracy, or no layer gets smaller.
        """
        if isinstance(rank, int):
            small = compress(module, responses(module, self.images, rank), rank)
            agreement = self.reference.compare(probabilities_of(small), f"rank {rank}")
            notify(f"rank {rank}: {agreement}")
            agreement.check_points_lost()
        else:
            small, rank, agreement = smallest_rank_that_agrees(module, self.images, self.reference, notify)
        found = replace(agreement.compression(), rank=rank, rank_photos=sum(map(len, self.images)))
        return small, replace(info, compression=found)

    def writer(self, precision: str, notify: Notify, opset: int) -> tuple[Write, float]:
        """What writes ONNX in this precision, and how far its probabilities may lie from PyTorch's."""
        if precision == "float16":
            write16 = partial(write_float16, reference=self.reference, notify=notify, opset=opset)
            return write16, tolerances.FLOAT16
        # Bound by accuracy, not by a tolerance.
        return partial(write_int8, images=self.images, reference=self.reference, notify=notify, opset=opset), float(
            "inf"
        )


def export_checkpoint(
    checkpoint_file: str,
    formats: Sequence[str],
    out: str,
    data: str | None,
    notify: Notify,
    options: ExportOptions = ExportOptions(),
) -> list[Path]:
    """Export a checkpoint to `out`, a folder, or a file where there is one format; return what was written.

    Each file is checked against PyTorch on the test photos of `data` (by default of the training source, where it is a
    folder here; else on generated pictures); smaller ones also against the checkpoint on its validation photos. With
    `data`, or a limit of flips, the class of each test photo is compared, too. Raises UserError where a file can't be
    written, lies farther from PyTorch than its format may, loses more than half a point of accuracy, or changes the
    class of more photos than may be: that file is not kept.
    """
    targets = _targets(formats, out)
    for name, path in targets.items():
        check_writable(path, "--out")
        if extra := FORMATS[name].extra:
            require_extra(extra, f"--format {name}")
    checkpoint = checkpoints.load(checkpoint_file)
    module, info = checkpoint.deployed(options.flip), checkpoint.info(options.flip)
    info = replace(info, license=options.license or info.license)
    labels_needed = bool(options.rank or options.precision or options.max_flips is not None)
    photos = open_export_photos(data, checkpoint, labels_needed, notify)
    # Before the layers are made smaller: what they were is what counts.
    test = _test_reference(checkpoint, module, photos, options.max_flips, notify)
    module.network = fold_pooling(module.network, info.input_size)
    onnx_writer: Write = partial(onnx_format.write, opset=options.opset)
    onnx_tolerance = tolerances.ONNX
    if options.rank or options.precision:
        smaller = SmallerModel.prepare(checkpoint, module, photos, notify)
        module.network = fold_batch_norm(module.network)
        if options.rank:
            module, info = smaller.low_rank(module, info, options.rank, notify)
        if options.precision:
            onnx_writer, onnx_tolerance = smaller.writer(options.precision, notify, options.opset)
    predict = probabilities_of(module)
    info = with_self_check(info, predict, self_check_pictures(predict))
    check_photos = photos.check_photos()
    for name, path in targets.items():
        form = FORMATS[name]
        write, tolerance = (onnx_writer, onnx_tolerance) if name == "onnx" else (form.write, form.tolerance)

        def check(part: Path, path: Path = path, tolerance: float | None = tolerance) -> str:
            if tolerance is None:
                return "not checked: Core ML runs on macOS alone"
            # Written just now, by this process.
            written = load_any_model(str(part), trust=True).predict
            checked = _check_difference(predict, written, path, check_photos, info.input_size, tolerance)
            if test:
                check_flips(str(path), test.compare(written, str(path)), options.max_flips, notify)
            return checked

        with locked([path], notify):
            checked = _write_and_check(form, partial(write, module, info), check, path)
        notify(f"{path}  {_megabytes(path)}  {checked}")
    return list(targets.values())


def _write_and_check(form: Format, write: Callable[[Path], None], check: Callable[[Path], str], path: Path) -> str:
    """Write a file, and give it its name once it is checked; nothing is left of one that fails."""
    part = path.with_name(f"{path.stem}.part{form.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(part)
        checked = check(part)
        for suffix in (*form.companions, form.suffix):
            os.replace(part.with_suffix(suffix), path.with_suffix(suffix))
    except OSError as error:
        raise UserError(f"{path}: can't write ({os_reason(error)})") from error
    finally:
        for suffix in (form.suffix, *form.companions):
            part.with_suffix(suffix).unlink(missing_ok=True)
    return checked


def _check_difference(
    expected: Predict, written: Predict, path: Path, photos: CheckPhotos, size: int, tolerance: float
) -> str:
    """Say how far a file lies from PyTorch, at the model's size and with the resize inside; UserError where too far."""
    sized = [resize(image, size) for image in photos.images]
    differences = []
    for images, limit in ((sized, tolerance), (photos.images, max(tolerance, tolerances.WITH_RESIZE))):
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


def _test_reference(
    checkpoint: Checkpoint, module: Deployed, photos: ExportPhotos, max_flips: int | None, notify: Notify
) -> Reference | None:
    """The original's answers on the test photos, where classes are compared."""
    if not photos.named and max_flips is None:
        return None
    test = photos.labelled("test", "--max-flips needs labelled ones")
    return Reference(probabilities_of(module), checkpoint.classes, test, checkpoint.recipe.input_size, notify)


def _megabytes(path: Path) -> str:
    size = path.stat().st_size / 1e6
    return f"{size:.1f} MB" if size < 10 else f"{size:.0f} MB"


def _targets(formats: Sequence[str], out: str) -> dict[str, Path]:
    names = list(dict.fromkeys(formats))
    path = Path(out)
    if path.suffix not in {form.suffix for form in FORMATS.values()}:
        if path.exists() and not path.is_dir():
            raise UserError(f"{out}: is a file; give a folder, or a name that ends as the format does")
        return {name: path / f"{_NAME}{FORMATS[name].suffix}" for name in names}
    if len(names) > 1:
        raise UserError(f"{out}: name a folder for {', '.join(names)}")
    if path.suffix != FORMATS[names[0]].suffix:
        raise UserError(f"{out}: name a folder, or a file that ends in {FORMATS[names[0]].suffix}")
    return {names[0]: path}
