"""Weights from an ONNX file of batchgender, also of low rank or in 8 bits, to begin a training with."""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.model.metadata import METADATA_KEY, ModelInfo
from batchgender.model.onnx_file import BIAS, KERNEL, ZERO_POINT, load_onnx
from batchgender.training.networks.alexnet import AlexNet
from batchgender.training.networks.pooling import unfold_pooling
from batchgender.training.recipe import Pixels, check_pixels

Array = NDArray[np.float32]
Arrays = dict[str, Array]


def exported_state(
    file: str, architecture: str, network: nn.Module, pixels: Pixels | None = None
) -> tuple[dict[str, Tensor], str]:
    """The weights of an ONNX file as a state dict of `network`, and its license; raises UserError without them.

    It does so, too, where they were trained on another mean and std than those of `pixels`.

    Its batch normalisation was folded into the layers before it. Here it is the bias alone, which answers the same
    in evaluation; `restore_batch_norm` makes it one that can be trained.
    """
    info, arrays = _read(file)
    if info.architecture != architecture:
        raise UserError(
            f"{file}: a model of {info.architecture}, not of {architecture}; give --arch {info.architecture}"
        )
    if pixels:
        check_pixels(file, (info.mean, info.std), pixels)
    state: dict[str, Tensor] = {}
    bias: Array | None = None
    for name, layer in network.named_modules():
        own = {key for key, _ in layer.named_parameters(recurse=False)}
        if not own:
            continue
        found: dict[str, Array | None]
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            keys = ("weight", "bias", "running_mean", "running_var")
            found = {key: arrays.get(f"network.{name}.{key}") for key in keys}
            if found["running_mean"] is None:
                zero = np.zeros(layer.num_features, np.float32)
                shift, bias = zero if bias is None else bias, None
                found = {"weight": zero + 1, "bias": shift, "running_mean": zero, "running_var": zero + 1 - layer.eps}
        else:
            stray = bias is not None  # It is no batch norm's.
            weight, bias = _layer(f"network.{name}", arrays) if state else _first_layer(f"network.{name}", arrays, info)
            if weight is not None and isinstance(network, AlexNet) and _is_folded(layer, weight):
                unfolded = unfold_pooling(torch.from_numpy(weight), network)
                weight = None if unfolded is None else unfolded.numpy()
            found = {"weight": None if stray else weight}
            if "bias" in own:
                found["bias"], bias = bias, None
        if any(value is None for value in found.values()):
            raise UserError(f"{file}: has no weights for {name} of {architecture}; begin with a checkpoint of it")
        state.update({f"{name}.{key}": torch.from_numpy(value) for key, value in found.items() if value is not None})
    return state, info.license


def _is_folded(layer: nn.Module, weight: Array) -> bool:
    """Whether this weight is of a dense layer that sees fewer places than this one."""
    return (
        isinstance(layer, nn.Linear)
        and weight.ndim == 2
        and len(weight) == layer.out_features
        and weight.size < layer.weight.numel()
    )


def _layer(name: str, arrays: Arrays) -> tuple[Array | None, Array | None]:
    """Weight and bias of a layer, whose file may hold it as two of low rank."""
    if f"{name}.1.weight" in arrays and f"{name}.0.weight" in arrays:
        return arrays[f"{name}.1.weight"] @ arrays[f"{name}.0.weight"], arrays.get(f"{name}.1.bias")
    # The exporter's own folding gives a layer that had no bias one of this name.
    return arrays.get(f"{name}.weight"), arrays.get(f"{name}.bias", arrays.get(f"{name}.weight_bias"))


def _first_layer(name: str, arrays: Arrays, info: ModelInfo) -> tuple[Array | None, Array | None]:
    """The layer that sees the pixels; an int8 file's takes bytes with a zero point (see `export.quantization`)."""
    if not {KERNEL, BIAS, ZERO_POINT} <= arrays.keys():
        return _layer(name, arrays)
    mean, std = (255 * np.array(values, np.float32) for values in (info.mean, info.std))
    weight = arrays[KERNEL] * std[:, None, None]
    offset = (arrays[ZERO_POINT] - mean) / std
    return weight, arrays[BIAS] - np.einsum("oihw,i->o", weight, offset)


def _read(file: str) -> tuple[ModelInfo, Arrays]:
    """The metadata of a file, and its constants by name, as float32."""
    model = load_onnx(file)
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)
    if text is None:
        raise UserError(f"{file}: not from batchgender; begin with a state dict of the network (.pth)")
    try:
        return ModelInfo.from_json(text, file), _arrays(model.graph)
    except (KeyError, TypeError, ValueError, onnx.checker.ValidationError) as error:
        raise UserError(f"{file}: its weights are damaged, or in other files; export the model again") from error


def _arrays(graph: onnx.GraphProto) -> Arrays:
    raw = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    arrays = {name: array.astype(np.float32) for name, array in raw.items() if array.dtype.kind in "fu"}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in raw:
            whole, scale, zero = (raw[name].astype(np.float32) for name in node.input)
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            shape = [-1 if at == axis else 1 for at in range(whole.ndim)] if scale.ndim else []
            name = node.output[0].removesuffix("_DequantizeLinear_Output")
            arrays[name] = (whole - zero.reshape(shape)) * scale.reshape(shape)
    return arrays
