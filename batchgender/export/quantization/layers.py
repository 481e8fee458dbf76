"""Which nodes of a graph may be in fewer bits."""

from collections.abc import Sequence

import onnx

_LAYERS = ("Conv", "Gemm", "MatMul")


def nodes_outside_layers(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """The nodes before the first layer and from the last on: pixels, and logits, need more than 256 steps."""
    behind: set[str] = set()  # Tensors that come out of a layer, or of what follows one.
    for node in nodes:
        if node.op_type in _LAYERS or behind.intersection(node.input):
            behind.update(node.output)
    before: set[str] = set()  # Tensors that go into a layer, or into what leads to one.
    for node in reversed(nodes):
        if node.op_type in _LAYERS or before.intersection(node.output):
            before.update(node.input)
    return [node.name for node in nodes if not behind.intersection(node.output) & before]
