"""A session over an ONNX file: onnxruntime on one of its providers, or OpenVINO, behind one `run`."""

import importlib.util
import os
import re
import stat
import textwrap
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from batchgender.errors import OutOfMemory, UserError, os_reason
from batchgender.io import one_line

# Older builds for Windows report by its event tracing, which the variable set in `batchgender/__init__.py` leaves on.
ort.disable_telemetry_events()

CPU, AUTO = "cpu", "auto"
_ONNXRUNTIME = {
    CPU: "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
PROVIDERS = (*_ONNXRUNTIME, "openvino")
_PACKAGES = {
    "cuda": "onnxruntime-gpu in the place of onnxruntime",
    "tensorrt": "onnxruntime-gpu in the place of onnxruntime, and TensorRT",
    "coreml": "onnxruntime on macOS",
    "directml": "onnxruntime-directml in the place of onnxruntime",
    "openvino": "the extra batchgender[openvino]",
}
# What onnxruntime says of a file that is newer than itself: the version of the file, and the latest that it knows.
_NEWER = {
    "IR version": re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"),
    "opset": re.compile(r"Opset (\d+) is under development.* for domain \S+ is till opset (\d+)"),
}
_PREFIX = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
# Where in its own source a runtime stopped: the file, the line, and the function with the types of its arguments.
_SOURCE_LINE = re.compile(r"/\S+\.(?:cc|h):\d+ \S.*?\) (?:\[with [^]]*\] )?(?=\S)")
_NO_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "out of memory", "not enough memory")

Run = Callable[[list[str] | None, dict[str, NDArray[Any]]], list[NDArray[Any]]]


@dataclass(frozen=True)
class Session:
    """An open file. `run` takes the names of outputs (None: all) and arrays by input, from several threads at once.

    `inputs` and `outputs` have a name, a type and a shape each; `provider` is the execution provider in words.
    """

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    metadata: dict[str, str]
    provider: str
    run: Run


def installed() -> list[str]:
    """The providers that this installation has."""
    there = set(ort.get_available_providers())
    found = [name for name, own in _ONNXRUNTIME.items() if own in there]
    return [*found, "openvino"] if importlib.util.find_spec("openvino") else found


def check_model_file(file: str) -> None:
    """Raise UserError where a file is missing, empty, or what would be waited for; it is not opened."""
    try:
        with open(file, "rb") if os.path.isfile(file) else nullcontext():
            status = os.stat(file)
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such model file; check --model, or make one with `batchgender export`") from error
    except OSError as error:
        raise UserError(f"{file}: can't read the model ({os_reason(error)})") from error
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{file}: a folder, pipe or device, not a model file")
    if not status.st_size:
        raise UserError(f"{file}: an empty file, no model")


def open_session(file: str) -> Session:
    """Open a file on onnxruntime's CPU provider; raises UserError where it is missing, damaged or no model."""
    check_model_file(file)
    try:
        session = _onnxruntime(file, CPU)
    except Exception as error:  # onnxruntime's exceptions have no common base.
        if "External data path does not exist" in str(error):
            raise UserError(
                f"{file}: its weights are in another file, which is not beside it; keep the two together"
            ) from error
        if "External data path" in str(error):
            raise UserError(
                f"{file}: says that its weights are in a file outside its folder, which is not read"
            ) from error
        for what, pattern in _NEWER.items():
            if found := pattern.search(str(error)):
                raise UserError(
                    f"{file}: newer than onnxruntime {ort.__version__}: its {what} is {found[1]}, the latest that this"
                    f" one reads is {found[2]}; upgrade onnxruntime, or export the model for an older version"
                ) from error
        raise UserError(
            f"{file}: damaged, cut short, or no ONNX model that onnxruntime can run ({_runtime_message(error)})"
        ) from error
    if not session.inputs:
        raise UserError(f"{file}: no image classifier: it has no input")
    return session


def provider_named(label: str) -> str:
    """The provider whose sessions call themselves so, "auto" where none does."""
    if label.startswith("OpenVINO "):
        return "openvino"
    return next((name for name, own in _ONNXRUNTIME.items() if label == f"onnxruntime {own}"), AUTO)


