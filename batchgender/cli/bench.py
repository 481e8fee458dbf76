"""`batchgender bench`: how fast this machine classifies."""

import click

from batchgender.cli.options import notify, write_json


@click.command()
@click.argument("photos", nargs=-1)
@click.option(
    "--model", "models", metavar="FILE", multiple=True, help="May be given several times.  [default: classify's]"
)
@click.option("--workers", type=click.IntRange(1), help="Cores to use.  [default: all there are]")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures too.")
def bench(photos: tuple[str, ...], models: tuple[str, ...], workers: int | None, json_file: str | None) -> None:
    """Measure how fast this machine classifies, on each provider and batch size.

    PHOTOS are folders, files and patterns; with none, pictures are generated. The bound is what a core would do that
    decodes, then infers, and nothing else.

    \b
    Examples:
      batchgender bench
      batchgender bench ./photos --model exports/batchgender.onnx --model small.onnx --json bench.json
    """
    from batchgender.bench import as_text
    from batchgender.bench import bench as measure

    found = measure(photos, models or (None,), workers, notify)
    click.echo(as_text(found))
    if json_file:
        write_json(json_file, found.as_dict())
