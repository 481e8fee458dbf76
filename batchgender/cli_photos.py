"""The commands around photos: they parse, call and print."""

import json
import sys
from typing import Any

import click

from batchgender.cli_options import computing_options, foreign_options, reading_options, say, say_thresholds
from batchgender.errors import UserError, os_reason


def _write_json(file: str, figures: dict[str, Any]) -> None:
    try:
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(figures, stream, indent=2, ensure_ascii=False)
    except OSError as error:
        raise UserError(f"{file}: can't write ({os_reason(error)})") from None
    say(f"written: {file}")


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
    from batchgender.classify import BATCH, load_classifier
    from batchgender.group_file import read_groups
    from batchgender.report import NOTE, as_text, check_report
    from batchgender.results import check_output
    from batchgender.run import run

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
    classifier = load_classifier(model, classes, mean, std, workers=workers, batch_size=batch_size or BATCH, say=say)
    say(f"model: {classifier.model.file}")
    say_thresholds(classifier.info.thresholds, threshold)
    finished = run(
        classifier,
        photos,
        sys.stdout if streaming else out,
        say,
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
        say(f"{groups}: no figures, for no photo's folder carries a label")
    written = [name for name in (None if streaming else out, finished.report_file) if name]
    if written:
        say(f"written: {', '.join(written)}")
    if finished.skipped:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(finished.skipped.items()))
        say(f"left out as no photos: {kinds}")
    if report.unreadable:
        say(f"{report.unreadable:,} of {report.photos:,} photos could not be read: see the column error")
    if strict and (report.unreadable or finished.unlistable):
        ctx.exit(3)


@click.command()
@click.argument("photos", nargs=-1)
@click.option(
    "--model", "models", metavar="FILE", multiple=True, help="May be given several times.  [default: classify's]"
)
@click.option("--workers", type=click.IntRange(1), help="Cores to use.  [default: all there are]")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures too.")
def bench(photos: tuple[str, ...], models: tuple[str, ...], workers: int | None, json_file: str | None) -> None:
    """Measure how fast this machine classifies, on each provider and batch size.

    PHOTOS are folders, files and patterns; with none, portraits are drawn. The bound is what a core would do that
    decodes, then infers, and nothing else.

    \b
    Examples:
      batchgender bench
      batchgender bench ./photos --model exports/batchgender.onnx --model small.onnx --json bench.json
    """
    from batchgender.bench import as_text
    from batchgender.bench import bench as measure

    found = measure(photos, models or (None,), workers, say)
    click.echo(as_text(found))
    if json_file:
        _write_json(json_file, found.as_dict())


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures too.")
@click.option("--max-flips", type=click.IntRange(0), help="Exit with 1 where more predictions changed.")
def compare(first: str, second: str, json_file: str | None, max_flips: int | None) -> None:
    """Compare two results files of the same photos, as before and after a change of model.

    Prints which predictions changed, whether accuracy did where the photos have labels (McNemar's test), and the
    photos that were right and are wrong.

    \b
    Example:
      batchgender compare before.csv after.csv --max-flips 20
    """
    from batchgender.compare import as_text
    from batchgender.compare import compare as hold

    found = hold(first, second)
    click.echo(as_text(found))
    if json_file:
        _write_json(json_file, found.as_dict())
    if max_flips is not None and found.flipped > max_flips:
        raise UserError(f"{found.flipped:,} predictions changed, more than the {max_flips:,} of --max-flips")


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known, as JSON.")
def inspect(model: str, as_json: bool) -> None:
    """Print what a model file is and says of itself, and whether classify takes it.

    An ONNX file is asked for its answers to the pictures in it: exit 1 where they are not those that it promises.

    \b
    Examples:
      batchgender inspect exports/batchgender.onnx
      batchgender inspect exports/batchgender.onnx --json
    """
    from batchgender.inspection import as_text, describe

    found = describe(model)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else as_text(found))
