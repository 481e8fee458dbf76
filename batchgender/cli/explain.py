"""`batchgender explain`: pictures of what speaks for and against each answer."""

from typing import TYPE_CHECKING

import click

from batchgender.cli.options import face_options, foreign_options, no_nan, print_text, quiet_option
from batchgender.errors import UserError
from batchgender.io import Notify

if TYPE_CHECKING:
    from batchgender.classify.face_choice import FaceOptions
    from batchgender.model.foreign_options import ForeignOptions


@click.command(short_help="Show what in a photo speaks for its class.")
@click.argument("photos", nargs=-1, required=True)
@click.option("-o", "--out", metavar="FOLDER", required=True, help="Gets a picture and a JSON for each answer.")
@click.option(
    "--method",
    # As `open_explained.METHODS`, which is not imported here: --help must not wait for onnxruntime.
    type=click.Choice(["grad-cam", "occlusion"]),
    default="occlusion",
    show_default=True,
    help="occlusion explains any ONNX file; grad-cam needs the extra batchgender[explain], and a convolutional network"
    " of ours.",
)
@click.option(
    "--model",
    metavar="FILE",
    help="ONNX model, checkpoint, `packaged`, or hf:OWNER/NAME of the Hugging Face Hub.  [default:"
    " exports/batchgender.onnx if there is one, else the packaged one]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    callback=no_nan,
    help="As for classify.  [default: the thresholds stored in the model]",
)
@face_options
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty.")
@foreign_options
@quiet_option
def explain(
    photos: tuple[str, ...],
    out: str,
    method: str,
    model: str | None,
    threshold: float | None,
    faces: "FaceOptions",
    overwrite: bool,
    foreign: "ForeignOptions",
    notify: Notify,
) -> None:
    """Show what in a photo speaks for its class, and what against it.

    PHOTOS are as for classify, and so is what is classified of them. Each answer becomes NAME.png, the photo and a heat
    map over it, and NAME.json, its figures. Prints the pictures' names.

    \b
    Examples:
      batchgender explain photo.jpg --out explained
      batchgender explain ./photos --out explained --method grad-cam
      batchgender explain group.jpg --out explained --faces all
      batchgender explain photo.jpg --out explained --model runs/alexnet_bn512-seed/best.pt
    """
    from batchgender.classify.face_choice import choose_faces
    from batchgender.classify.run import check_any
    from batchgender.explanation.explain import explanations
    from batchgender.explanation.files import ExplanationFiles, check_folder
    from batchgender.explanation.open_explained import open_explained
    from batchgender.model.open_model import notify_default_model
    from batchgender.photos.source import PhotoSource
    from batchgender.progress import Progress

    # All that can be refused is refused before a model is opened.
    source = PhotoSource(photos, notify)
    check_folder(out, overwrite)
    check_any(source)
    classifier, methods = open_explained(model, [method], foreign, notify)
    notify_default_model(model, classifier.model, notify)
    classifier = classifier.on_faces(choose_faces(classifier.info, source, faces, classifier.workers, notify))
    files = ExplanationFiles(out, classifier, source.inputs)
    written: list[str] = []
    failed = 0
    with Progress("explain", "answers", notify) as progress:
        for explanation in explanations(classifier, methods, source, threshold):
            row = explanation.row
            if row.error:
                notify(f"{row.path}: not explained: {row.error}")
                failed += 1
            else:
                written.append(str(files.write(explanation)))
            progress.update(1)
    if not written:
        raise UserError(
            f"none of the {failed:,} photos could be explained; `batchgender classify` gives each one's error"
        )
    print_text("\n".join(written))
    left = f"; {failed:,} photos not explained, see above" if failed else ""
    notify(f"{len(written):,} answers explained by {methods[0].title}; written: {out}{left}")
