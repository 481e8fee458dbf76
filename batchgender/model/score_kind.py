"""Whether the values that an ONNX graph gives are probabilities or logits, read from its last nodes."""

from enum import Enum
from typing import Any

import onnx
import onnx.inliner

from batchgender.errors import UserError
from batchgender.model.onnx_file import load_onnx


class ScoreKind(Enum):
    """What the values of an output are; UNKNOWN where the graph does not tell."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    UNKNOWN = "unknown"


# These leave the values as they are, but for their number, shape and precision.
_PASSED = {
    *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Cast", "Dropout"),
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
    try:
        model = load_onnx(file)
    except UserError:  # A file of onnxruntime's own, .ort.
        return ScoreKind.UNKNOWN
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    graph = _Graph(model)
    return _agreed({graph.kind(output, column) for column in columns or (None,)})


class _Graph:
    """A graph to walk back in from its outputs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        nodes = model.graph.node
        self.makers = {name: node for node in nodes for name in node.output}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.constants |= {node.output[0]: a.t for node in nodes if node.op_type == "Constant" for a in node.attribute}
        self.widths = _widths(model) if any(node.op_type == "Concat" for node in nodes) else {}

    def kind(self, value: str, column: int | None) -> ScoreKind:
        """What the value of this name is; `column` None stands for all of its columns."""
        node = self.makers.get(value)
        while node and (node.op_type in _PASSED or node.op_type == "Clip"):
            if node.op_type == "Clip" and self._bounds(node) == [0, 1]:
                return ScoreKind.PROBABILITIES
            if node.op_type in _SHORTENED:
                column = None
            node = self.makers.get(node.input[0])
        if node is None:
            return ScoreKind.UNKNOWN
        if node.op_type == "Concat":
            return self._side_by_side(node, column)
        if node.op_type in _PROBABILITIES:
            return ScoreKind.PROBABILITIES
        return ScoreKind.LOGITS if node.op_type in _LOGITS else ScoreKind.UNKNOWN

    def _side_by_side(self, node: Any, column: int | None) -> ScoreKind:
        """What a column of several tensors beside each other is; of all columns, what they have in common."""
        parts = list(node.input)
        along_values = any(attribute.name == "axis" and attribute.i in (1, -1) for attribute in node.attribute)
        if column is not None and along_values and all(part in self.widths for part in parts):
            while parts[1:] and column >= self.widths[parts[0]]:
                column -= self.widths[parts.pop(0)]
            del parts[1:]
        return _agreed({self.kind(part, column) for part in parts})

    def _bounds(self, node: Any) -> list[float]:
        """The bounds of a Clip, as far as they are constants: attributes before opset 11, inputs since."""
        inputs = [onnx.numpy_helper.to_array(self.constants[name]) for name in node.input[1:] if name in self.constants]
        attributes = {attribute.name: attribute.f for attribute in node.attribute}
        return [float(bound.item()) for bound in inputs] or [
            attributes[key] for key in sorted(attributes, reverse=True)
        ]


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
