"""What a model file or a checkpoint says of itself, as plain data and as text."""

import os
from typing import Any

from batchgender.errors import UserError
from batchgender.io import one_line, percent
from batchgender.model.model_file import METADATA_KEY, describe_onnx, open_model, read_extra
from batchgender.model.onnx_summary import onnx_facts
from batchgender.model.self_check import replay


def describe(file: str) -> dict[str, Any] | None:
    """File, size in bytes, what it is made of where it is ONNX, its metadata, and whether `classify` takes it.

    None where it is no model file, but perhaps a checkpoint.

    Raises UserError where the file is missing, damaged, none that says anything of itself, or answers the pictures
    in it wrongly.
    """
    if os.path.isdir(file):
        raise UserError(f"{file}: a folder; give a model file")
    if not os.path.isfile(file):
        raise UserError(f"{file}: no such model file")
    facts: dict[str, Any] = {"file": file, "bytes": os.path.getsize(file)}
    if file.endswith(".onnx"):
        facts |= describe_onnx(file)
        own = facts[METADATA_KEY]
        facts |= onnx_facts(file, own["input_size"] if own else 224)
        answered = replay(open_model(file)) if own else None
        return facts | {"golden_difference": answered, "classify": "ready" if own else _wanted(file)}
    if info := read_extra(file):
        return facts | {METADATA_KEY: info.as_dict(), "classify": "no: it takes ONNX, export --format onnx"}
    if file.endswith((".xml", ".mlmodel")):
        raise UserError(f"{file}: OpenVINO's and Core ML's files are for their own tools; inspect the ONNX file")
    return None


def as_text(found: dict[str, Any]) -> str:
    """Lay the facts out for a terminal."""
    own = found[METADATA_KEY] or {}
    metrics, adds, parameters = own.get("metrics", {}), found.get("multiply_adds"), found.get("parameters")
    rows = {
        "file": f"{found['file']}, {found['bytes'] / 1e6:.1f} MB",
        "classes": ", ".join(own.get("classes", [])),
        "architecture": own.get("architecture"),
        "precision": own.get("precision") or found.get("weights"),
        "trained": " ".join(
            str(text) for text in (own.get("recipe", {}).get("name"), own.get("dataset"), own.get("created")) if text
        ),
        "accuracy": _accuracy(
            metrics, "of the checkpoint, before it was made smaller: " if own.get("compression") else ""
        ),
        "thresholds": ", ".join(f"{name} {value:g}" for name, value in own.get("thresholds", {}).items()),
        "licence": own.get("license"),
        "inputs": _values(found.get("inputs")),
        "outputs": _values(found.get("outputs")),
        "opset": found.get("opset"),
        "parameters": f"{parameters:,}" if parameters else None,
        "a photo": f"{adds / 1e6:,.0f} million multiply-adds" if adds else None,
        "weights elsewhere": "yes, in another file" if found.get("external_data") else None,
        "its own pictures": f"answered as it says, {found['golden_difference']:.1e} apart"
        if found.get("golden_difference") is not None
        else None,
        "epoch": found.get("epoch"),
        "classify": found["classify"],
    }
    width = max(len(name) for name, value in rows.items() if value)
    return "\n".join(f"{name:<{width}}  {one_line(str(value))}" for name, value in rows.items() if value)


def _accuracy(metrics: dict[str, Any], origin: str) -> str:
    try:
        recalls = ", ".join(f"{name} {percent(each['recall'])}" for name, each in metrics["classes"].items())
        return f"{origin}{percent(metrics['accuracy'])} on {metrics['labelled']:,} test photos ({recalls})"
    except (KeyError, TypeError, ValueError, AttributeError):  # None there, or of another program's making.
        return ""


def _values(values: dict[str, str] | None) -> str:
    return "; ".join(f"{name}: {kind}" for name, kind in (values or {}).items())


def _wanted(file: str) -> str:
    try:
        open_model(file)
    except UserError as error:
        return f"no: {str(error).removeprefix(f'{file}: ')}"
    return "ready"
