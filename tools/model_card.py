"""The model card of the default model, from what its file says of itself and what `evaluate` measured.

`python -m model_card MODEL.onnx REPORT.json OUT.md`: REPORT is written by `batchgender evaluate MODEL.onnx
--groups FILE --report REPORT.json`. Cards after Mitchell et al. 2019, arXiv:1810.03993.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batchgender.errors import UserError, os_reason
from batchgender.io import percent
from batchgender.model.model_file import METADATA_KEY, ModelInfo, describe_onnx
from batchgender.report.counts import NOTE

_PURPOSE = """\
## What it is for, and what not

For aggregate statistics over collections of face photos that you may process, for research on such models, and as a
beginning for a model of your own (`make train DATA=folder`). {note}

It must not be used to decide about a person, to grant or refuse access, to identify or profile anyone, to reveal or
presume anybody's gender, or on people who have not been asked where the law wants that. Two labels do not describe
everyone: people whom they don't fit are wrong by construction.
"""

_DATA = """\
## Data and licence

Trained, calibrated and tested on photos of two sources, split by a hash of the file name. Who is on them is not
known, so one person may be in more than one split.

- UTKFace, the part `crop_part1` (Zhang, Song, Qi, CVPR 2017): aligned face crops of 200 pixels. **For non-commercial
  research only.** Its ages and ethnicities are partly estimated by a model and checked by people; gender is as its
  authors labelled it.
- Face crops found on the web, from the public gender-detection tutorials: 100 to 2,800 pixels.

**The weights carry these terms: non-commercial research only.** The code is under the MIT licence. No photo is in the
package. For any other use, train on photos that you may use.
"""

_LIMITS = """\
## Limits

- Children: below four years even people are often wrong, and so is the model. See the age bands.
- Groups that are rare in the training data have wide intervals above: what is not measured is not known.
- It classifies the whole picture and finds no faces: give it crops with one face each.
- Angles, hats, masks, make-up, heavy blur, drawings and whole bodies are worse than the figures say.
- The test photos are from the same two sources as the training photos. On other sources expect less, and measure:
  `classify` on folders with labels prints the same figures for yours.
"""


def card(info: ModelInfo, report: Mapping[str, Any], size: int) -> str:
    """The card as Markdown; `report` is the JSON that `evaluate` wrote, `size` the model file's in bytes."""
    recipe = info.recipe
    parts = [
        "# Model card: the default model of batchgender",
        f"{info.architecture} from random weights, {info.precision}, {size / 2**20:.1f} MiB, {info.input_size} pixels,"
        f" classes {' and '.join(info.classes)}. Made {info.created[:10]} by `make default-model` with batchgender"
        f" {info.package_version}.",
        _PURPOSE.format(note=NOTE),
        _DATA,
        "Beside the class the network learnt the ages in the names of UTKFace's photos, by a second output that is not"
        " in this file."
        if recipe.get("also_learn")
        else "",
        _figures(info, report),
        _groups(report.get("groups")),
        _LIMITS,
        "## Recipe\n\n"
        f"The last training of `make default-model`: recipe `{recipe['name']}`, seed {recipe['seed']}; all of it:\n\n"
        + _table(["key", "value"], [[f"`{key}`", f"`{json.dumps(value)}`"] for key, value in recipe.items()]),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _figures(info: ModelInfo, report: Mapping[str, Any]) -> str:
    before, now = info.metrics, report["classes"]
    rows = [
        ["accuracy", _share(report, "accuracy"), percent(before.get("accuracy"))],
        *(
            [
                f"recall {name}",
                _share(now[name], "recall"),
                percent(before.get("classes", {}).get(name, {}).get("recall")),
            ]
            for name in info.classes
        ),
        ["AUROC", f"{report['auroc']:.4f}", _four(before.get("auroc"))],
        ["calibration error (ECE, 15 bins)", f"{report['ece']:.4f}", _four(before.get("ece"))],
    ]
    fit = info.calibration
    lines = [
        "## Figures",
        f"On the {report['labelled']:,} test photos, which decided nothing; 95 % Wilson intervals.",
        _table(["", f"this file ({info.precision})", "checkpoint (float32)"], rows),
        f"A perfectly calibrated model would show an error of {report['ece_by_chance']:.4f} on so few photos."
        f" Of the surest nine tenths of the photos this file is right on {percent(report['surest']['accuracy'])}.",
        f"Temperature {info.temperature:.3f}, fitted on {fit['photos']:,} validation photos: expected calibration error"
        f" {fit['ece_before']:.4f} before and {fit['ece_after']:.4f} after."
        if fit
        else "",
        f"The line between the classes was then moved to where their recalls on these photos are nearest (bias"
        f" {info.bias[1]:+.3f} on {info.classes[1]}): a small gap between the recalls is fitted, not learnt."
        if any(info.bias)
        else "",
        "Where answers below a confidence are left out (`classify --threshold`):",
        _table(
            ["confidence at least", "coverage", "accuracy"],
            [[f"{p['threshold']:.2f}", percent(p["coverage"]), percent(p["accuracy"])] for p in report["coverage"]],
        ),
    ]
    return "\n\n".join(line for line in lines if line)


def _groups(groups: Mapping[str, Any] | None) -> str:
    if not groups:
        return ""
    few = groups["smallest_group"]
    tables = [
        "## Groups",
        f"Groups of fewer than {few} photos (*) are left out of the gaps, and of the equalised-odds difference recalls"
        f" over fewer than {few} (n).",
    ]
    for column, figures in groups["columns"].items():
        names = list(next(iter(figures["groups"].values()))["classes"])
        rows = [
            [
                name + (" *" if group["small"] else ""),
                f"{group['count']:,}",
                _share(group, "accuracy"),
                *(f"{_share(group['classes'][each], 'recall')}, n {group['classes'][each]['count']}" for each in names),
            ]
            for name, group in figures["groups"].items()
        ]
        tables.append(_table([column, "photos", "accuracy", *(f"recall {name}" for name in names)], rows))
        if figures["accuracy_gap"] is not None:
            odds = figures["equalized_odds_difference"]
            tables.append(
                f"Largest gap in accuracy {100 * figures['accuracy_gap']:.1f} points"
                + (f", equalised-odds difference {odds:.3f}." if odds is not None else ".")
            )
    return "\n\n".join(tables)


def _share(figures: Mapping[str, Any], key: str) -> str:
    bounds = figures[f"{key}_interval_95"]
    if bounds is None:
        return "-"
    return f"{percent(figures[key])} ({100 * bounds[0]:.1f} to {100 * bounds[1]:.1f})"


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def write_card(model: str, report_file: str, out: str) -> None:
    """Write the card of an ONNX model file; raises UserError where one of the files can't be read or written."""
    described = describe_onnx(model)[METADATA_KEY]
    if described is None:
        raise UserError(f"{model}: not from batchgender, so it says nothing that a card could tell")
    info = ModelInfo.from_json(json.dumps(described), model)
    try:
        report = json.loads(Path(report_file).read_text(encoding="utf-8"))
        Path(out).write_text(card(info, report, os.path.getsize(model)), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename}: {os_reason(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{report_file}: no report of `batchgender evaluate --report` on labelled photos of two classes"
        ) from error


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python -m model_card MODEL.onnx REPORT.json OUT.md")
    try:
        write_card(*sys.argv[1:])
    except UserError as problem:
        sys.exit(str(problem))
