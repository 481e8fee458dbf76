"""ONNX: one file with weights and metadata inside."""

from pathlib import Path

import onnx
import torch

from batchgender.errors import UserError
from batchgender.export.formats.registry import LoadedModel
from batchgender.export.formats.tracing import exported_program
from batchgender.model.metadata import METADATA_KEY, ModelInfo
from batchgender.model.open_model import open_model
from batchgender.training.networks.deployed import Deployed

# The first opset whose Resize has antialiasing; older runtimes read it more widely than newer ones.
OPSET = 18
_FILE_LIMIT = 2**31 - 1


def write(module: Deployed, info: ModelInfo, path: Path, opset: int = OPSET) -> None:
    """Write one ONNX file, weights inside, simplified and checked; raises UserError where they don't fit in one."""
    program = torch.onnx.export(
        exported_program(module),
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


def read(file: str) -> LoadedModel:
    """Open an ONNX file of ours on onnxruntime."""
    model = open_model(file)
    return LoadedModel(model.predict, model.info, computed_by=model.session.provider)


def save_onnx(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    """Write a graph and its metadata as one file; raises UserError where it is too large for one."""
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    if model.ByteSize() > _FILE_LIMIT:
        raise UserError(f"{path}: larger than the 2 GB that one ONNX file may hold; try --compress or --quantize int8")
    onnx.save_model(model, path)


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
