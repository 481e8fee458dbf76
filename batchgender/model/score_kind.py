"""Whether the values that an ONNX graph gives are probabilities or logits, read from its last nodes."""

from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
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
# Sums of what comes before, with weights; of probabilities they may be probabilities again.
_WEIGHED = {
    *("Gemm", "MatMul", "Conv", "FusedGemm", "FusedMatMul", "FusedConv", "MatMulNBits"),
    *("QGemm", "QLinearMatMul", "QLinearConv"),
}
# With a constant, a bias or a temperature, these leave logits what they are.
_SHIFTED = {"Add", "Sub", "Mul", "Div"}
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
    try:
        return _agreed({graph.kind(output, column) for column in columns or (None,)})
    except RecursionError:
        return ScoreKind.UNKNOWN


class _Graph:
    """A graph to walk back in from its outputs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        nodes = model.graph.node
        self.makers = {name: node for node in nodes for name in node.output}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.constants |= {
            node.output[0]: attribute.t
            for node in nodes
            for attribute in node.attribute
            if (node.op_type, attribute.name) == ("Constant", "value")
        }
        self.model = model
        self._found: dict[tuple[str, int | None], ScoreKind] = {}

    @cached_property
    def widths(self) -> dict[str, int]:
        """How many values a photo has of each tensor [batch, values], as far as the graph tells."""
        try:
            graph = onnx.shape_inference.infer_shapes(self.model, data_prop=True).graph
        except Exception:  # A graph that it can't follow, or too large a file.
            return {}
        shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
        return {name: dims[1].dim_value for name, dims in shapes.items() if len(dims) == 2 and dims[1].dim_value}

    def kind(self, value: str, column: int | None) -> ScoreKind:
        """What the value of this name is; `column` None stands for all of its columns."""
        # Once for each: a graph may join a value with itself, and the result again.
        if (value, column) not in self._found:
            self._found[value, column] = self._walked_back(value, column)
        return self._found[value, column]

    def _walked_back(self, value: str, column: int | None) -> ScoreKind:
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
        # The softmax of log probabilities are the probabilities.
        if node.op_type == "LogSoftmax":
            return ScoreKind.LOGITS
        if node.op_type in _WEIGHED and self.kind(node.input[0], None) is not ScoreKind.PROBABILITIES:
            return ScoreKind.LOGITS
        computed = [name for name in node.input if name not in self.constants]
        if node.op_type in _SHIFTED and len(computed) == 1 and self.kind(computed[0], None) is ScoreKind.LOGITS:
            return ScoreKind.LOGITS
        return ScoreKind.UNKNOWN

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
        if attributes := {attribute.name: attribute.f for attribute in node.attribute}:
            return [attributes.get("min", -np.inf), attributes.get("max", np.inf)]
        tensors = [self.constants[name] for name in node.input[1:] if name in self.constants]
        inside = [tensor for tensor in tensors if tensor.data_location != onnx.TensorProto.EXTERNAL]
        return [float(onnx.numpy_helper.to_array(tensor).item()) for tensor in inside]


def _agreed(kinds: set[ScoreKind]) -> ScoreKind:
    return kinds.pop() if len(kinds) == 1 else ScoreKind.UNKNOWN
