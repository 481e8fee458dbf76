"""Any model file or checkpoint, opened for evaluation: the same figures whatever the format."""

from collections.abc import Sequence

from batchgender.errors import UserError
from batchgender.export.formats.registry import FORMATS, LoadedModel
from batchgender.extras import require_extra
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.open_model import named_model, open_model


def load_any_model(
    name: str,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    flip: bool = False,
) -> LoadedModel:
    """Open a checkpoint, an exported model in any format but Core ML, or "packaged"; raises UserError on others.

    `classes`, `mean` and `std` are for an ONNX file that is not from batchgender; `flip` averages a checkpoint's
    answers over the photo and its mirror image, which an exported file does or does not by itself. ONNX needs no
    PyTorch.
    """
    file = named_model(name)
    kind = kind_of_file(file)
    if flip and kind is not FileKind.CHECKPOINT:
        raise UserError(f"{file}: an exported model; it averages mirror images where `export --flip` made it")
    if kind is FileKind.ONNX:
        model = open_model(file, classes, mean, std)
        return LoadedModel(model.predict, model.info)
    require_extra("train", f"{file}: this kind of model")
    if kind is FileKind.CHECKPOINT:
        from batchgender.training.checkpoint import load
        from batchgender.training.networks.deployed import probabilities_of

        checkpoint = load(file)
        return LoadedModel(probabilities_of(checkpoint.deployed(flip)), checkpoint.info(flip))
    return next(each for each in FORMATS.values() if each.kind is kind).read(file)
