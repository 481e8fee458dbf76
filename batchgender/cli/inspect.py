"""`batchgender inspect`: a model file's format, graph and metadata."""

import json

import click


@click.command(short_help="Print what a model file holds, and check it.")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known, as JSON.")
def inspect(model: str, as_json: bool) -> None:
    """Print a model file's format, graph and metadata, and whether classify takes it.

    MODEL is a file, `packaged`, or hf:OWNER/NAME of the Hugging Face Hub. An ONNX file of batchgender runs its
    self-check: exit 1 where its answers to the pictures in it are not those stored with them.

    \b
    Examples:
      batchgender inspect packaged
      batchgender inspect exports/batchgender.onnx --json
    """
    from batchgender.model.inspection import inspect_model_file, inspection_text

    found = inspect_model_file(model)
    if found is None:
        from batchgender.extras import require_extra

        require_extra("train", f"{model}: a checkpoint, and reading one")
        from batchgender.training.checkpoint import describe

        found = describe(model)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else inspection_text(found))
