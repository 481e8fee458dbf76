"""An ONNX file as a graph, read and changed without a runtime; and the names of constants in files of ours."""

import onnx

from batchgender.errors import UserError, os_reason

# In an int8 file the resized bytes go into the first layer as they are: its weights and bias for bytes, and the zero
# point of the bytes.
KERNEL, BIAS, ZERO_POINT = "kernel_of_pixels", "bias_of_pixels", "pixel_zero_byte"


def load_onnx(file: str) -> onnx.ModelProto:
    """Read an ONNX file, without external weights; raises UserError where it is none."""
    try:
        return onnx.load(file, load_external_data=False)
    except OSError as error:
        raise UserError(f"{file}: can't read the model ({os_reason(error)})") from error
    except Exception as error:  # Protobuf's own.
        raise UserError(f"{file}: damaged, cut short, or no ONNX model") from error


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Put these nodes into the graph, without those, and the constants, that nothing asks for any more."""
    wanted = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    constants = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
