"""`batchgender merge`: the parts of a run on many machines to one results file."""

import click

from batchgender.cli.drawing import print_figures
from batchgender.cli.options import csv_style_options, groups_option, quiet_option, thumbnails_option
from batchgender.io import Notify


@click.command(short_help="Merge the results of shards into one results file.")
@click.argument("parts", nargs=-1, required=True)
@click.option("-o", "--out", metavar="FILE", required=True, help="As for classify, but for a stream.")
@click.option(
    "--report",
    "reports",
    metavar="FILE",
    multiple=True,
    help=".json or .html; may be given several times.  [default, with labels: NAME.report.json beside --out]",
)
@groups_option
@click.option(
    "--photos",
    metavar="FOLDER",
    multiple=True,
    help="Where the photos are, as classify was given it: a page shows some of them. May be given several times.",
)
@thumbnails_option
@click.option("--allow-missing", is_flag=True, help="Merge though shards are missing.")
@click.option("--overwrite", is_flag=True, help="Replace results and reports that are there.")
@csv_style_options
@quiet_option
@click.pass_context
def merge(
    ctx: click.Context,
    parts: tuple[str, ...],
    out: str,
    reports: tuple[str, ...],
    groups: str | None,
    photos: tuple[str, ...],
    no_thumbnails: bool,
    allow_missing: bool,
    overwrite: bool,
    csv_bom: bool,
    csv_safe: bool,
    notify: Notify,
) -> None:
    """Merge results files into one: those of the shards of a run (classify --shard), or of photos that don't overlap.

    PARTS are results files, with the .shard.json beside each. Rows and report are those of one run over all photos,
    byte for byte. Refused are shards of another model, of other options, given twice or missing.

    \b
    Example:
      batchgender merge parts/*.csv --out results.csv
    """
    if (csv_bom or csv_safe) and not out.endswith((".csv", ".csv.gz")):
        raise click.UsageError(f"--csv-bom and --csv-safe are for a CSV; --out {out} is none")
    from batchgender.classify.merge_results import check_merge, merge_results
    from batchgender.lock import locked
    from batchgender.photos.path_table import read_path_table
    from batchgender.photos.source import PhotoSource
    from batchgender.report.files import check_endings
    from batchgender.results.csv_style import CsvStyle
    from batchgender.results.fetched import fetched
    from batchgender.results.output import GoingOn, opened_output
    from batchgender.results.parts import open_parts
    from batchgender.results.results_file import ResultsFile

    check_endings(reports)
    output = ctx.with_resource(opened_output(out, reports, GoingOn(overwrite=overwrite), notify))
    sink = ResultsFile(output.out, overwrite=overwrite, style=CsvStyle(csv_bom, csv_safe))
    table = read_path_table(groups) if groups else None
    source = PhotoSource(photos, notify) if photos and not no_thumbnails else None
    opened = open_parts(ctx.with_resource(fetched(parts, notify)), allow_missing, notify)
    files = check_merge(sink, output.reports)
    with locked([output.out, *files], notify):
        figures, written = merge_results(opened, sink, files, bool(reports), notify, table, source)
    print_figures(figures)
    notify(f"{figures.photos:,} photos of {len(parts):,} parts; written: {', '.join(output.upload(written))}")
