"""Weights to begin a training with: ImageNet's, those of a file, or those of an exported model."""

import torch
from torch import nn

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.training.recipe import Pixels, check_pixels
from batchgender.training.weights.from_onnx import exported_state
from batchgender.training.weights.imagenet import download_imagenet_weights
from batchgender.training.weights.state_dict import (
    describe_misfit,
    find_state_dict,
    read_weights,
    rename_tensors,
    shapes_of,
)


def load_weights(
    network: nn.Module,
    architecture: str,
    source: str,
    notify: Notify,
    pixels: Pixels | None = None,
) -> str:
    """Give the network, in place, the weights of `source`: "imagenet" for torchvision's default ones, else a file.

    Returns the license that the file states, "" where it states none.

    A file (.pt, .pth, .safetensors) holds a state dict, bare or under `state_dict`, `model` or `weights`, as our
    checkpoints do; a prefix that all of its names share is left out, and none of its code is run. Our ONNX files hold
    them, too (see `from_onnx`). All layers must fit but the classifier's last, which stays random where its shape
    differs, with a line to `notify`.

    Raises UserError where the weights can't be downloaded or read, fit another architecture, were trained on another
    mean and std than those of `pixels`, as far as the file names them, or are no numbers; the network is then of no
    more use.
    """
    license = ""
    if source == "imagenet":
        origin, data = download_imagenet_weights(architecture)
    elif kind_of_file(source) is FileKind.ONNX:
        origin = source
        data, license = exported_state(source, architecture, network, pixels)
    else:
        origin, data = source, read_weights(source)
        recipe, license = (data.get("recipe"), data.get("license", "")) if isinstance(data, dict) else (None, "")
        mean, std = (recipe.get("mean"), recipe.get("std")) if isinstance(recipe, dict) else (None, None)
        # JSON, in a file .safetensors, has lists.
        if pixels and isinstance(mean, tuple | list) and isinstance(std, tuple | list):
            check_pixels(origin, (tuple(mean), tuple(std)), pixels)
    state = find_state_dict(data, origin)
    rename_tensors(state, network)
    expected = network.state_dict()
    want, have = shapes_of(expected), shapes_of(state)
    last = [name for name, layer in network.named_modules() if list(layer.parameters(recurse=False))][-1]
    head = {name for name in want.keys() | have.keys() if name.startswith(f"{last}.")}
    replaced = any(want.get(name) != have.get(name) for name in head)
    if replaced:
        for name in head & have.keys():
            del state[name]
        state.update({name: expected[name] for name in head & want.keys()})
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = describe_misfit(want, have, head) or "some of its tensors are sparse, quantized or without data"
        raise UserError(f"{origin}: not weights of {architecture} ({reason})") from error
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise UserError(f"{origin}: {name} holds NaN or infinite values; take weights of a run that went well")
    if replaced:
        shape = f"{last}.weight"
        notify(
            f"{origin}: {last} is left at random weights ({want[shape]} here, {have.get(shape, 'none')} in the file)"
        )
    return license if isinstance(license, str) else ""
