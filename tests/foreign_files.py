"""Small ONNX files as others write them: float input, no metadata, and whatever end a test wants."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Node = onnx.NodeProto


def write_foreign(
    path: Path,
    ends: Sequence[Node],
    outputs: Mapping[str, Sequence[int | str]],
    shape: Sequence[int | str] = ("n", 3, 32, 32),
    weight: Any = ((4, 0), (0, 0), (0, 4)),
    constants: dict[str, Any] | None = None,
    opset: int = 13,
    ir_version: int = 8,
) -> Path:
    """Write a file whose `means` [n, 3] of the channels, times `weight`, are `logits`, from which `ends` go on.

    `outputs` are names with shapes; a name that begins with "whole" is int64.
    """
    axes = [1, 2] if shape[3] == 3 else [2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["means", "weight"], ["logits"]),
        *ends,
    ]
    arrays = {"weight": np.array(weight, np.float32), **(constants or {})}
    values = [
        helper.make_tensor_value_info(
            name, TensorProto.INT64 if name.startswith("whole") else TensorProto.FLOAT, list(dims)
        )
        for name, dims in outputs.items()
    ]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        values,
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    # Not onnx.save_model, which refuses what is newer than itself.
    path.write_bytes(model.SerializeToString())
    return path


def node(kind: str, given: str | Sequence[str], gives: str, **attributes: Any) -> Node:
    """A node of the standard operators."""
    return helper.make_node(kind, [given] if isinstance(given, str) else list(given), [gives], **attributes)
