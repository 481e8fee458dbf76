"""`batchgender evaluate`: a model on labelled photos."""

from typing import TYPE_CHECKING

import click

from batchgender.cli.options import foreign_options, label_names_option, notify_thresholds, quiet_option, report_options
from batchgender.io import Notify
from batchgender.photos.labels import LabelNames

if TYPE_CHECKING:
    from batchgender.model.foreign_options import ForeignOptions


@click.command(short_help="Measure a model on labelled photos.")
@click.argument("model")
@click.option("--data", metavar="SRC", help="As for train.  [default: myvision/gender-classification]")
@click.option("--split", type=click.Choice(["test", "val", "train", "all"]), default="test", show_default=True)
@click.option(
    "--report", "reports", metavar="FILE", multiple=True, help="Write the report, too: .json or .html; several times."
)
@label_names_option
@report_options
@click.option("--flip", is_flag=True, help="Average a checkpoint's answers over the photo and its mirror image.")
@click.option("--trust", is_flag=True, help="Open a TorchScript or torch.export file, which can run any code.")
@foreign_options
@quiet_option
def evaluate(
    model: str,
    data: str | None,
    split: str,
    reports: tuple[str, ...],
    label_names: LabelNames,
    threshold: float | None,
    groups: str | None,
    no_thumbnails: bool,
    flip: bool,
    trust: bool,
    foreign: "ForeignOptions",
    notify: Notify,
) -> None:
    """Measure a checkpoint or model file on labelled photos.

    MODEL is a file, or `packaged`. An ONNX file on folders or a list of photos needs no PyTorch.

    \b
    Examples:
      batchgender evaluate packaged --data ./faces
      batchgender evaluate runs/alexnet-seed/best.pt
      batchgender evaluate exports/batchgender.onnx --data ./faces --report report.json --groups ages.csv
    """
    from batchgender.export.load_any_model import load_any_model
    from batchgender.model.thresholds import in_force
    from batchgender.report.files import check_report, write_report
    from batchgender.report.groups_csv import read_groups
    from batchgender.report.text import NOTE, report_text, swapped_labels_notice
    from batchgender.training.data.open_source import DEFAULT_SOURCE, open_source
    from batchgender.training.evaluation import EvaluationOptions
    from batchgender.training.evaluation import evaluate as measure

    for report in reports:
        check_report(report)
    table = read_groups(groups) if groups else None
    loaded = load_any_model(model, foreign, flip, trust, notify)
    thresholds = in_force(loaded.info.thresholds, threshold, loaded.info.classes)
    notify_thresholds(loaded.info.thresholds, threshold, notify)
    source = open_source(data or DEFAULT_SOURCE, notify, label_names)
    photos = source.split(split)
    figures = measure(loaded.predict, loaded.info, photos, notify, EvaluationOptions(thresholds, table, loaded.size))
    click.echo(f"{report_text(figures)}\n\n{NOTE}")
    if notice := swapped_labels_notice("the model", figures.accuracy, figures.evaluated - figures.unsure):
        notify(notice)
    for report in reports:
        about = {"model": model, "photos_from": [source.name], "split": split, "thresholds": thresholds}
        write_report(report, figures, about, () if no_thumbnails else photos.as_photos())
        notify(f"written: {report}")
