"""`batchgender publish`: a model to the Hugging Face Hub, with its card."""

import click

from batchgender.cli.options import print_text, quiet_option
from batchgender.io import Notify


@click.command(short_help="Share a model on the Hugging Face Hub, with its card.")
@click.argument("model")
@click.argument("name", metavar="hf:OWNER/NAME")
@click.option("--private", is_flag=True, help="For you, or your organization, alone.")
@click.option("--checkpoint", metavar="FILE", help="The model's checkpoint, to be published, too: others may train on.")
@click.option("--dry-run", is_flag=True, help="Write the folder that would be uploaded, and upload nothing.")
@click.option("-o", "--out", metavar="FOLDER", help="Of --dry-run.  [default: publish/NAME]")
@quiet_option
def publish(
    model: str, name: str, private: bool, checkpoint: str | None, dry_run: bool, out: str | None, notify: Notify
) -> None:
    """Share a model on the Hugging Face Hub, with its card.

    MODEL is an ONNX file that `export` wrote, or `packaged`. It is uploaded as model.onnx, with a card made of its
    metadata: classes, figures on its test photos, recipe, dataset, licence, limits. The account is that of
    `hf auth login`, or of HF_TOKEN. Others classify with --model hf:OWNER/NAME.

    \b
    Examples:
      batchgender publish exports/batchgender.onnx hf:somebody/faces --dry-run
      batchgender publish exports/batchgender.onnx hf:somebody/faces --private
    """
    if out is not None and not dry_run:
        raise click.UsageError("--out is for --dry-run")
    from batchgender.publish.publication import prepare_publication, write_publication

    publication = prepare_publication(model, name, checkpoint, notify)
    if dry_run:
        folder = out or f"publish/{publication.name.repository.partition('/')[2]}"
        write_publication(publication, folder)
        print_text(folder)
        notify(f"written, and not uploaded: {', '.join(publication.files)}")
        return
    from batchgender.publish.upload import upload

    click.echo(upload(publication, private, notify))
