"""A model file's format, graph and metadata, as plain data and as text."""

import os
from typing import Any

from batchgender.errors import UserError
from batchgender.io import one_line, percent, text_table
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.foreign_model import USUAL_SIDE, what_is_needed
from batchgender.model.metadata import METADATA_KEY, ModelInfo, metadata_of_archive
from batchgender.model.onnx_summary import onnx_summary
from batchgender.model.open_model import Model, named_model, open_model, session_metadata
from batchgender.model.self_check import run_self_check
from batchgender.model.session import Session, open_session
from batchgender.model.trial import try_model


def inspect_model_file(name: str) -> dict[str, Any] | None:
    """File, size in bytes, summary of the graph where it is ONNX, metadata, and whether `classify` takes it.

    None where it is no exported model, but perhaps a checkpoint. Raises UserError where the file is missing or damaged,
    or fails its self-check.
    """
    file = named_model(name)
    if os.path.isdir(file):
        raise UserError(f"{file}: a folder; give a model file")
    if not os.path.isfile(file):
        raise UserError(f"{file}: no such model file")
    found: dict[str, Any] = {"file": file, "bytes": os.path.getsize(file)}
    kind = kind_of_file(file)
    if kind is FileKind.CHECKPOINT:
        return None
    if kind is FileKind.ONNX:
        return found | _inspect_onnx(file)
    if kind in (FileKind.OPENVINO, FileKind.COREML):
        raise UserError(f"{file}: {kind.value} files are for their own tools; inspect the ONNX file")
    return found | {
        METADATA_KEY: metadata_of_archive(file).as_dict(),
        "classify": f"no: {kind.value}; it takes ONNX, export --format onnx",
    }


def read_metadata(file: str) -> ModelInfo | None:
    """The metadata of an ONNX file; None where it is not from batchgender. Raises UserError as `open_session` does."""
    try_model(file)
    return session_metadata(open_session(file), file)


def _inspect_onnx(file: str) -> dict[str, Any]:
    try_model(file)
    session = open_session(file)
    info = session_metadata(session, file)
    model: Model | None = None
    if info:
        model = open_model(file, session=session)
        ready = "ready"
    else:
        try:
            ready = f"no: not from batchgender and does not describe itself; fill in: {what_is_needed(session, file)}"
        except UserError as error:
            ready = f"no: {str(error).removeprefix(f'{file}: ')}"
    return {
        **_ports(session),
        METADATA_KEY: info.as_dict() if info else None,
        **onnx_summary(file, info.input_size if info else USUAL_SIDE),
        # The name that it had in 0.1.0.
        "golden_difference": run_self_check(model) if model else None,
        "classify": ready,
    }


def _ports(session: Session) -> dict[str, dict[str, str]]:
    sides = {"inputs": session.inputs, "outputs": session.outputs}
    return {side: {value.name: f"{value.type} {value.shape}" for value in values} for side, values in sides.items()}


def inspection_text(found: dict[str, Any]) -> str:
    """Lay out what `inspect_model_file`, or the inspection of a checkpoint, found."""
    own = found[METADATA_KEY] or {}
    adds, parameters = found.get("multiply_adds"), found.get("parameters")
    trained = (own.get("recipe", {}).get("name"), own.get("dataset"), own.get("created"))
    checked = found.get("golden_difference")
    rows = {
        "file": f"{found['file']}, {found['bytes'] / 1e6:.1f} MB",
        "classes": ", ".join(own.get("classes", [])),
        "architecture": own.get("architecture"),
        "precision": own.get("precision") or found.get("weights"),
        "trained": " ".join(str(text) for text in trained if text),
        "accuracy": _accuracy(own),
        "thresholds": ", ".join(f"{name} {value:g}" for name, value in own.get("thresholds", {}).items()),
        "licence": own.get("license"),
        "inputs": _values(found.get("inputs")),
        "outputs": _values(found.get("outputs")),
        "opset": found.get("opset"),
        "parameters": f"{parameters:,}" if parameters else None,
        "work a photo": f"{adds / 1e6:,.0f} million multiply-adds" if adds else None,
        "external weights": "yes, in another file" if found.get("external_data") else None,
        "self-check": None if checked is None else f"passed, largest difference {checked:.1e}",
        "epoch": found.get("epoch"),
        "classify": found["classify"],
    }
    return "\n".join(text_table([[name, one_line(str(value))] for name, value in rows.items() if value]))


def _accuracy(own: dict[str, Any]) -> str:
    figures = own.get("metrics")
    if not figures:
        return ""
    origin = "of the checkpoint, before it was made smaller: " if own.get("compression") else ""
    recalls = ", ".join(f"recall {name} {percent(each['recall'])}" for name, each in figures["classes"].items())
    return f"{origin}{percent(figures['accuracy'])} on {figures['labelled']:,} test photos ({recalls})"


def _values(values: dict[str, str] | None) -> str:
    return "; ".join(f"{name}: {kind}" for name, kind in (values or {}).items())
