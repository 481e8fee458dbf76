"""Folders of face photos in, a CSV with Female or Male, confidence and accuracy out.

from batchgender import load_classifier

for row in load_classifier("exports/batchgender.onnx").classify("photos"):
    print(row.path, row.prediction, row.confidence)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchgender.classify import Classifier, load_classifier
    from batchgender.errors import UserError
    from batchgender.results import Row

__version__ = "0.1.0"
__all__ = ["Classifier", "Row", "UserError", "load_classifier"]

_HOMES = {"Classifier": "classify", "Row": "results", "UserError": "errors", "load_classifier": "classify"}


def __getattr__(name: str) -> Any:
    # Lazily, so that `batchgender --help` loads neither OpenCV nor onnxruntime.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"batchgender.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'batchgender' has no attribute {name!r}")
