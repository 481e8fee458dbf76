"""Torchvision's networks by name, and weights to begin with: ImageNet's, or those of a file."""

import re
import socket
import ssl
import sys
import warnings
import zipfile
from contextlib import redirect_stdout
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify
from batchgender.training.recipe import Pixels, check_pixels
from batchgender.training.weights.from_onnx import exported_state

# alexnet: ours. googlenet, inception_v3: several outputs while they train. mnasnet: changes its layers by a
# version that plain weights don't carry. vit_h_14: its weights are for pictures of 518x518.
_LEFT_OUT = ["alexnet", "googlenet", "inception_v3", "mnasnet*", "vit_h_14"]
_OURS = ["alexnet", "alexnet_bn"]
_SECONDS = 10.0  # Without an answer for so long, the network counts as unreachable.
_UNREACHABLE = (URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError)
# Torchvision's files for densenet were saved when names could hold dots: norm.1 is norm1 now.
_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)")


def backbone_names() -> list[str]:
    """The torchvision classifiers that `build_backbone` takes, in order of their names."""
    # Two seconds that an AlexNet need not wait for: here, and not at the top.
    from torchvision import models

    return models.list_models(module=models, exclude=_LEFT_OUT)


def build_backbone(name: str, classes: int) -> nn.Module:
    """Make a torchvision classifier with random weights: float [B, 3, 224, 224] to logits [B, classes].

    Raises UserError as `check_backbone` does.
    """
    check_backbone(name)
    from torchvision import models

    return models.get_model(name, weights=None, num_classes=classes)


def check_backbone(name: str) -> None:
    """Raise UserError, with the names most like it, on a name that is not among `backbone_names`."""
    names = backbone_names()
    if name not in names:
        close = get_close_matches(name.lower(), [*_OURS, *names])
        known = f"did you mean {' or '.join(close)}?" if close else "alexnet, resnet18, mobilenet_v3_large are some"
        raise UserError(f"unknown architecture {name!r}; {known}")


def load_weights(
    network: nn.Module,
    architecture: str,
    source: str,
    notify: Notify,
    pixels: Pixels | None = None,
) -> None:
    """Give the network, in place, the weights of `source`: "imagenet" for torchvision's default ones, else a file.

    A file (.pt, .pth, .safetensors) holds a state dict, bare or under `state_dict`, `model` or `weights`, as
    checkpoints of ours do; a prefix that all of its names share is left out, and none of its code is run. One of ours
    in ONNX holds them too (see `exported`). All
    layers must fit but the classifier's last, which stays random where its shape differs, with a line to `notify`.
    Raises UserError where the weights can't be had or read, fit another architecture, were trained on another mean and
    std than those of `pixels`, as far as the file names them, or are no numbers; the network is then of no more use.
    """
    if source == "imagenet":
        origin, data = _download(architecture)
    elif source.endswith(".onnx"):
        origin, data = source, exported_state(source, architecture, network, pixels)
    else:
        origin, data = source, _read(source)
        recipe = data.get("recipe") if isinstance(data, dict) else None
        mean, std = (recipe.get("mean"), recipe.get("std")) if isinstance(recipe, dict) else (None, None)
        if pixels and isinstance(mean, tuple) and isinstance(std, tuple):
            check_pixels(origin, (mean, std), pixels)
    state = _state_dict(data, origin)
    _rename(state, network)
    expected = network.state_dict()
    want, have = _shapes(expected), _shapes(state)
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
        reason = _misfit(want, have, head) or "some of its tensors are sparse, quantized or without data"
        raise UserError(f"{origin}: not weights of {architecture} ({reason})") from error
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise UserError(f"{origin}: {name} holds NaN or infinite values; take weights of a run that went well")
    if replaced:
        shape = f"{last}.weight"
        notify(
            f"{origin}: {last} is left at random weights ({want[shape]} here, {have.get(shape, 'none')} in the file)"
        )


