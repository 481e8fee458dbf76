"""The formats: one writer each, all with the same input, outputs and metadata (see `model_file`)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch

from batchgender.errors import UserError
from batchgender.export.formats.phones import write_coreml, write_tflite
from batchgender.model.model_file import EXTRA_FILE, METADATA_KEY, ModelInfo
from batchgender.training.networks.alexnet import Deployed

# The first opset whose Resize has antialiasing; older runtimes read it more widely than newer ones.
OPSET = 18
_SIDE_LIMIT = 65_535
_FILE_LIMIT = 2**31 - 1


def write_onnx(module: Deployed, info: ModelInfo, path: Path, opset: int = OPSET) -> None:
    """Write one ONNX file, weights inside, simplified and checked; raises UserError where they don't fit in one."""
    program = torch.onnx.export(
        _exported(module),
        dynamo=True,
        opset_version=opset,
        input_names=["image"],
        output_names=["probabilities", "logits"],
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    _tidy(model)
    _drop_idle_pooling(model.graph)
    onnx.checker.check_model(model, full_check=True)
    save_onnx(model, info, path)


def save_onnx(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    """Write the model and what it says of itself as one file."""
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    if model.ByteSize() > _FILE_LIMIT:
        raise UserError(f"{path}: larger than the 2 GB that one ONNX file may hold; try --compress or --quantize int8")
    onnx.save_model(model, path)


def write_torchscript(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a TorchScript file, metadata as an extra file. PyTorch calls this format deprecated; see `pt2`."""
    traced = torch.jit.trace(module, _example(), check_trace=False)
    torch.jit.save(torch.jit.freeze(traced.eval()), path, _extra_files={EXTRA_FILE: info.to_json()})


def write_pt2(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a torch.export file, metadata as an extra file."""
    torch.export.save(_exported(module), path, extra_files={EXTRA_FILE: info.to_json()})


def write_openvino(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write OpenVINO's two files, .xml and .bin, metadata in the first; raises UserError where it is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise UserError("--format openvino needs the extra batchgender[openvino]") from error
    with TemporaryDirectory() as folder:
        write_onnx(module, info, Path(folder) / "model.onnx")
        model = openvino.Core().read_model(Path(folder) / "model.onnx")
        # What it makes of ONNX's Resize leaves out the antialiasing; Pillow's is the same filter.
        for resize in [node for node in model.get_ops() if node.get_type_name() == "Interpolate"]:
            image, sizes = (value.get_source_output() for value in resize.inputs()[:2])
            pillow = openvino.opset11.interpolate(image, sizes, "bilinear_pillow", "sizes", [0] * 4, [0] * 4)
            resize.output(0).replace(pillow.output(0))
        model.set_rt_info(info.to_json(), [METADATA_KEY])
        # Halved weights, its default, would cost half of the digits.
        openvino.save_model(model, path, compress_to_fp16=False)


@dataclass(frozen=True)
class Format:
    """How a format is written, and how far its probabilities may lie from PyTorch's; None where none can be had here.

    `beside` are the suffixes of the files that stand beside its own.
    """

    suffix: str
    write: Callable[[Deployed, ModelInfo, Path], None]
    tolerance: float | None
    beside: tuple[str, ...] = ()


FORMATS = {
    "onnx": Format(".onnx", write_onnx, 1e-4),
    "torchscript": Format(".pt", write_torchscript, 1e-5),
    "pt2": Format(".pt2", write_pt2, 1e-5),
    "openvino": Format(".xml", write_openvino, 1e-4, (".bin",)),
    "coreml": Format(".mlmodel", write_coreml, None),
    "tflite": Format(".tflite", write_tflite, 1e-4),
}


def _example() -> torch.Tensor:
    # Sides apart from each other and from the input size, so that none is taken for a constant.
    return torch.zeros(2, 240, 200, 3, dtype=torch.uint8)


def _exported(module: Deployed) -> torch.export.ExportedProgram:
    sides = {
        index: torch.export.Dim(name, min=1, max=_SIDE_LIMIT) for index, name in enumerate(("batch", "height", "width"))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, (_example(),), dynamic_shapes=(sides,))


def _tidy(model: onnx.ModelProto) -> None:
    """Name the free dimensions, and drop the exporter's notes: they hold paths of this machine."""
    names = {
        dim.dim_param: name
        for dim, name in zip(
            model.graph.input[0].type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False
        )
    }
    del model.graph.value_info[:]
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    for initializer in model.graph.initializer:
        del initializer.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = names[dim.dim_param]


def _drop_idle_pooling(graph: onnx.GraphProto) -> None:
    """Leave out pooling over one place each: an adaptive one whose input has the size already."""
    for node in list(graph.node):
        sides = {side for a in node.attribute if a.name in ("kernel_shape", "strides") for side in a.ints}
        if node.op_type == "AveragePool" and sides == {1}:
            graph.node.remove(node)
            for other in graph.node:
                other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]
