"""Detector files in YuNet's shape, made of a few nodes: what they call a face is plain to see."""

import math
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# What a face is: a cell of so many pixels of the picture that is looked at, bright in one colour.
CELL = 32


def write_cell_detector(path: Path, sees: bool = True, box: float = 1.0) -> Path:
    """Write a detector that calls each bright cell of a 32-pixel grid a face, its score the brightness; or none.

    The side of a face's box is `box` cells.
    """
    nodes, outputs, constants = [], [], []

    def constant(name: str, values: list[float] | list[int]) -> str:
        kind = np.int64 if isinstance(values[0], int) else np.float32
        constants.append(numpy_helper.from_array(np.array(values, kind), name))
        return name

    column = constant("column", [1, -1, 1])
    for stride in (8, 16, CELL):
        share = 1 / 255 if sees and stride == CELL else 0.0
        nodes += [
            helper.make_node(
                "AveragePool", ["input"], [f"pool{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("ReduceMax", [f"pool{stride}"], [f"max{stride}"], axes=[1], keepdims=1),
            helper.make_node("Mul", [f"max{stride}", constant(f"share{stride}", [share])], [f"scaled{stride}"]),
            helper.make_node("Reshape", [f"scaled{stride}", column], [f"cls_{stride}"]),
            helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]),
            helper.make_node("Mul", [f"cls_{stride}", constant(f"none{stride}", [0.0])], [f"zero{stride}"]),
        ]
        # The box is the cell. Its eyes lie level.
        for name, values in (
            ("bbox", [0.5, 0.5, math.log(box), math.log(box)]),
            ("kps", [0.3, 0.3, 0.7, 0.3, *[0.5] * 6]),
        ):
            values_of = constant(f"{name}{stride}", values)
            nodes.append(helper.make_node("Add", [f"zero{stride}", values_of], [f"{name}_{stride}"]))
        outputs += [
            helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, [1, f"cells{stride}", count])
            for name, count in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "cells", [given], outputs, constants)
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def picture_of_cells(cells: dict[tuple[int, int], tuple[int, int, int]], rows: int = 4) -> NDArray[np.uint8]:
    """A black picture uint8 [128, 128, 3] RGB with cells (row, column) of these colours."""
    picture = np.zeros((rows * CELL, 4 * CELL, 3), np.uint8)
    for (row, column), colour in cells.items():
        picture[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = colour
    return picture
