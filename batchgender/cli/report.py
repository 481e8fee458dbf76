"""`batchgender report`: the report of a results file that is there."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgender.cli.drawing import print_figures
from batchgender.cli.options import (
    foreign_options,
    groups_option,
    label_names_option,
    labels_option,
    no_nan,
    quiet_option,
    thumbnails_option,
)
from batchgender.io import Notify
from batchgender.photos.labels import LabelNames

if TYPE_CHECKING:
    from batchgender.model.foreign_options import ForeignOptions


@click.command(short_help="Make the report of a results file.")
@click.argument("results")
@click.option(
    "--report",
    "reports",
    metavar="FILE",
    multiple=True,
    help=".json or .html; may be given several times.  [default, with labels: NAME.report.json beside RESULTS, if there"
    " is none]",
)
@click.option(
    "--photos",
    metavar="FOLDER",
    multiple=True,
    help="Where the photos are, as classify was given it: a page shows some of them. May be given several times.",
)
@click.option(
    "--model",
    metavar="FILE",
    help="The model that the rows are of: the report names it, its thresholds, what it was trained on, and the"
    " calibration error before its calibration.",
)
@labels_option
@label_names_option
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    callback=no_nan,
    help="Decide each row anew, Unsure below this confidence; 0: never.  [default: as the rows say]",
)
@groups_option
@thumbnails_option
@click.option("--overwrite", is_flag=True, help="Replace reports that are there.")
@foreign_options
@quiet_option
@click.pass_context
def report(
    ctx: click.Context,
    results: str,
    reports: tuple[str, ...],
    photos: tuple[str, ...],
    model: str | None,
    labels: str | None,
    label_names: LabelNames,
    threshold: float | None,
    groups: str | None,
    no_thumbnails: bool,
    overwrite: bool,
    foreign: "ForeignOptions",
    notify: Notify,
) -> None:
    """Make the report of a results file that classify wrote: print it, and write it as JSON or as a page.

    The figures are those of the run. --threshold and --labels ask what they would be with others: no photo is
    classified again, and RESULTS stays as it is.

    \b
    Examples:
      batchgender report results.csv
      batchgender report results.csv --report report.html --photos ./photos --model packaged
      batchgender report results.csv --threshold 0.9 --report at-90.json
    """
    if label_names.given and not labels:
        raise click.UsageError("--label-names is for --labels: rows have their labels already")
    if (given := foreign.given()) and not model:
        raise click.UsageError(f"{given[0]} is for --model")
    from batchgender.lock import locked
    from batchgender.photos.labels_file import read_labels
    from batchgender.photos.path_table import join_by_path, read_path_table
    from batchgender.photos.source import PhotoSource
    from batchgender.report.files import check_endings, check_report
    from batchgender.report.report_results import figures_of, known_of, write_reports
    from batchgender.report.text import swapped_labels_notice
    from batchgender.results.fetched import fetched
    from batchgender.results.formats import report_beside
    from batchgender.results.output import GoingOn, opened_output
    from batchgender.results.stored_rows import stored_rows

    check_endings(reports)
    output = ctx.with_resource(opened_output("", reports, GoingOn(overwrite=overwrite), notify))
    files = output.reports
    for file in files:
        check_report(file, overwrite)
    (local,) = ctx.with_resource(fetched([results], notify))
    source = PhotoSource(photos, notify) if photos else None
    table = read_path_table(groups) if groups else None
    stated = read_labels(labels, notify, label_names) if labels else None
    opened = None
    if model:
        from batchgender.model.open_model import open_model

        opened = open_model(model, foreign, notify=notify)
    rows = stored_rows(local, opened.info.classes if opened else ())
    label_of = None
    if stated:
        stated.check_classes(rows.layout.classes, "the results")
        label_of = stated.labels_of(rows.paths, rows.layout.classes, notify)
    joined = join_by_path(table, rows.paths, notify) if table else None
    known = known_of(rows, opened, source, threshold, notify)
    figures = figures_of(rows, known, threshold, label_of, joined)
    print_figures(figures)
    if notice := swapped_labels_notice("the model", figures.accuracy, figures.evaluated - figures.unsure):
        notify(notice)
    if not figures.labelled:
        notify("no photo carries a label: there are no figures on right and wrong answers")
    elif not files and local != results:
        notify("no report is written of results at an address; --report says where it goes")
    elif not files:
        beside = str(report_beside(Path(results)))
        if os.path.lexists(beside) and not overwrite:
            notify(f"{beside}: is there already, and stays as it is; --overwrite replaces it")
        else:
            check_report(beside)
            files = (beside,)
    with locked(files, notify):
        write_reports(files, figures, known, None if no_thumbnails else source, notify)
    if files:
        notify(f"written: {', '.join(output.upload(files))}")
