"""A summary of an ONNX graph: opset, precision, parameters, multiply-adds a photo."""

from math import prod
from typing import Any

import onnx
from onnx import TensorProto

from batchgender.model.onnx_file import load_onnx

_LAYERS = ("Conv", "Gemm", "MatMul")
_PRECISIONS: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}


def onnx_summary(file: str, side: int) -> dict[str, Any]:
    """Summarise an ONNX file for one photo of `side` pixels; None where it can't be told. Reads no external weights.

    `multiply_adds` are those of convolutions and linear layers; `weights` is the data type of most weights. Raises
    UserError where the file is no ONNX model.
    """
    model = load_onnx(file)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    # A weight in 8 bits, or in 16, is made a float on its way to its layer.
    makers = {output: node for node in model.graph.node for output in node.output}
    layers = [(node, weight) for node in model.graph.node if (weight := _weight(node, makers, tensors))]
    sizes: dict[int, int] = {}
    for _, weight in layers:
        sizes[weight.data_type] = sizes.get(weight.data_type, 0) + prod(weight.dims)
    main = max(sizes, key=lambda kind: sizes[kind], default=TensorProto.UNDEFINED)
    return {
        "opset": next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None),
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "parameters": sum(sizes.values()) + sum(_bias(node, makers, tensors) for node, _ in layers),
        "weights": (_PRECISIONS.get(main) or onnx.helper.tensor_dtype_to_string(main).rpartition(".")[2].lower())
        if sizes
        else None,
        "multiply_adds": _multiply_adds(model, layers, side),
        "external_data": any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors.values()),
    }


def _constant(name: str, makers: dict[str, Any], tensors: dict[str, TensorProto]) -> TensorProto | None:
    while name not in tensors and name in makers and makers[name].op_type in ("DequantizeLinear", "Cast", "Transpose"):
        name = makers[name].input[0]
    return tensors.get(name)


def _weight(node: Any, makers: dict[str, Any], tensors: dict[str, TensorProto]) -> TensorProto | None:
    return _constant(node.input[1], makers, tensors) if node.op_type in _LAYERS else None


def _bias(node: Any, makers: dict[str, Any], tensors: dict[str, TensorProto]) -> int:
    found = _constant(node.input[2], makers, tensors) if len(node.input) > 2 else None
    return prod(found.dims) if found else 0


def _multiply_adds(model: onnx.ModelProto, layers: list[tuple[Any, TensorProto]], side: int) -> int | None:
    for value in model.graph.input:
        for at, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                dim.dim_value = side if at else 1
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # A graph that it can't follow, or too large a file.
        return None
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    total = 0
    for node, weight in layers:
        places = prod(shapes.get(node.output[0], [0]))
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        outputs = weight.dims[0] if node.op_type == "Conv" or transposed else weight.dims[-1]
        if not places:
            return None
        total += places * (prod(weight.dims) // outputs)
    # A file for a fixed batch computes that many photos.
    return total // max(1, model.graph.input[0].type.tensor_type.shape.dim[0].dim_value)
