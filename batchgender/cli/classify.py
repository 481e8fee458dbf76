"""`batchgender classify`: photos to a results file and a report."""

import os
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from batchgender.cli.classify_checks import check_options
from batchgender.cli.drawing import print_figures
from batchgender.cli.options import (
    csv_style_options,
    explain_option,
    face_options,
    foreign_options,
    inference_options,
    label_names_option,
    labels_option,
    model_option,
    no_nan,
    notify_thresholds,
    print_text,
    quiet_option,
    report_options,
    shard_option,
    verbose_option,
)
from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.labels import LabelNames

if TYPE_CHECKING:
    from batchgender.classify.face_choice import FaceOptions
    from batchgender.model.foreign_options import ForeignOptions
    from batchgender.photos.shard import Shard


@click.command(short_help="Classify photos into a CSV, one row a photo.")
@click.argument("photos", nargs=-1)
@click.option(
    "--from-list",
    metavar="FILE",
    help="In the place of PHOTOS: a text file with a path a line, - for stdin, or a CSV with a column path and, if it"
    " states labels, label.",
)
@click.option("-0", "--null", is_flag=True, help="In --from-list NUL ends each path, as `find -print0` writes them.")
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help=".csv, .csv.gz, .jsonl, .jsonl.gz, .parquet, .db (SQLite), or FOLDER/ for parts in Parquet, also at an address"
    " (s3://, gs://, az://); - streams CSV to stdout.  [required but for --dry-run]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be read and how long it takes here; write no results.")
