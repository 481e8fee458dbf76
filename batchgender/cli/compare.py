"""`batchgender compare`: two results files side by side."""

import click

from batchgender.cli.options import check_json, print_text, quiet_option, write_json
from batchgender.errors import UserError
from batchgender.io import Notify


@click.command(short_help="Compare two results files of the same photos.")
@click.argument("first")
@click.argument("second")
@click.option("--json", "json_file", metavar="FILE", callback=check_json, help="Write the figures, too.")
@click.option("--max-flips", type=click.IntRange(0), help="Exit with 1 where more predictions changed.")
@quiet_option
@click.pass_context
def compare(
    ctx: click.Context, first: str, second: str, json_file: str | None, max_flips: int | None, notify: Notify
) -> None:
    """Compare two results files of the same photos, as before and after a change of model.

    Prints which predictions changed, whether the accuracy changed where the photos have labels (McNemar's test), and
    the photos that were right and are wrong.

    \b
    Example:
      batchgender compare before.csv after.csv --max-flips 20
    """
    from batchgender.report.compare_results import compare_results, comparison_text
    from batchgender.results.fetched import fetched

    found = compare_results(*ctx.with_resource(fetched([first, second], notify)))
    print_text(comparison_text(found))
    if json_file:
        write_json(json_file, found.as_dict(), notify)
    if max_flips is not None and found.flipped > max_flips:
        raise UserError(f"{found.flipped:,} predictions changed, more than the {max_flips:,} of --max-flips")
