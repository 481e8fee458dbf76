"""The head of a card, in YAML: what the Hugging Face Hub finds, filters and shows models by."""

import re
from typing import TYPE_CHECKING, Any

from batchgender.model.metadata import ModelInfo, SplitFigures
from batchgender.publish.dataset_named import dataset_named

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

# Of the licences that the Hub lists, those that are named so beside models and photos; others are in LICENSE.
_LISTED = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0",
    "gpl-3.0",
    "lgpl-3.0",
    "agpl-3.0",
    "mpl-2.0",
    "openrail",
    "unlicense",
)
LICENSE_FILE = "LICENSE"
_TASK = "image-classification"


def listed_license(text: str) -> str:
    """The Hub's name of a licence, "" where it lists none of this name."""
    name = re.sub(r"[\s_]+", "-", text.strip().lower())
    return name if name in _LISTED else ""


def card_head(info: ModelInfo, title: str) -> str:
    """The head, between its two lines of dashes; `title` is the model's name on the Hub."""
    from huggingface_hub import ModelCardData

    listed = listed_license(info.license)
    terms: dict[str, Any] = (
        {} if listed or not info.license else {"license_name": "terms-in-license", "license_link": LICENSE_FILE}
    )
    dataset, _ = dataset_named(info.dataset)
    head = ModelCardData(
        license=listed or ("other" if info.license else None),
        datasets=[dataset] if dataset else None,
        metrics=["accuracy", "recall", "roc_auc"] if info.metrics else None,
        pipeline_tag=_TASK,
        library_name="onnx",
        tags=["batchgender", "face"],
        model_name=title,
        eval_results=_results(info, info.metrics) if info.metrics else None,
        **terms,
    )
    return f"---\n{head.to_yaml()}\n---\n"


def _results(info: ModelInfo, measured: SplitFigures) -> list["EvalResult"]:
    from huggingface_hub import EvalResult

    dataset, title = dataset_named(info.dataset)
    # A file that was made smaller answers a little otherwise than what was measured.
    of = " of the checkpoint" if info.compression else ""
    figures = [
        ("accuracy", f"Accuracy{of}", measured.accuracy),
        *(("recall", f"Recall {name}{of}", each.recall) for name, each in measured.classes.items()),
        ("roc_auc", f"AUROC{of}", measured.auroc),
    ]
    return [
        EvalResult(
            task_type=_TASK,
            dataset_type=dataset or "imagefolder",
            dataset_name=title or "unnamed photos",
            dataset_split="test",
            metric_type=kind,
            metric_name=name,
            metric_value=round(value, 6),
        )
        for kind, name, value in figures
        if value is not None
    ]
