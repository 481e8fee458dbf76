"""`batchgender prevalence`: how many women and men, corrected by the model's mistakes."""

import click

from batchgender.cli.options import check_json, print_text, quiet_option, write_json
from batchgender.io import Notify


@click.command(short_help="Estimate the shares of the classes, corrected by mistakes.")
@click.argument("results")
@click.option(
    "--measured-on",
    required=True,
    metavar="LABELLED",
    help="A results file of labelled photos of the same kind, made with the same model.",
)
@click.option("--json", "json_file", metavar="FILE", callback=check_json, help="Write the figures, too.")
@quiet_option
@click.pass_context
def prevalence(ctx: click.Context, results: str, measured_on: str, json_file: str | None, notify: Notify) -> None:
    """Estimate how many photos of each class there are, corrected by the mistakes measured on labelled photos.

    A count of predictions is wrong by the model's mistakes: of few women and many men, more men are taken for women
    than the other way round. RESULTS and LABELLED are results files of one model.

    \b
    Example:
      batchgender prevalence results.csv --measured-on labelled.csv
    """
    from batchgender.report.prevalence import estimate_prevalence
    from batchgender.report.prevalence_text import prevalence_text
    from batchgender.report.statistics import share
    from batchgender.report.text import swapped_labels_notice
    from batchgender.results.answers import read_answers
    from batchgender.results.fetched import fetched

    results, measured_on = ctx.with_resource(fetched([results, measured_on], notify))
    measured = read_answers(measured_on)
    found = estimate_prevalence(read_answers(results), measured)
    print_text(prevalence_text(found))
    labelled = measured.labelled()
    accuracy = share(int((labelled.predictions == labelled.labels).sum()), len(labelled) - labelled.unsure)
    if notice := swapped_labels_notice("the model", accuracy, len(labelled) - labelled.unsure):
        notify(notice)
    if json_file:
        write_json(json_file, found.as_dict(), notify)