def _download(architecture: str) -> tuple[str, Any]:
    """Torchvision's default weights, from its cache or its server: the file's path, and what it holds."""
    from torchvision import models

    if architecture not in models.list_models(module=models):
        raise UserError(f"{architecture}: torchvision has no ImageNet weights for it; choose another --arch")
    weights: Any = models.get_model_weights(architecture).DEFAULT
    cached = Path(torch.hub.get_dir(), "checkpoints", weights.url.rsplit("/", 1)[1])
    elsewhere = f"try again, or download {weights.url} elsewhere and give it with --weights"
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        # torch.hub announces the download on stdout, which is for results.
        with redirect_stdout(sys.stderr):
            data = weights.get_state_dict(
                map_location="cpu", weights_only=True, check_hash=True, progress=sys.stderr.isatty()
            )
        return str(cached), data
    except _UNREACHABLE as error:
        cause = getattr(error, "reason", error)
        reason = os_reason(cause) if isinstance(cause, OSError) else str(error)
        raise UserError(f"can't download the ImageNet weights of {architecture} ({reason}); {elsewhere}") from error
    except OSError as error:
        raise UserError(
            f"{cached}: can't keep the ImageNet weights here ({os_reason(error)}); TORCH_HOME names another folder"
        ) from error
    except Exception as error:
        if cached.exists():
            raise UserError(f"{cached}: {_unreadable(error)}; delete it to have it downloaded again") from error
        # The one thing that fails between the network and the cache is the hash in the file's name.
        raise UserError(f"the download of the ImageNet weights of {architecture} is broken; {elsewhere}") from error
    finally:
        socket.setdefaulttimeout(timeout)


def _read(path: str) -> Any:
    """What a file of weights holds, on the CPU."""
    try:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        # torch.load does not look at the checksums.
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.testzip():
                    raise zipfile.BadZipFile
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # What it warns of, it refuses.
            return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise UserError(f"{path}: this format needs a package more: pip install safetensors") from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; --weights takes a .pth, .pt, .safetensors or .onnx file") from error
    except OSError as error:
        raise UserError(f"{path}: can't read ({os_reason(error)})") from error
    except Exception as error:  # Damaged files raise whatever the reader meets.
        raise UserError(f"{path}: {_unreadable(error)}") from error


def _unreadable(error: Exception) -> str:
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        return f"holds Python code ({refused[1]}), which is never run; save the network's state_dict() alone"
    return "damaged, cut short, or no file of weights (an exported model is none)"


def _state_dict(data: Any, origin: str) -> dict[str, Tensor]:
    keys = ("state_dict", "model", "weights")
    if isinstance(data, dict):
        data = next((data[key] for key in keys if isinstance(data.get(key), dict)), data)
    named = isinstance(data, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in data.items())
    if not named or not data:
        raise UserError(f"{origin}: holds no weights (a state dict, bare or under {', '.join(keys)})")
    return data


def _rename(state: dict[str, Tensor], network: nn.Module) -> None:
    """Give the file's tensors, in place, the names of the network's: no wrapper's prefix, no old spelling."""
    own = {name.partition(".")[0] for name in network.state_dict()}
    while len(first := {name.partition(".")[0] for name in state}) == 1 and not first & (own | state.keys()):
        # Torch's own way also strips the versions of the layers, which load_state_dict reads.
        consume_prefix_in_state_dict_if_present(state, f"{first.pop()}.")
    for name in list(state):
        if old := _OLD_DENSENET.fullmatch(name):
            state[old[1] + old[2]] = state.pop(name)


def _misfit(want: dict[str, str], have: dict[str, str], head: set[str]) -> str:
    """Say how many tensors fit by name and shape, and which is the first that does not; empty where all do."""
    fitting = f"{sum(have.get(name) == shape for name, shape in want.items())} of {len(want)} tensors fit"
    for name, shape in want.items():
        # Files from before torch 0.4 don't count batches, and need not.
        if name in head or have.get(name) == shape or name.endswith("num_batches_tracked"):
            continue
        there = f"has {have[name]}" if name in have else "has none"
        return f"{fitting}; first that does not: {name} {shape}, file {there}"
    more = [name for name in have if name not in want and name not in head]
    return f"{fitting}; the file has {len(more)} more, first: {more[0]}" if more else ""


def _shapes(state: dict[str, Tensor]) -> dict[str, str]:
    return {name: f"[{','.join(map(str, value.shape))}]" for name, value in state.items()}