@model_option
@click.option(
    "--report",
    "reports",
    metavar="FILE",
    multiple=True,
    help=".json or .html; may be given several times.  [default, with labels: NAME.report.json beside --out]",
)
@click.option("--no-labels", is_flag=True, help="Take no folder's name for a label, and no list's either.")
@click.option(
    "--fps",
    type=click.FloatRange(0, 1000, min_open=True),
    callback=no_nan,
    help="Read videos, too, and classify the faces in so many frames a second.  [default: videos are left out]",
)
@labels_option
@label_names_option
@face_options
@report_options
@explain_option
@inference_options
@click.option(
    "--measured-on",
    metavar="LABELLED",
    help="A results file of labelled photos of the same kind, made with the same model: estimate the shares of the"
    " classes, corrected by its mistakes, as the command prevalence does.",
)
@shard_option
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="ray, an extra: on the cores of a Ray cluster, in shards; every machine must see the photos under the same"
    " paths.",
)
@click.option("--ray-address", metavar="HOST:PORT", help="The cluster.  [default: this machine alone]")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace results and reports that are there.")
@click.option(
    "--update",
    is_flag=True,
    help="Do what is new or changed since the results that are there, keep the other rows, and drop those whose photos"
    " are gone.",
)
@click.option(
    "--retry-errors",
    is_flag=True,
    help="Do those photos again that could not be read; without --update or --resume these alone.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Go on when all is done, with photos that are added or changed, until Ctrl-C; needs --out FILE.db.",
)
@click.option(
    "--max-errors",
    metavar="SHARE",
    type=click.FloatRange(0, 1, max_open=True),
    callback=no_nan,
    help="Stop where more than this share of the photos, 0 to 1, can't be read; looked at from 100 photos on.",
)
@click.option(
    "--log-json",
    metavar="FILE",
    help="Append a JSON line a minute, and one at the beginning and the end: photos done, rate, errors, memory.",
)
@csv_style_options
@click.option(
    "--isolate/--no-isolate",
    default=None,
    help="Decode in processes of their own, so that a photo that crashes its decoder, hangs it or takes all memory is a"
    " row with an error.  [default: on Linux with --provider cpu]",
)
@click.option(
    "--time-limit",
    metavar="SECONDS",
    type=click.FloatRange(0, 86_400, min_open=True),
    callback=no_nan,
    help="What --isolate lets the decoding of a photo take on a core.  [default: 20]",
)
@click.option("--strict", is_flag=True, help="Exit with 3 where a photo could not be read.")
@foreign_options
@quiet_option
@verbose_option
@click.pass_context
def classify(
    ctx: click.Context,
    photos: tuple[str, ...],
    from_list: str | None,
    null: bool,
    out: str | None,
    dry_run: bool,
    model: str | None,
    reports: tuple[str, ...],
    no_labels: bool,
    fps: float | None,
    labels: str | None,
    label_names: LabelNames,
    faces: "FaceOptions",
    threshold: float | None,
    groups: str | None,
    no_thumbnails: bool,
    explained: tuple[str, ...],
    provider: str,
    workers: int | None,
    batch_size: int | None,
    measured_on: str | None,
    shard: "Shard | None",
    engine: str,
    ray_address: str | None,
    resume: bool,
    overwrite: bool,
    update: bool,
    retry_errors: bool,
    watch: bool,
    max_errors: float | None,
    log_json: str | None,
    csv_bom: bool,
    csv_safe: bool,
    isolate: bool | None,
    time_limit: float | None,
    strict: bool,
    foreign: "ForeignOptions",
    notify: Notify,
    verbose: bool,
) -> None:
    """Classify photos into a CSV, one row a photo.

    PHOTOS are folders, files, archives (.zip, .tar, .tar.gz), Parquet files, quoted patterns and addresses (s3://,
    gs://, az://, https://), any number of them, or one dataset: hf://datasets/USER/NAME, or a saved one. Where their
    faces are not cropped, each photo is cut to its largest face; --faces all classifies every face.

    Where folders, or the list, carry labels (female, male), a report of how many answers are right is printed and
    written, too.

    \b
    Examples:
      batchgender classify ./photos --out results.csv
      batchgender classify './albums/*/*.jpg' --out results.parquet
      find ./photos -name '*.jpg' -print0 | batchgender classify --from-list - -0 --out results.csv
      batchgender classify --from-list labels.csv --out results.csv
      batchgender classify s3://bucket/photos/ --out s3://bucket/results.csv
      batchgender classify ./photos --dry-run
      batchgender classify ./photos --out results.csv --update
      batchgender classify ./inbox --out results.db --watch
      batchgender classify ./photos --out results.csv --threshold 0.9
      batchgender classify ./photos --out results.csv --groups ages.csv --report report.html
      batchgender classify ./photos --out results.csv --model other.onnx \\
        --classes female,male --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    check_options(ctx)
    streaming = out == "-"
    if fps and faces.mode == "auto":
        faces = replace(faces, mode="largest")
    if streaming and sys.stdout is None:
        raise UserError("stdout is closed; give --out a file")
    from batchgender.cli.photo_inputs import open_photos
    from batchgender.photos.labels_file import read_labels

    # All that can be refused is refused before a model is opened.
    source = open_photos(photos, from_list, null, None if no_labels else label_names, notify, fps)
    stated = read_labels(labels, notify, label_names) if labels else None

    from batchgender.classify.run import check_reports, classify_photos
    from batchgender.classify.run_options import RunOptions
    from batchgender.classify.worker_processes import SECONDS
    from batchgender.cli.classify_notices import finished_lines
    from batchgender.photos.path_table import read_path_table
    from batchgender.report.files import check_endings
    from batchgender.results.csv_style import CsvStyle
    from batchgender.results.open_sink import open_sink
    from batchgender.results.output import GoingOn, local_alone, opened_output
    from batchgender.results.sinks import CsvStream
    from batchgender.results.update import Update

    watched = None
    if watch and out:
        from batchgender.classify.watch import check_watched, watch_folders
        from batchgender.results.watched_database import WatchedDatabase

        check_watched(source)
        watched = WatchedDatabase(out, retry_errors, notify)
    style, changes = CsvStyle(csv_bom, csv_safe), Update(update, retry_errors)
    if dry_run:
        # Nothing goes to an address.
        out, reports = local_alone(out, reports)
    check_endings(reports)
    to_file = "" if streaming or out is None or watched else out
    output = ctx.with_resource(opened_output(to_file, reports, GoingOn(resume, overwrite, changes, True), notify))
    if output.uploads_alone:
        notify(f"finished before; uploaded: {', '.join(output.upload())}")
        return
    # A dry run, and a watch, write nothing to a stream.
    sink = open_sink(output.out, resume, overwrite, style, notify, changes) if to_file else CsvStream(sys.stdout, style)
    table = read_path_table(groups) if groups else None
    measured = None
    if measured_on:
        from batchgender.results.answers import read_answers
        from batchgender.results.fetched import fetched

        measured = read_answers(*ctx.with_resource(fetched([measured_on], notify)))
    options = RunOptions(
        threshold,
        faces,
        table,
        output.reports,
        verbose,
        isolate,
        time_limit or SECONDS,
        not no_thumbnails,
        measured=measured,
        max_errors=max_errors,
        log=log_json,
    )
    check_reports(sink, options)

    from batchgender.classify.pipeline import BATCH, load_classifier
    from batchgender.model.open_model import notify_default_model

    classifier = load_classifier(
        model, provider=provider, workers=workers, batch_size=batch_size or BATCH, notify=notify, **vars(foreign)
    )
    if explained:
        from batchgender.explanation.heat_maps import heat_maps
        from batchgender.explanation.open_explained import method_for

        methods = [method_for(classifier, name) for name in dict.fromkeys(explained)]
        options = replace(options, explain=partial(heat_maps, methods))
    classes = classifier.info.classes
    label_names.check_classes(classes)
    if measured:
        from batchgender.report.prevalence import labelled_as

        labelled_as(measured, classes, "the model")
    label_of: dict[str, str] = {}
    if stated:
        stated.check_classes(classes, "the model")
        label_of = stated.labels_of(lambda: (photo.path for photo in source), classes, notify)
        source.state_labels(label_of)
    if shard:
        # After the labels, which are joined with all photos, as by one run.
        source.take_shard(shard)
    notify_default_model(model, classifier.model, notify)
    notify_thresholds(classifier.info.thresholds, threshold, notify)
    if dry_run:
        from batchgender.classify import dry_run as dry

        print_text(dry.dry_run_text(dry.dry_run(classifier, source, faces, notify)))
        return
    if watched:
        watch_folders(classifier, source, watched, options, notify)
    if engine == "ray":
        from batchgender.classify.ray_actors import RayJob
        from batchgender.classify.ray_engine import RayOptions, classify_on_ray

        job = RayJob(
            os.getcwd(),
            partial(load_classifier, model, provider="cpu", workers=1, batch_size=batch_size or BATCH, **vars(foreign)),
            partial(open_photos, photos, from_list, null, None if no_labels else label_names, fps=fps),
            label_of,
            RunOptions(threshold, isolate=isolate, seconds=time_limit or SECONDS),
        )
        where = RayOptions(output.out, ray_address, workers, resume, overwrite, style)
        finished = classify_on_ray(job, classifier, source, options, where, notify)
    else:
        finished = classify_photos(classifier, source, sink, options, notify)
    figures = finished.figures
    print_figures(figures, err=streaming)
    if finished.prevalence:
        from batchgender.report.prevalence_text import prevalence_text

        print_text(f"\n{prevalence_text(finished.prevalence)}")
    for line in finished_lines(ctx, finished, source, output.upload(finished.reports)):
        notify(line)
    if strict and (figures.unreadable or finished.unlistable):
        ctx.exit(3)
