"""ONNX files of the shapes of well-known public gender models, made of random weights, and what they should answer.

The networks are small: squares of pixels through one layer, their mean through another. The answers are computed in
NumPy, from photos that are prepared as each model's maker has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
_SQUARE, _WIDTH = 8, 12
_IMAGENET = (np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32))


@dataclass(frozen=True)
class PublicModel:
    """A file's input and outputs by name, and how its maker feeds it: `prepare` takes float RGB in 0..255.

    `heads` has the values of each output (several outputs: a head each), `chosen` the output and the values that are
    the classes, `ends` how the outputs end; `inside` is a mean and a scale that the graph applies itself.
    """

    file: str
    given: str
    shape: Sequence[int | str]
    size: tuple[int, int]
    heads: dict[str, int]
    chosen: tuple[str, Sequence[int]]
    prepare: Callable[[Array], Array]
    classes: tuple[str, str]
    ends: str = "logits"
    shapes: dict[str, Sequence[int | str]] = field(default_factory=dict)
    inside: tuple[float, float] | None = None

    def weights(self) -> dict[str, Array]:
        """The random weights, the same each time."""
        rng = np.random.default_rng(list(self.file.encode()))
        first = rng.normal(0, 1 / _SQUARE, (_WIDTH, 3, _SQUARE, _SQUARE)).astype(np.float32)
        heads = {
            f"weights of {name}": rng.normal(0, 1, (_WIDTH, count)).astype(np.float32)
            for name, count in self.heads.items()
        }
        return {"first": first, **heads}

    def write(self, folder: Path) -> Path:
        """Write the file into a folder."""
        nodes, value = [], self.given
        constants: dict[str, NDArray[Any]] = dict(self.weights())
        if self.inside:
            constants |= {"mean": np.array(self.inside[0], np.float32), "scale": np.array(self.inside[1], np.float32)}
            nodes += [helper.make_node("Sub", [value, "mean"], ["centred"])]
            nodes += [helper.make_node("Mul", ["centred", "scale"], ["scaled"])]
            value = "scaled"
        if self.shape[3] == 3:
            nodes.append(helper.make_node("Transpose", [value], ["first_channels"], perm=[0, 3, 1, 2]))
            value = "first_channels"
        nodes += [
            helper.make_node("Conv", [value, "first"], ["squares"], strides=[_SQUARE, _SQUARE]),
            helper.make_node("Relu", ["squares"], ["lit"]),
            helper.make_node("GlobalAveragePool", ["lit"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
        ]
        outputs = []
        for name, count in self.heads.items():
            shape = self.shapes.get(name, [self.shape[0], count])
            constants[f"shape of {name}"] = np.array([-1, count, *([1] * (len(shape) - 2))], np.int64)
            softmax = self.ends == "softmax" and count > 1
            nodes += [
                helper.make_node("MatMul", ["features", f"weights of {name}"], [f"logits of {name}"]),
                helper.make_node("Softmax", [f"logits of {name}"], [f"ended {name}"], axis=1)
                if softmax
                else helper.make_node("Identity", [f"logits of {name}"], [f"ended {name}"]),
                helper.make_node("Reshape", [f"ended {name}", f"shape of {name}"], [name]),
            ]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        graph = helper.make_graph(
            nodes,
            "public",
            [helper.make_tensor_value_info(self.given, TensorProto.FLOAT, list(self.shape))],
            outputs,
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save_model(model, folder / self.file)
        return folder / self.file

    def answers(self, photos: Sequence[NDArray[np.uint8]]) -> Array:
        """The probabilities of the classes for photos uint8 [height, width, 3] RGB of the model's size."""
        weights, answers = self.weights(), []
        for photo in photos:
            pixels = self.prepare(photo.astype(np.float32))
            if self.inside:
                pixels = (pixels - self.inside[0]) * self.inside[1]
            rows, columns = (side // _SQUARE for side in self.size)
            squares = pixels[: rows * _SQUARE, : columns * _SQUARE].reshape(rows, _SQUARE, columns, _SQUARE, 3)
            lit = np.maximum(np.einsum("iajbc,ocab->ijo", squares, weights["first"]), 0).mean((0, 1))
            name, wanted = self.chosen
            powers = np.exp((values := (lit @ weights[f"weights of {name}"])[list(wanted)]) - values.max())
            answers.append(powers / powers.sum())
        return np.array(answers)


def _bgr(pixels: Array) -> Array:
    return pixels[..., ::-1]


PUBLIC_MODELS = (
    PublicModel(
        file="genderage.onnx",
        given="data",
        shape=["None", 3, 96, 96],
        size=(96, 96),
        heads={"fc1": 3},
        shapes={"fc1": [1, 3]},
        chosen=("fc1", [0, 1]),
        prepare=lambda pixels: pixels,
        classes=("female", "male"),
        inside=(127.5, 0.0078125),
    ),
    PublicModel(
        file="gender_googlenet.onnx",
        given="input",
        shape=[1, 3, 224, 224],
        size=(224, 224),
        heads={"loss3/loss3_Y": 2},
        chosen=("loss3/loss3_Y", [0, 1]),
        prepare=lambda pixels: _bgr(pixels) - np.array([104, 117, 123], np.float32),
        classes=("male", "female"),
        ends="softmax",
        inside=(0.0, 0.01),
    ),
    PublicModel(
        file="age-gender-recognition-retail-0013.onnx",
        given="data",
        shape=[1, 3, 62, 62],
        size=(62, 62),
        heads={"age_conv3": 1, "prob": 2},
        shapes={"age_conv3": [1, 1, 1, 1], "prob": [1, 2, 1, 1]},
        chosen=("prob", [0, 1]),
        prepare=_bgr,
        classes=("female", "male"),
        ends="softmax",
        inside=(127.5, 0.01),
    ),
    PublicModel(
        file="fairface.onnx",
        given="input",
        shape=["batch", 3, 224, 224],
        size=(224, 224),
        heads={"output": 18},
        chosen=("output", [7, 8]),
        prepare=lambda pixels: (pixels / 255 - _IMAGENET[0]) / _IMAGENET[1],
        classes=("male", "female"),
    ),
    PublicModel(
        file="vit.onnx",
        given="pixel_values",
        shape=["batch_size", "num_channels", "height", "width"],
        size=(224, 224),
        heads={"logits": 2},
        chosen=("logits", [0, 1]),
        prepare=lambda pixels: (pixels / 255 - 0.5) / 0.5,
        classes=("female", "male"),
    ),
    PublicModel(
        file="deepface_gender.onnx",
        given="input_1",
        shape=["unk__210", 224, 224, 3],
        size=(224, 224),
        heads={"activation": 2},
        chosen=("activation", [0, 1]),
        prepare=lambda pixels: _bgr(pixels) / 255,
        classes=("woman", "man"),
        ends="softmax",
    ),
)
