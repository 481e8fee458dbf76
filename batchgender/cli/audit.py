"""`batchgender audit`: labels that the model doubts, and pictures that stand in several places."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from batchgender.cli.options import check_json, print_text, quiet_option, write_json
from batchgender.errors import UserError
from batchgender.extras import require_extra
from batchgender.io import Notify
from batchgender.photos.labels import DEFAULT_NAMES

if TYPE_CHECKING:
    from batchgender.photos.source import PhotoSource

# As `results.formats.ENDINGS`, which is not imported here: --help must not wait for numpy.
_RESULTS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet", ".db")
# In a folder of Parquet parts.
_FIRST_PART = "part-00000.parquet"
_LISTS = (".csv", ".tsv", ".txt")


@click.command(short_help="Find doubtful labels and duplicate photos.")
@click.argument("given", nargs=-1, required=True, metavar="RESULTS_OR_PHOTOS...")
@click.option(
    "--photos",
    "places",
    multiple=True,
    metavar="PHOTOS",
    help="Where the photos of RESULTS are; several times.  [default: what the report beside RESULTS says]",
)
@click.option("--model", metavar="FILE", help="What classifies PHOTOS.  [default: as for classify]")
@click.option("--relabel-sheet", "sheet", metavar="FILE.csv", help="Write a sheet to fill in, which --labels takes.")
@click.option("--json", "json_file", metavar="FILE", callback=check_json, help="Write all that is found, too.")
@quiet_option
def audit(
    given: tuple[str, ...],
    places: tuple[str, ...],
    model: str | None,
    sheet: str | None,
    json_file: str | None,
    notify: Notify,
) -> None:
    """Find the labels that the model doubts, and the pictures that stand in several folders or splits.

    RESULTS is a results file of labelled photos; nothing is classified again. PHOTOS are classified first. No photo is
    moved or changed. Needs the extra batchgender[audit].

    \b
    Examples:
      batchgender audit labelled.csv
      batchgender audit labelled.csv --photos ./faces --relabel-sheet sheet.csv
      batchgender classify ./faces --labels sheet.csv --out relabelled.csv
    """
    results = given[0] if len(given) == 1 and _is_results(given[0]) else None
    if results and model:
        raise click.UsageError("--model is for PHOTOS; RESULTS are classified")
    if places and not results:
        raise click.UsageError("--photos is for RESULTS")
    require_extra("audit", "batchgender audit")
    from batchgender.audit.audit import audit as look_over
    from batchgender.audit.audit import run_facts
    from batchgender.audit.audit_text import audit_text
    from batchgender.audit.classified_photos import classified
    from batchgender.audit.relabel_sheet import check_relabel_sheet, write_relabel_sheet
    from batchgender.cli.photo_inputs import open_photos
    from batchgender.report.text import swapped_labels_notice
    from batchgender.results.answers import read_answers

    if sheet:
        check_relabel_sheet(sheet)
    if results:
        answers, facts = read_answers(results), run_facts(results)
        trained_on, source = facts.trained_on, None
        if places:
            source = open_photos(places, None, False, None, notify)
        elif facts.photos_from:
            source = _photos_of_report(results, facts.photos_from, notify)
        else:
            notify(f"{results}: no report beside it says where its photos are, so none is looked at; --photos says it")
    else:
        source = open_photos(given, None, False, DEFAULT_NAMES, notify)
        answers, trained_on = classified(source, model, notify)
    found = look_over(answers, source, trained_on, notify)
    print_text(audit_text(found))
    whole = found.accuracy["all"]
    if notice := swapped_labels_notice("the model", whole.accuracy, whole.photos):
        notify(notice)
    if sheet:
        count = write_relabel_sheet(sheet, found)
        notify(f"written: {sheet}, {count:,} photos; fill in the column new_label, and give the sheet as --labels")
    if json_file:
        write_json(json_file, found.as_dict(), notify)


def _is_results(given: str) -> bool:
    """Whether what is given are results, not photos."""
    return given.lower().endswith(_RESULTS) or os.path.exists(os.path.join(given, _FIRST_PART))


def _photos_of_report(results: str, places: Sequence[str], notify: Notify) -> "PhotoSource":
    """The photos of a run by what its report says; raises UserError where they are not there."""
    from batchgender.cli.photo_inputs import open_photos

    # A list of photos is named by its file.
    from_list = places[0] if len(places) == 1 and places[0].lower().endswith(_LISTS) else None
    try:
        return open_photos(() if from_list else places, from_list, False, None, notify)
    except UserError as error:
        raise UserError(
            f"{results}: its photos are not where its report says ({error}); say with --photos where they are now"
        ) from error
