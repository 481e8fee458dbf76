"""`batchgender evaluate`: a model on labelled photos."""

import click

from batchgender.cli.options import foreign_options, notify, reading_options, say_thresholds


@click.command()
@click.argument("model")
@click.option("--data", metavar="SRC", help="As for train.  [default: myvision/gender-classification]")
@click.option("--split", type=click.Choice(["test", "val", "train", "all"]), default="test", show_default=True)
@click.option("--report", "report_file", metavar="FILE", help="Write the report too: .json or .html.")
@reading_options
@click.option("--flip", is_flag=True, help="Let a checkpoint look at the mirror image too.")
@foreign_options
def evaluate(
    model: str,
    data: str | None,
    split: str,
    report_file: str | None,
    threshold: float | None,
    groups: str | None,
    flip: bool,
    classes: list[str] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> None:
    """Measure a checkpoint or model file on labelled photos.

    \b
    Examples:
      batchgender evaluate runs/alexnet-seed/best.pt
      batchgender evaluate exports/batchgender.onnx --data ./photos --report report.json
      batchgender evaluate exports/batchgender.onnx --data ./photos --groups ages.csv
    """
    from batchgender.export.load_any_model import open_any
    from batchgender.model.thresholds import in_force
    from batchgender.report.counts import NOTE, as_text, check_report, write_report
    from batchgender.report.groups_csv import read_groups
    from batchgender.training.data.sources import DEFAULT_SOURCE, load_split
    from batchgender.training.evaluation import evaluate as measure

    if report_file:
        check_report(report_file)
    table = read_groups(groups) if groups else None
    predict, info = open_any(model, classes, mean, std, flip)
    thresholds = in_force(info.thresholds, threshold, info.classes)
    say_thresholds(info.thresholds, threshold)
    source = data or DEFAULT_SOURCE
    photos = load_split(source, split, notify)
    metrics = measure(
        predict,
        info.classes,
        photos,
        info.input_size,
        notify,
        thresholds=thresholds,
        temperature=info.temperature,
        bias=info.bias,
        groups=table,
    ).metrics()
    click.echo(f"{as_text(metrics)}\n\n{NOTE}")
    if report_file:
        about = {"model": model, "photos_from": [source], "split": split, "thresholds": thresholds}
        write_report(report_file, metrics, about)
        notify(f"written: {report_file}")
