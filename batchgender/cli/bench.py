"""`batchgender bench`: how fast this machine classifies."""

import click

from batchgender.cli.options import check_json, print_text, quiet_option, write_json
from batchgender.io import Notify


@click.command(short_help="Measure how fast this machine classifies.")
@click.argument("photos", nargs=-1)
@click.option(
    "--model",
    "models",
    metavar="FILE",
    multiple=True,
    help="May be given several times; `packaged`, or hf:OWNER/NAME of the Hugging Face Hub.  [default: classify's]",
)
@click.option("--workers", type=click.IntRange(1), help="Cores to use.  [default: all]")
@click.option("--json", "json_file", metavar="FILE", callback=check_json, help="Write the figures, too.")
@quiet_option
def bench(
    photos: tuple[str, ...], models: tuple[str, ...], workers: int | None, json_file: str | None, notify: Notify
) -> None:
    """Measure how fast this machine classifies, on each execution provider and batch size.

    PHOTOS are folders, files and patterns; with none, pictures are generated. The bound is the speed of a core that
    decodes, then infers, and does nothing else.

    \b
    Examples:
      batchgender bench
      batchgender bench ./photos --model packaged --model exports/batchgender.onnx --json bench.json
    """
    from batchgender.bench import benchmark_text, run_benchmark

    found = run_benchmark(photos, models or (None,), workers, notify)
    print_text(benchmark_text(found))
    if json_file:
        write_json(json_file, found.as_dict(), notify)
