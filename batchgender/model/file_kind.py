"""What kind of file a model is in, by its ending and its content. No other module decides it."""

from enum import Enum

from batchgender.model.metadata import read_archive_metadata


class FileKind(Enum):
    """The kinds of files that hold a network; the value is their name in words."""

    ONNX = "ONNX"
    TORCHSCRIPT = "TorchScript"
    TORCH_EXPORT = "torch.export"
    OPENVINO = "OpenVINO"
    COREML = "Core ML"
    LITERT = "LiteRT"
    CHECKPOINT = "checkpoint"


_BY_ENDING = {
    ".onnx": FileKind.ONNX,
    ".pt2": FileKind.TORCH_EXPORT,
    ".xml": FileKind.OPENVINO,
    ".mlmodel": FileKind.COREML,
    ".tflite": FileKind.LITERT,
}


def kind_of_file(file: str) -> FileKind:
    """Tell the kind of a file, which need not be sound nor there; a checkpoint is what is none of the others."""
    ending = file[file.rfind(".") :] if "." in file else ""
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    # A checkpoint and a TorchScript file both end in .pt: only what was exported carries its metadata.
    return FileKind.TORCHSCRIPT if read_archive_metadata(file) else FileKind.CHECKPOINT
