"""`batchgender evaluate`: a model on labelled photos."""

from typing import TYPE_CHECKING

import click

from batchgender.cli.drawing import print_figures
from batchgender.cli.options import (
    check_explained,
    explain_option,
    foreign_options,
    label_names_option,
    labels_option,
    notify_thresholds,
    quiet_option,
    report_options,
    verbose_option,
)
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
@labels_option
@label_names_option
@report_options
@explain_option
@click.option("--flip", is_flag=True, help="Average a checkpoint's answers over the photo and its mirror image.")
@click.option("--trust", is_flag=True, help="Open a TorchScript or torch.export file, which can run any code.")
@foreign_options
@quiet_option
@verbose_option
def evaluate(
    model: str,
    data: str | None,
    split: str,
    reports: tuple[str, ...],
    labels: str | None,
    label_names: LabelNames,
    threshold: float | None,
    groups: str | None,
    no_thumbnails: bool,
    explained: tuple[str, ...],
    flip: bool,
    trust: bool,
    foreign: "ForeignOptions",
    notify: Notify,
    verbose: bool,
) -> None:
    """Measure a checkpoint or model file on labelled photos.

    MODEL is a file, `packaged`, or hf:OWNER/NAME of the Hugging Face Hub. An ONNX file on folders or a list of photos
    needs no PyTorch.

    \b
    Examples:
      batchgender evaluate packaged --data ./faces
      batchgender evaluate runs/alexnet-seed/best.pt
      batchgender evaluate exports/batchgender.onnx --data ./faces --report report.json --groups ages.csv
    """
    check_explained(explained, reports, no_thumbnails)
    if explained and flip:
        raise click.UsageError("--explain and --flip exclude each other: the photo alone is explained")
    from batchgender.export.load_any_model import load_any_model
    from batchgender.model.thresholds import in_force
    from batchgender.photos.path_table import read_path_table
    from batchgender.report.files import check_report, write_report
    from batchgender.report.text import swapped_labels_notice
    from batchgender.training.data.open_source import DEFAULT_SOURCE, open_source
    from batchgender.training.evaluation import EvaluationOptions
    from batchgender.training.evaluation import evaluate as measure
    from batchgender.training.predictions import BATCH

    for report in reports:
        check_report(report)
    table = read_path_table(groups) if groups else None
    loaded = load_any_model(model, foreign, flip, trust, notify)
    if explained:
        from batchgender.explanation.heat_maps import heat_maps
        from batchgender.explanation.open_explained import open_explained

        classifier, methods = open_explained(model, list(dict.fromkeys(explained)), foreign, notify)
    thresholds = in_force(loaded.info.thresholds, threshold, loaded.info.classes)
    notify_thresholds(loaded.info.thresholds, threshold, notify)
    source = open_source(data or DEFAULT_SOURCE, notify, label_names, labels)
    photos = source.split(split)
    if verbose:
        notify(f"model: {model}: {loaded.info.architecture or 'of others'}, {loaded.info.input_size} pixels")
        notify(f"computed by {loaded.computed_by}, batches of up to {BATCH} photos")
        notify(f"photos: {len(photos):,} of {source.name}, split {split}")
    figures = measure(
        loaded.predict, loaded.info, photos, notify, EvaluationOptions(thresholds, table, loaded.size, verbose)
    )
    print_figures(figures)
    if notice := swapped_labels_notice("the model", figures.accuracy, figures.evaluated - figures.unsure):
        notify(notice)
    maps = None
    if explained and figures.details.mistakes:
        maps = heat_maps(methods, classifier, figures.details.mistakes, photos.as_photos(), notify)
    for report in reports:
        about = {"model": model, "photos_from": [source.name], "split": split, "thresholds": thresholds}
        write_report(report, figures, about, () if no_thumbnails else photos.as_photos(), maps)
        notify(f"written: {report}")
