"""The formats: one writer each, all with the same input, outputs and metadata (see `model_file`)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch

from batchgender.model_file import EXTRA_FILE, METADATA_KEY, ModelInfo
from batchgender.training.models import Deployed

# The first opset whose Resize has antialiasing; older runtimes read it more widely than newer ones.
_OPSET = 18
_SIDE_LIMIT = 65_535


def write_onnx(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write one ONNX file, weights inside."""
    program = torch.onnx.export(
        _exported(module),
        dynamo=True,
        opset_version=_OPSET,
        input_names=["image"],
        output_names=["probabilities", "logits"],
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    _tidy(model)
    _drop_idle_pooling(model.graph)
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save_model(model, path)


def write_torchscript(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a TorchScript file, metadata as an extra file. PyTorch calls this format deprecated; see `pt2`."""
    traced = torch.jit.trace(module, _example(), check_trace=False)
    torch.jit.save(torch.jit.freeze(traced.eval()), path, _extra_files={EXTRA_FILE: info.to_json()})


def write_pt2(module: Deployed, info: ModelInfo, path: Path) -> None:
    """Write a torch.export file, metadata as an extra file."""
    torch.export.save(_exported(module), path, extra_files={EXTRA_FILE: info.to_json()})


@dataclass(frozen=True)
class Format:
    """How a format is written, and how far its probabilities may lie from PyTorch's."""

    suffix: str
    write: Callable[[Deployed, ModelInfo, Path], None]
    tolerance: float


FORMATS = {
    "onnx": Format(".onnx", write_onnx, 1e-4),
    "torchscript": Format(".pt", write_torchscript, 1e-5),
    "pt2": Format(".pt2", write_pt2, 1e-5),
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
