"""Folders of face photos in, a CSV with Female or Male, confidence and accuracy out.

from batchgender import load_classifier

for row in load_classifier("exports/batchgender.onnx").classify("photos"):
    print(row.path, row.prediction, row.confidence)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchgender.classify.pipeline import Classifier, load_classifier
    from batchgender.errors import UserError
    from batchgender.results.results_file import Row

__version__ = "0.1.0"
__all__ = ["Classifier", "Row", "UserError", "load_classifier"]

_HOMES = {
    "Classifier": "classify.pipeline",
    "Row": "results.results_file",
    "UserError": "errors",
    "load_classifier": "classify.pipeline",
}


def __getattr__(name: str) -> Any:
    # Lazily, so that `batchgender --help` loads neither OpenCV nor onnxruntime.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"batchgender.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'batchgender' has no attribute {name!r}")
