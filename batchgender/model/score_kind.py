"""Whether the values that an ONNX graph gives are probabilities or logits, read from its last nodes."""

from enum import Enum
from typing import Any

import onnx
import onnx.inliner

from batchgender.model.onnx_file import load_onnx


class ScoreKind(Enum):
    """What the values of an output are; UNKNOWN where the graph does not tell."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    UNKNOWN = "unknown"


# These leave the values as they are, but for their number, shape and precision.
_PASSED = {
    *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Cast", "Dropout", "Clip"),
    *("Slice", "Gather", "Split", "GatherElements", "QuantizeLinear", "DequantizeLinear"),
}
_PROBABILITIES = {"Softmax", "Sigmoid", "HardSigmoid", "QLinearSoftmax", "QLinearSigmoid"}
# The softmax of log probabilities are the probabilities.
_LOGITS = {
    *("LogSoftmax", "Gemm", "MatMul", "Conv", "Add", "BatchNormalization", "GlobalAveragePool", "ReduceMean"),
    *("QLinearMatMul", "QGemm", "QLinearConv", "QLinearAdd", "MatMulNBits", "FusedMatMul", "FusedGemm", "FusedConv"),
}
_SHORTENED = {"Slice", "Gather", "Split", "GatherElements"}


def score_kind(file: str, output: str, columns: list[int] | None) -> ScoreKind:
    """What the values of an output are, of which `columns` are wanted (None: all); reads no external weights."""
    model = load_onnx(file)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    widths = _widths(model) if any(node.op_type == "Concat" for node in model.graph.node) else {}
    return _agreed({_kind(output, column, makers, widths) for column in columns or (None,)})


def _kind(value: str, column: int | None, makers: dict[str, Any], widths: dict[str, int]) -> ScoreKind:
    """What the value of this name is; `column` None stands for all of its columns."""
    node = makers.get(value)
    while node and node.op_type in _PASSED:
        if node.op_type in _SHORTENED:
            column = None
        node = makers.get(node.input[0])
    if node is None:
        return ScoreKind.UNKNOWN
    if node.op_type == "Concat":
        parts = list(node.input)
        along_values = any(attribute.name == "axis" and attribute.i in (1, -1) for attribute in node.attribute)
        if column is not None and along_values and all(part in widths for part in parts):
            while parts[1:] and column >= widths[parts[0]]:
                column -= widths[parts.pop(0)]
            del parts[1:]
        return _agreed({_kind(part, column, makers, widths) for part in parts})
    if node.op_type in _PROBABILITIES:
        return ScoreKind.PROBABILITIES
    return ScoreKind.LOGITS if node.op_type in _LOGITS else ScoreKind.UNKNOWN


def _agreed(kinds: set[ScoreKind]) -> ScoreKind:
    return kinds.pop() if len(kinds) == 1 else ScoreKind.UNKNOWN


def _widths(model: onnx.ModelProto) -> dict[str, int]:
    """How many values a photo has of each of the graph's tensors [batch, values], as far as the graph tells."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # A graph that it can't follow, or too large a file.
        return {}
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
    return {name: dims[1].dim_value for name, dims in shapes.items() if len(dims) == 2 and dims[1].dim_value}
