"""`batchgender inspect`: what a model file is and says of itself."""

import json

import click


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
    from batchgender.model.inspection import as_text, describe

    found = describe(model)
    if found is None:
        # Only a checkpoint needs torch to be read.
        from batchgender.training.checkpoint import describe as describe_checkpoint

        found = describe_checkpoint(model)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else as_text(found))
