"""The formats of `export`: a line each; the module of a format, beside this one, writes and reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgender.model import tolerances
from batchgender.model.agreement import Predict
from batchgender.model.file_kind import FileKind
from batchgender.model.metadata import ModelInfo

if TYPE_CHECKING:
    from batchgender.training.networks.deployed import Deployed

# Writes the module and its metadata to a file.
Write = Callable[["Deployed", ModelInfo, Path], None]


@dataclass(frozen=True)
class LoadedModel:
    """A model file or checkpoint, opened: a function from photos to probabilities, and its metadata.

    `size` is the height and width of the photos that it takes, where they are not its metadata's `input_size` both;
    `computed_by` is the execution provider, or the runtime, in words.
    """

    predict: Predict
    info: ModelInfo
    size: tuple[int, int] | None = None
    computed_by: str = "PyTorch"


@dataclass(frozen=True)
class Format:
    """A format by the name that `--format` takes; its module is imported when it is written or read.

    `tolerance` is how far its probabilities may lie from PyTorch's, None where it can't be run here; `companions` are
    the suffixes of files that stand beside its own, `extra` is what else must be installed.
    """

    name: str
    kind: FileKind
    suffix: str
    tolerance: float | None
    companions: tuple[str, ...] = ()
    extra: str | None = None

    def write(self, module: "Deployed", info: ModelInfo, path: Path) -> None:
        """Write a module with its metadata; raises UserError or OSError where that can't be done."""
        self._module().write(module, info, path)

    def read(self, file: str) -> LoadedModel:
        """Open a file of this format; raises UserError where it is damaged."""
        loaded: LoadedModel = self._module().read(file)
        return loaded

    def _module(self) -> Any:
        return import_module(f"batchgender.export.formats.{self.name}")


FORMATS = {
    each.name: each
    for each in (
        Format("onnx", FileKind.ONNX, ".onnx", tolerances.ONNX),
        Format("torchscript", FileKind.TORCHSCRIPT, ".pt", tolerances.TORCH),
        Format("pt2", FileKind.TORCH_EXPORT, ".pt2", tolerances.TORCH),
        Format("openvino", FileKind.OPENVINO, ".xml", tolerances.OPENVINO, (".bin",), "openvino"),
        Format("coreml", FileKind.COREML, ".mlmodel", None, extra="coreml"),
        Format("tflite", FileKind.LITERT, ".tflite", tolerances.LITERT, extra="tflite"),
    )
}
