"""What a model file or a checkpoint says of itself, as plain data."""

import os
from typing import Any

from batchgender.errors import UserError
from batchgender.model_file import METADATA_KEY, describe_onnx, read_extra


def describe(file: str) -> dict[str, Any]:
    """File, size in bytes, inputs and outputs where the format names them, and the metadata.

    Raises UserError where the file is missing, damaged, or none that says anything of itself.
    """
    if not os.path.isfile(file):
        raise UserError(f"{file}: no such model file")
    facts: dict[str, Any] = {"file": file, "bytes": os.path.getsize(file)}
    if file.endswith(".onnx"):
        return facts | describe_onnx(file)
    if info := read_extra(file):
        return facts | {METADATA_KEY: info.as_dict()}
    # Only a checkpoint needs torch to be read.
    from batchgender.training.checkpoint import load

    checkpoint = load(file)
    about = {
        "epoch": checkpoint.epoch,
        "resumable": bool(checkpoint.optimizer),
        "history": checkpoint.history,
    }
    return facts | {METADATA_KEY: checkpoint.info().as_dict()} | about
