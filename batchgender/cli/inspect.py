"""`batchgender inspect`: what a model file is and states of itself."""

import json

import click


@click.command(short_help="Print what a model file is, and check it.")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known, as JSON.")
def inspect(model: str, as_json: bool) -> None:
    """Print what a model file is and states of itself, and whether classify takes it.

    MODEL is a file, or `packaged`. An ONNX file of ours runs its self-check, the pictures in it: exit 1 where its
    answers are not those that it states.

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
