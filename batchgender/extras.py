"""The extras of the package: what each brings, and a line where one is missing."""

from collections.abc import Sequence
from importlib.util import find_spec

from batchgender.errors import UserError

# The module that tells whether an extra is installed.
_MODULES = {
    "train": ("torch", "torchvision", "datasets", "matplotlib", "onnxscript", "safetensors"),
    "tune": ("optuna",),
    "audit": ("cleanlab", "imagehash"),
    "hub": ("huggingface_hub",),
    "openvino": ("openvino",),
    "remote": ("adlfs", "aiohttp", "fsspec", "gcsfs", "s3fs"),
    "coreml": ("coremltools",),
    "tensorboard": ("tensorboard",),
    "tflite": ("litert_torch",),
    "explain": ("captum", "torch", "torchvision"),
    "ray": ("ray",),
    "ui": ("gradio", "uvicorn"),
    "watch": ("watchfiles",),
}


def require_extra(extra: str, purpose: str, modules: Sequence[str] = ()) -> None:
    """Raise UserError where an extra is not installed, or these modules of it, naming what it is needed for.

    Imports nothing of it.
    """
    if missing := missing_modules(extra, modules):
        raise UserError(missing_extra(extra, purpose, *missing))


def missing_modules(extra: str, modules: Sequence[str] = ()) -> list[str]:
    """The modules of an extra, or these of it, that are not installed; imports none."""
    return [name for name in modules or _MODULES[extra] if find_spec(name) is None]


def missing_extra(extra: str, purpose: str, *missing: str) -> str:
    """The line that names an extra, what needs it, and the modules of it that are not installed."""
    return (
        f"{purpose} needs the extra batchgender[{extra}] ({', '.join(missing)} not installed):"
        f" pip install 'batchgender[{extra}]'"
    )
