"""Reading a file of weights, and fitting its tensors to a network's names."""

import os
import re
import warnings
import zipfile
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from batchgender.errors import UserError, os_reason
from batchgender.training.safetensors_file import ENDING, read_safetensors

# Torchvision's files for densenet were saved when names could hold dots: norm.1 is norm1 now.
_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)")


def read_weights(path: str) -> Any:
    """Read a file of weights, on the CPU."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{path}: a folder, pipe or device, not a file of weights")
    try:
        if path.endswith(ENDING):
            return read_safetensors(path)
        # torch.load does not look at the checksums.
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.testzip():
                    raise zipfile.BadZipFile
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It refuses what it warns of.
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; --weights takes a .pth, .pt, .safetensors or .onnx file") from error
    except OSError as error:
        raise UserError(f"{path}: can't read ({os_reason(error)})") from error
    except Exception as error:  # Damaged files raise whatever the reader meets.
        raise UserError(f"{path}: {refusal(error)}") from error


def refusal(error: Exception) -> str:
    """Why a file of weights was not read, from what its reader raised."""
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        return f"holds Python code ({refused[1]}), which is never run; save the network's state_dict() alone"
    return "damaged, cut short, or no file of weights (an exported model is none)"


def find_state_dict(data: Any, origin: str) -> dict[str, Tensor]:
    """The tensors by name, bare or under a usual key; raises UserError where there are none."""
    keys = ("state_dict", "model", "weights")
    if isinstance(data, dict):
        data = next((data[key] for key in keys if isinstance(data.get(key), dict)), data)
    named = isinstance(data, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in data.items())
    if not named or not data:
        raise UserError(f"{origin}: holds no weights (a state dict, bare or under {', '.join(keys)})")
    return data


def rename_tensors(state: dict[str, Tensor], network: nn.Module) -> None:
    """Give the file's tensors, in place, the names of the network's: no wrapper's prefix, no old spelling."""
    own = {name.partition(".")[0] for name in network.state_dict()}
    while len(first := {name.partition(".")[0] for name in state}) == 1 and not first & (own | state.keys()):
        # Torch's own way also strips the versions of the layers, which load_state_dict reads.
        consume_prefix_in_state_dict_if_present(state, f"{first.pop()}.")
    for name in list(state):
        if old := _OLD_DENSENET.fullmatch(name):
            state[old[1] + old[2]] = state.pop(name)


def describe_misfit(want: dict[str, str], have: dict[str, str], head: set[str]) -> str:
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


def shapes_of(state: dict[str, Tensor]) -> dict[str, str]:
    """The shape of each tensor, in words."""
    return {name: f"[{','.join(map(str, value.shape))}]" for name, value in state.items()}
