"""Folders of face photos in, a CSV with Female or Male, confidence and accuracy out.

from batchgender import load_classifier

for row in load_classifier().classify("photos"):
    print(row.path, row.prediction, row.confidence)
"""

import os
import sys
from typing import TYPE_CHECKING, Any

from batchgender.version import __version__

# onnxruntime, huggingface_hub and Ray report their use to their makers unless these are set before they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# OpenVINO has no such variable. It reports by this package, and does without where it can't be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from batchgender.classify.pipeline import Classifier, load_classifier
    from batchgender.errors import UserError
    from batchgender.explanation.explain import Explanation, explain
    from batchgender.results.rows import Row

__all__ = ["Classifier", "Explanation", "Row", "UserError", "__version__", "explain", "load_classifier"]

_MODULES = {
    "Classifier": "classify.pipeline",
    "Explanation": "explanation.explain",
    "Row": "results.rows",
    "UserError": "errors",
    "explain": "explanation.explain",
    "load_classifier": "classify.pipeline",
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    # Imported when asked for: `batchgender --help` loads neither OpenCV nor onnxruntime.
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"batchgender.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'batchgender' has no attribute {name!r}")
