"""The model card of the default model, from its file's metadata and what `evaluate` measured (Mitchell et al. 2019)."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from card_text import SOURCES, data_text, limits_text

from batchgender.errors import UserError, os_reason
from batchgender.io import bounds, percent, written_whole
from batchgender.model.inspection import read_metadata
from batchgender.model.metadata import ModelInfo, SplitFigures
from batchgender.publish.card import PURPOSE, calibration_text, markdown_table, recipe_table

# The confidence whose answers are looked at in each group.
_SURE = 0.9


def card(
    info: ModelInfo, report: Mapping[str, Any], size: int, trained: Sequence[str], tested: Sequence[str] = ()
) -> str:
    """The card as Markdown.

    `report` is the JSON that `evaluate` wrote, `size` the model file's in bytes; `trained` and `tested` are keys of
    SOURCES, `tested` the same as `trained` where it is empty.
    """
    recipe = info.recipe
    parts = [
        "# Model card: the default model of batchgender",
        f"{info.architecture} from random weights, {info.precision}, {size / 2**20:.1f} MiB, {info.input_size} pixels,"
        f" classes {' and '.join(info.classes)}. Made {info.created[:10]} by `make default-model` with batchgender"
        f" {info.package_version}.",
        PURPOSE,
        data_text(trained, tested or trained, report),
        "Beside the class the network learnt the ages in the names of UTKFace's photos, by a second output that is not"
        " in this file."
        if recipe.get("also_learn")
        else "",
        _figures(info, report),
        _groups(report.get("groups")),
        limits_text(trained, tested or trained),
        "## Recipe\n\n"
        f"The last training of `make default-model`: recipe `{recipe['name']}`, seed {recipe['seed']}; all of it:\n\n"
        + recipe_table(recipe),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _figures(info: ModelInfo, report: Mapping[str, Any]) -> str:
    most = report["surest"]
    rows = [
        ["accuracy", _share(report, "accuracy")],
        *([f"recall {name}", _share(report["classes"][name], "recall")] for name in info.classes),
        ["AUROC", f"{report['auroc']:.4f}"],
        ["calibration error (ECE, 15 bins)", f"{report['ece']:.4f}"],
    ]
    lines = [
        "## Figures",
        f"On the {report['labelled']:,} test photos, which decided nothing in its training; 95 % Wilson intervals.",
        markdown_table(["", f"this file ({info.precision})"], rows),
        f"Chance alone would give a perfectly calibrated model a calibration error of {report['ece_by_chance']:.4f} on"
        f" so many photos. Of the most confident {percent(most['coverage'])} of the photos (coverage) this file is"
        f" right on {percent(most['accuracy'])}.",
        _checkpoint(info.metrics) if info.metrics else "",
        *calibration_text(info),
        "Where answers below a confidence are left out (`classify --threshold`), coverage is the share answered:",
        markdown_table(
            ["confidence at least", "coverage", "accuracy"],
            [[f"{p['threshold']:.2f}", percent(p["coverage"]), percent(p["accuracy"])] for p in report["coverage"]],
        ),
    ]
    return "\n\n".join(line for line in lines if line)


def _checkpoint(measured: SplitFigures) -> str:
    recalls = ", ".join(f"recall {name} {percent(each.recall)}" for name, each in measured.classes.items())
    return (
        f"Its checkpoint (float32), on the {measured.labelled:,} photos that were the test split when it was trained:"
        f" accuracy {percent(measured.accuracy)}, {recalls}."
    )


def _groups(groups: Mapping[str, Any] | None) -> str:
    if not groups:
        return ""
    few = groups["smallest_group"]
    tables = [
        "## Groups",
        f"Groups of fewer than {few} photos (*) are left out of the gaps, and of the equalised-odds difference (the"
        f" largest difference of one class's recall between groups) recalls over fewer than {few} (n). ECE is the"
        f" calibration error; the last column has the accuracy of the answers that are at least {_SURE:.2f} sure, and"
        " the share of the photos that get one: what `classify --threshold` leaves.",
    ]
    for column, figures in groups["columns"].items():
        names = list(next(iter(figures["groups"].values()))["classes"])
        rows = [
            [
                name + (" *" if group["small"] else ""),
                f"{group['count']:,}",
                _share(group, "accuracy"),
                *(
                    f"{_share(group['classes'][each], 'recall')}, n {group['classes'][each]['count']:,}"
                    for each in names
                ),
                f"{group['ece']:.3f}",
                _sure(group["coverage"]),
            ]
            for name, group in figures["groups"].items()
        ]
        recalls = [f"recall {name}" for name in names]
        tables.append(markdown_table([column, "photos", "accuracy", *recalls, "ECE", f"at {_SURE:.2f}"], rows))
        if figures["accuracy_gap"] is not None:
            odds = figures["equalized_odds_difference"]
            tables.append(
                f"Largest gap in accuracy {100 * figures['accuracy_gap']:.1f} points"
                + (f", equalised-odds difference {odds:.3f}." if odds is not None else ".")
            )
    return "\n\n".join(tables)


def _sure(coverage: Sequence[Mapping[str, Any]]) -> str:
    at = next(point for point in coverage if point["threshold"] == _SURE)
    return "-" if at["accuracy"] is None else f"{percent(at['accuracy'])} of {percent(at['coverage'])}"


def _share(figures: Mapping[str, Any], key: str) -> str:
    interval = figures[f"{key}_interval_95"]
    return "-" if interval is None else f"{percent(figures[key])} ({bounds(interval)})"


def write_card(model: str, report_file: str, out: str, trained: Sequence[str], tested: Sequence[str] = ()) -> None:
    """Write the card of an ONNX model file; raises UserError where one of the files can't be read or written."""
    info = read_metadata(model)
    if info is None:
        raise UserError(f"{model}: not from batchgender, so it has no metadata for a card")
    try:
        report = json.loads(Path(report_file).read_text(encoding="utf-8"))
        text = card(info, report, os.path.getsize(model), trained, tested)
        with written_whole(out) as stream:
            stream.write(text)
    except OSError as error:
        raise UserError(f"{error.filename}: {os_reason(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{report_file}: no report of `batchgender evaluate --report` on labelled photos of two classes"
        ) from error


@click.command()
@click.argument("model")
@click.argument("report")
@click.argument("out")
@click.option(
    "--trained-on", "trained", type=click.Choice(list(SOURCES)), multiple=True, required=True, help="Several times."
)
@click.option(
    "--tested-on", "tested", type=click.Choice(list(SOURCES)), multiple=True, help="Several times.  [as --trained-on]"
)
def main(model: str, report: str, out: str, trained: tuple[str, ...], tested: tuple[str, ...]) -> None:
    """Write the card OUT of the ONNX file MODEL; REPORT is what `batchgender evaluate MODEL --report REPORT` wrote.

    With `evaluate --groups`, on a file that utkface_groups.py wrote, the card has the groups and the sources.
    """
    try:
        write_card(model, report, out, trained, tested)
    except UserError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
