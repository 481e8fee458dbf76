"""Files .safetensors: tensors by name, and the plain data of a checkpoint of ours beside them; no code is in them."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from batchgender.extras import require_extra
from batchgender.io import written_whole

ENDING = ".safetensors"
# Where the data of a checkpoint stands among the file's metadata, which is text by name.
_DATA = "batchgender.checkpoint"


def write_safetensors(path: Path, weights: dict[str, Tensor], data: dict[str, Any]) -> None:
    """Write weights, and data that JSON holds, atomically; raises OSError, and UserError without the package."""
    _require()
    from safetensors.torch import save

    whole = {name: tensor.contiguous() for name, tensor in weights.items()}
    content = save(whole, {"format": "pt", _DATA: json.dumps(data)})
    with written_whole(path, "wb") as stream:
        stream.write(content)


def read_safetensors(path: str) -> dict[str, Any]:
    """The tensors of a file by name; of a checkpoint of ours its data, with the tensors under `weights`.

    Raises what the package does on files that are damaged, OSError, and UserError without the package.
    """
    _require()
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary.
        data = (file.metadata() or {}).get(_DATA)
    return {**json.loads(data), "weights": tensors} if data else tensors


def _require() -> None:
    require_extra("train", "a file .safetensors", ["safetensors"])
