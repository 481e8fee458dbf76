"""The input of an integer graph: pixels resized to bytes, which the first layer takes as they are.

A byte is already a quantised number, of scale 1. Normalisation goes into the first convolution: its weights are divided
by the deviation, its bias takes up the mean. A convolution pads with zero, which stands for the mean of all
colours here and for that of each colour in the float32 graph: at the edges alone the two differ, by what the means do.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from batchgender.model.onnx_file import BIAS, KERNEL, ZERO_POINT, replace_nodes

_PLANES, _CENTRED, _ZERO, _ONE = "planes", "planes_centred", "pixel_zero", "pixel_scale"


def fold_normalization(path: Path) -> bool:
    """Rewrite a float32 file of ours: subtract a zero point from its resized bytes, fold the rest into its first layer.

    False, and the file is left as it is, where the normalised pixels go elsewhere than into one convolution.
    """
    model = onnx.load(path)
    graph = model.graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    norm = next(node for node in graph.node if node.op_type == "BatchNormalization")
    layers = [node for node in graph.node if norm.output[0] in node.input]
    if [node.op_type for node in layers] != ["Conv"] or len(layers[0].input) != 3:
        return False
    pixels = norm.input[0]
    scale, shift, mean, variance = (arrays[name] for name in norm.input[1:])
    kernel, bias = (arrays[name] for name in layers[0].input[1:])
    # (pixel - mean) / deviation = gain * (pixel - zero) + offset
    gain = scale / np.sqrt(variance)
    zero = mean.mean().round().astype(np.float32)
    offset = gain * (zero - mean) + shift
    added = {
        KERNEL: (kernel * gain[:, None, None]).astype(np.float32),
        BIAS: (bias + np.einsum("oihw,i->o", kernel, offset)).astype(np.float32),
        _ZERO: zero,
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in added.items())
    layers[0].input[:] = [_CENTRED, KERNEL, BIAS]
    # Resized over floats and rounded, as in the float32 file: a runtime's own resize of bytes rounds otherwise.
    centring = [
        helper.make_node("Cast", [pixels], [_PLANES], "to_bytes", to=onnx.TensorProto.UINT8),
        helper.make_node("Cast", [_PLANES], ["planes_float"], "to_float", to=onnx.TensorProto.FLOAT),
        helper.make_node("Sub", ["planes_float", _ZERO], [_CENTRED], "centre"),
    ]
    nodes = list(graph.node)
    at = nodes.index(norm)
    replace_nodes(graph, [*nodes[:at], *centring, *nodes[at:]])
    onnx.save_model(model, path)
    return True


def feed_bytes(model: onnx.ModelProto) -> None:
    """Let the first layer of a graph, folded as above and quantised, take the resized bytes themselves."""
    graph = model.graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    quantizer = next(node for node in graph.node if _CENTRED in node.input)
    pixels = next(node for node in graph.node if quantizer.output[0] in node.input)
    layer = next(node for node in graph.node if pixels.output[0] in node.input)
    # The scale found on photos gives way to 1; the bias is counted in it, times the weights' own.
    found = arrays[quantizer.input[1]]
    bias, bias_scale, _ = makers[layer.input[2]].input
    changed = {
        bias: np.round(arrays[bias] * found.astype(np.float64)).astype(np.int32),
        bias_scale: (arrays[bias_scale] / found).astype(np.float32),
    }
    for tensor in graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(changed[tensor.name], tensor.name))
    zero = arrays[_ZERO].astype(np.uint8)
    graph.initializer.extend(
        [numpy_helper.from_array(np.array(1, np.float32), _ONE), numpy_helper.from_array(zero, ZERO_POINT)]
    )
    pixels.input[:] = [_PLANES, _ONE, ZERO_POINT]
    replace_nodes(graph, list(graph.node))
