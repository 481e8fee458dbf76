"""Model files of ours for pictures that have the model's size already: the same graph without its resize."""

import onnx
from onnx import helper

from batchgender.model.onnx_file import load_onnx, replace_nodes


def without_resize(file: str, size: int) -> bytes | None:
    """The graph of a file for pictures uint8 [B, size, size, 3] alone, which it answers as the file does.

    Such pixels come out of the resize, and of the rounding behind it, as they went in. None where the graph has no
    such nodes. Raises UserError where the file can't be read.
    """
    model = load_onnx(file)
    graph = model.graph
    image, nodes = graph.input[0], list(graph.node)
    resize = next((node for node in nodes if node.op_type == "Resize"), None)
    if resize is None:
        return None
    before, behind = _before(nodes, resize), _behind(nodes, resize)
    if [node.op_type for node in before] != ["Transpose", "Cast"] or before[0].input[0] != image.name:
        return None
    kinds = [node.op_type for node in behind]
    if kinds[:2] != ["Add", "Round"]:
        return None
    planes, cast = before
    if kinds[2:] == ["Cast"] and helper.get_node_attr_value(behind[2], "to") == onnx.TensorProto.UINT8:
        # The first layer takes bytes.
        planes.output[0] = behind[2].output[0]
        left_out = [cast, resize, *behind]
    else:
        cast.output[0] = behind[1].output[0]
        left_out = [resize, *behind[:2]]
    replace_nodes(graph, [node for node in nodes if node not in left_out])
    for dim in image.type.tensor_type.shape.dim[1:3]:
        dim.dim_value = size
    return model.SerializeToString()


def _before(nodes: list[onnx.NodeProto], last: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes that a node's first input has come through, the first one first."""
    makers = {output: node for node in nodes for output in node.output}
    found: list[onnx.NodeProto] = []
    maker = makers.get(last.input[0])
    while maker is not None:
        found.insert(0, maker)
        maker = makers.get(maker.input[0])
    return found


def _behind(nodes: list[onnx.NodeProto], first: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Up to three nodes, one behind the other, that take what a node gives, as long as each is the only one to."""
    found: list[onnx.NodeProto] = []
    value = first.output[0]
    while len(found) < 3 and len(takers := [node for node in nodes if value in node.input]) == 1:
        found.append(takers[0])
        value = takers[0].output[0]
    return found
