"""Any model file or checkpoint, opened for evaluation: the same figures whatever the format."""

from batchgender.errors import UserError
from batchgender.export.formats.registry import FORMATS, LoadedModel
from batchgender.extras import require_extra
from batchgender.io import Notify, silent
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.foreign_options import NOTHING_SAID, ForeignOptions
from batchgender.model.metadata import metadata_of_archive
from batchgender.model.open_model import named_model, open_model

# Their loaders run what the file holds.
_RUN_CODE = (FileKind.TORCHSCRIPT, FileKind.TORCH_EXPORT)


def load_any_model(
    name: str,
    foreign: ForeignOptions = NOTHING_SAID,
    flip: bool = False,
    trust: bool = False,
    notify: Notify = silent,
) -> LoadedModel:
    """Open a checkpoint, an exported model in any format but Core ML, "packaged", or one of the Hub.

    Raises UserError on others.

    `foreign` is for an ONNX file that is not from batchgender, and `notify` gets what is assumed of it; `flip` averages
    a checkpoint's answers over the photo and its mirror image, which an exported file does or does not by itself.
    TorchScript and torch.export files can run any code, and are opened with `trust` alone. ONNX needs no PyTorch.
    """
    file = named_model(name, notify)
    kind = kind_of_file(file)
    if flip and kind is not FileKind.CHECKPOINT:
        raise UserError(f"{file}: an exported model; it averages mirror images where `export --flip` made it")
    if given := foreign.given() if kind is not FileKind.ONNX else []:
        raise UserError(f"{file}: no ONNX file; leave {', '.join(given)} out")
    if kind is FileKind.ONNX:
        model = open_model(file, foreign, notify=notify)
        return LoadedModel(model.predict, model.info, model.size, model.session.provider)
    if kind in _RUN_CODE:
        # Says what is missing or damaged, and runs nothing.
        metadata_of_archive(file)
        if not trust:
            raise UserError(
                f"{file}: a {kind.value} file can run any code on this machine when it is opened, and change or send"
                " files; evaluate the ONNX file or the checkpoint, which can't, or give --trust if you know its maker"
            )
    require_extra("train", f"{file}: this kind of model")
    if kind is FileKind.CHECKPOINT:
        from batchgender.training.checkpoint import load
        from batchgender.training.networks.deployed import probabilities_of

        checkpoint = load(file)
        return LoadedModel(probabilities_of(checkpoint.deployed(flip)), checkpoint.info(flip))
    return next(each for each in FORMATS.values() if each.kind is kind).read(file)
