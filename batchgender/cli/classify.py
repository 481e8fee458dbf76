"""`batchgender classify`: photos to a results file and a report."""

import sys

import click

from batchgender.cli.options import computing_options, foreign_options, notify, reading_options, say_thresholds
from batchgender.errors import UserError


@click.command()
@click.argument("photos", nargs=-1, required=True)
@click.option("--out", required=True, metavar="FILE", help=".csv, .jsonl or .parquet; - streams CSV to stdout.")
@click.option("--model", metavar="FILE", help="ONNX model.  [default: exports/batchgender.onnx, else the packaged one]")
@click.option(
    "--report",
    "report_file",
    metavar="FILE",
    help=".json or .html.  [default: NAME.report.json beside --out]",
)
@reading_options
@computing_options
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
@click.option("--strict", is_flag=True, help="Exit with 3 where a photo could not be read.")
@foreign_options
@click.pass_context
def classify(
    ctx: click.Context,
    photos: tuple[str, ...],
    out: str,
    model: str | None,
    report_file: str | None,
    threshold: float | None,
    groups: str | None,
    provider: str,
    workers: int | None,
    batch_size: int | None,
    resume: bool,
    overwrite: bool,
    strict: bool,
    classes: list[str] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> None:
    """Classify photos into a CSV, one row a photo.

    PHOTOS are folders, files and patterns, any number of them.

    Where the folders carry the labels (female/, male/), the accuracy report is printed and written too.

    \b
    Examples:
      batchgender classify ./photos --out results.csv
      batchgender classify ./photos --out results.csv --threshold 0.9
      batchgender classify ./photos --out results.csv --groups ages.csv
      batchgender classify ./photos --out results.csv --model other.onnx \\
        --classes female,male --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    from batchgender.classify.pipeline import BATCH, load_classifier
    from batchgender.classify.run import run
    from batchgender.report.counts import NOTE, as_text, check_report
    from batchgender.report.groups_csv import read_groups
    from batchgender.results.results_file import check_output

    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    streaming = out == "-"
    if streaming and (resume or overwrite):
        raise click.UsageError("--out - can't be resumed or overwritten")
    if streaming and sys.stdout is None:
        raise UserError("stdout is closed; give --out a file")
    # Before the model is opened: a name that can't be is answered at once.
    if report_file:
        check_report(report_file)
    if not streaming:
        check_output(out)
    table = read_groups(groups) if groups else None
    classifier = load_classifier(
        model, classes, mean, std, workers=workers, batch_size=batch_size or BATCH, notify=notify
    )
    notify(f"model: {classifier.model.file}")
    say_thresholds(classifier.info.thresholds, threshold)
    finished = run(
        classifier,
        photos,
        sys.stdout if streaming else out,
        notify,
        threshold=threshold,
        groups=table,
        report_file=report_file,
        resume=resume,
        overwrite=overwrite,
        provider=provider,
    )
    report = finished.report
    if report.labelled:
        click.echo(f"{as_text(report.metrics())}\n\n{NOTE}", err=streaming)
    elif groups:
        notify(f"{groups}: no figures, for no photo's folder carries a label")
    written = [name for name in (None if streaming else out, finished.report_file) if name]
    if written:
        notify(f"written: {', '.join(written)}")
    if finished.skipped:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(finished.skipped.items()))
        notify(f"left out as no photos: {kinds}")
    if report.unreadable:
        notify(f"{report.unreadable:,} of {report.photos:,} photos could not be read: see the column error")
    if strict and (report.unreadable or finished.unlistable):
        ctx.exit(3)
