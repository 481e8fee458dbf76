"""A model's card from its file's metadata (Mitchell et al. 2019): purpose, use, figures, data, limits and terms."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from batchgender.io import bounds, one_line, percent
from batchgender.model.metadata import CalibrationFit, ModelInfo, SplitFigures
from batchgender.publish.dataset_named import dataset_named
from batchgender.report.statistics import wilson
from batchgender.report.text import NOTE

PURPOSE = f"""\
## What it is for, and what not

For aggregate statistics over collections of face photos that you may process, for research on such models, and as a
beginning for a model of your own. {NOTE}

It must not be used to decide about a person, to grant or refuse access, to identify or profile anyone, to reveal or
presume anybody's gender, or on people who have not been asked where the law wants that. Two labels do not describe
everyone: people whom they don't fit are wrong by construction.
"""

_USE = """\
## Use

With batchgender and its extra `hub`:

```
batchgender classify ./photos --model {name} --out results.csv
```

The file `{file}` is all that another program needs: input `image`, uint8 `[batch, height, width, 3]`, RGB, photos of
any size; output `probabilities`, float32 `[batch, {classes}]`, in the order {listed}. Resizing, normalisation and
calibration are inside. With onnxruntime, NumPy and OpenCV:

```python
import cv2
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
photo = cv2.imread("photo.jpg", cv2.IMREAD_COLOR_RGB)
(probabilities,) = session.run(["probabilities"], {{"image": photo[None]}})
print(dict(zip({order}, probabilities[0])))
```
"""

_LIMITS = """\
## Limits

- The model repeats how its training photos were labelled, in these classes.
- {framing}
- Errors are not spread evenly: children, older people, and groups that are rare in the training photos are worse, and
  so are angles, hats, masks, heavy blur, drawings and whole bodies. What is not measured above is not known.
- On other photos than those it was trained on expect less, and measure: `classify` on folders with labels prints the
  same figures for yours. Leave out what it is not sure of (`classify --threshold 0.9`).
"""


def card_body(info: ModelInfo, size: int, name: str, file: str) -> str:
    """The card as Markdown, without its head.

    `size` is the model file's in bytes, `name` the `hf:OWNER/NAME` that it is published as, `file` its name there.
    """
    listed = (" and " if len(info.classes) == 2 else ", ").join(map(as_text, info.classes))
    made = " with batchgender " + info.package_version if info.package_version else ""
    parts = [
        f"# {name.rpartition('/')[2]}",
        f"{info.architecture or 'An image classifier'}, {info.precision}, {size / 2**20:.1f} MiB, {info.input_size}"
        f" pixels, classes {listed}." + (f" Made {info.created[:10]}{made}." if info.created else ""),
        PURPOSE,
        _USE.format(name=name, file=file, classes=len(info.classes), listed=listed, order=json.dumps(info.classes)),
        _figures(info),
        "## Data\n\n" + _data(info),
        _LIMITS.format(framing=_framing(info.framing)),
        "## Licence\n\n" + (as_text(info.license) or "The file states none."),
        _recipe(info.recipe),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def as_text(text: str) -> str:
    """Text that is shown as it is, on one line, in Markdown and its tables: no part of it is taken for a mark."""
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", one_line(text))
    return html.escape(escaped, quote=False)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; the cells hold no line breaks."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def calibration_text(info: ModelInfo) -> list[str]:
    """How the probabilities, and the decision threshold, were fitted: a paragraph each."""
    fit = info.calibration
    parts = []
    if fit:
        parts.append(f"Temperature {info.temperature:.3f}, fitted on {fit.photos:,} validation photos{_fitted(fit)}.")
    if any(info.bias) and len(info.bias) == 2:
        parts.append(
            "The decision threshold was then moved to where the recalls on these photos are nearest (bias"
            f" {info.bias[1]:+.3f} on {as_text(info.classes[1])}): a small gap between the recalls is fitted, not"
            " learnt."
        )
    return parts


def recipe_table(recipe: Mapping[str, Any]) -> str:
    """All keys of a recipe and their values."""
    return markdown_table(["key", "value"], [[f"`{key}`", f"`{json.dumps(value)}`"] for key, value in recipe.items()])


def _fitted(fit: CalibrationFit) -> str:
    if fit.ece_before is None or fit.ece_after is None:
        return ""
    return f": calibration error {fit.ece_before:.4f} before and {fit.ece_after:.4f} after"


def _figures(info: ModelInfo) -> str:
    measured = info.metrics
    if not measured or measured.accuracy is None:
        return "## Figures\n\nNone: the file carries no figures of labelled photos."
    smaller = " They are its checkpoint's, before the file was made smaller." if info.compression else ""
    parts = [
        "## Figures",
        f"On the {measured.labelled:,} photos of the test split, which decided nothing in its training; 95 % Wilson"
        f" intervals.{smaller}",
        markdown_table(["", "checkpoint" if info.compression else "this file"], _rows(measured)),
        *calibration_text(info),
        "Answers below these confidences are `Unsure`: "
        + ", ".join(f"{as_text(name)} {value:g}" for name, value in info.thresholds.items())
        + "."
        if info.thresholds
        else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _rows(measured: SplitFigures) -> list[list[str]]:
    accuracy = measured.accuracy or 0.0
    rows = [
        ["accuracy", f"{percent(accuracy)} ({bounds(wilson(round(accuracy * measured.labelled), measured.labelled))})"]
    ]
    for name, each in measured.classes.items():
        cell = f"{percent(each.recall)} ({bounds(each.recall_interval_95)}), {each.support:,} photos"
        rows.append([f"recall {as_text(name)}", cell])
    if measured.auroc is not None:
        rows.append(["AUROC", f"{measured.auroc:.4f}"])
    if measured.ece is not None:
        rows.append(["calibration error (ECE, 15 bins)", f"{measured.ece:.4f}"])
    return rows


def _data(info: ModelInfo) -> str:
    hub, title = dataset_named(info.dataset)
    if hub:
        return f"Trained on the dataset `{hub}` of the Hugging Face Hub."
    return f"Trained on photos that its maker calls {as_text(title)}." if title else "The file names no dataset."


def _framing(framing: Mapping[str, float]) -> str:
    share = f", the face {framing['face_share']:.0%} as wide as the picture" if framing else ""
    return f"The file finds no faces: it is for pictures of one head{share}. `classify` cuts faces out of other photos."


def _recipe(recipe: Mapping[str, Any]) -> str:
    return f"## Recipe\n\n{recipe_table(recipe)}" if recipe else ""