def check_provider(provider: str) -> None:
    """Raise UserError where an execution provider is not installed, before any file is opened."""
    if provider not in installed():
        raise UserError(
            f"provider {provider} is not installed (installed: {', '.join(installed())}); it comes with"
            f" {_PACKAGES[provider]}"
        )


def open_on_provider(session: Session, file: str, provider: str, workers: int, size: int | None) -> Session:
    """Open the session's file on another execution provider, for `workers` threads that call at once.

    `size` fixes the sides of the image, where the file leaves them open. Raises UserError where the provider is not
    installed, or does not take this file.
    """
    check_provider(provider)
    try:
        if provider == "openvino":
            return _openvino(session, file, workers, size)
        moved = _onnxruntime(file, provider)
    except Exception as error:  # Neither runtime's exceptions have a common base.
        raise UserError(f"{file}: provider {provider} can't run it ({_runtime_message(error)})") from error
    if _ONNXRUNTIME[provider] not in moved.provider:
        raise UserError(f"provider {provider} is installed but does not start; check its drivers")
    return moved


def session_over(graph: bytes, file: str) -> Session:
    """A session on onnxruntime's CPU provider over a graph that was made of `file`; raises UserError."""
    try:
        return _onnxruntime(file, CPU, graph)
    except Exception as error:  # onnxruntime's exceptions have no common base.
        raise UserError(f"{file}: its graph can't be run ({_runtime_message(error)})") from error


def _onnxruntime(file: str, provider: str, graph: bytes | None = None) -> Session:
    options = ort.SessionOptions()
    # One core a call: classify's workers call side by side, which keeps all cores busier than threads inside one.
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    wanted = list(dict.fromkeys([_ONNXRUNTIME[provider], _ONNXRUNTIME[CPU]]))
    # Its own way to try again prints to stdout.
    session = ort.InferenceSession(graph or file, options, providers=wanted, enable_fallback=0)
    metadata = session.get_modelmeta().custom_metadata_map
    label = f"onnxruntime {session.get_providers()[0]}"

    def run(outputs: list[str] | None, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            return session.run(outputs, feeds)
        except Exception as error:
            raise _failure(file, error) from error

    return Session(session.get_inputs(), session.get_outputs(), metadata, label, run)


def _openvino(session: Session, file: str, workers: int, size: int | None) -> Session:
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    if size:
        model.reshape({session.inputs[0].name: openvino.PartialShape([-1, size, size, 3])})
    # A stream is a core that computes a call alone.
    settings = {"NUM_STREAMS": workers, "INFERENCE_NUM_THREADS": workers}
    try:
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError:
        # Where it chooses bfloat16, as on processors with AMX, it lacks some layers of 8-bit models.
        compiled = core.compile_model(model, "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"})
    precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
    names = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}

    def run(outputs: list[str] | None, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            found = compiled.create_infer_request().infer(feeds)
        except Exception as error:
            raise _failure(file, error) from error
        # Copied: the request's own memory is used again.
        return [np.array(found[compiled.output(name)]) for name in outputs or [v.name for v in session.outputs]]

    label = f"OpenVINO {openvino.__version__.split('-')[0]} on the CPU, {names.get(precision, precision)}"
    return Session(session.inputs, session.outputs, session.metadata, label, run)


def _failure(file: str, error: Exception) -> UserError:
    line = _runtime_message(error)
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
        return OutOfMemory(f"{file}: not enough memory for the model ({line})")
    return UserError(f"{file}: the model failed ({line})")


def _runtime_message(error: Exception) -> str:
    """What a runtime says, in one line, without its own prefix and places in its source."""
    text = " ".join(str(error).split()) or type(error).__name__
    # It may quote names in the file.
    text = one_line(_SOURCE_LINE.sub("", _PREFIX.sub("", text)))
    return textwrap.shorten(text.rstrip("."), 300, placeholder=" ...")
