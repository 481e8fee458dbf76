"""`batchgender ui`: a page in the browser to classify photos with."""

import os
from typing import TYPE_CHECKING

import click

from batchgender.cli.options import foreign_options, model_option, quiet_option
from batchgender.errors import UserError
from batchgender.extras import require_extra
from batchgender.io import Notify

if TYPE_CHECKING:
    from batchgender.model.foreign_options import ForeignOptions


@click.command(short_help="Classify photos on a page in the browser.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to serve on; 0.0.0.0: all of this machine, so that others can use the page.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="The port; 0: one that is free."
)
@model_option
@click.option(
    "--detector",
    metavar="FILE",
    help="YuNet's ONNX file.  [default: BATCHGENDER_DETECTOR, else the one that `fetch-detector` gets, fetched now]",
)
@click.option(
    "--max-photos", type=click.IntRange(1, 100_000), default=500, show_default=True, help="Photos taken at once."
)
@click.option(
    "--max-megabytes",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="MB taken at once, packed and unpacked.",
)
@click.option(
    "--max-megapixels", type=click.IntRange(1, 200), default=64, show_default=True, help="Megapixels of one photo."
)
@click.option("--workers", type=click.IntRange(1), help="Cores to use.  [default: all]")
@foreign_options
@quiet_option
def ui(
    host: str,
    port: int,
    model: str | None,
    detector: str | None,
    max_photos: int,
    max_megabytes: int,
    max_megapixels: int,
    workers: int | None,
    foreign: "ForeignOptions",
    notify: Notify,
) -> None:
    """Classify photos on a page in the browser: drop photos, a folder or a zip, get answers, a CSV and a report.

    Needs the extra batchgender[ui]. The page is served to this machine alone, asks nothing of any other, and keeps
    nothing: what was uploaded is deleted when the page is closed, and when the program ends.

    \b
    Examples:
      batchgender ui
      batchgender ui --port 8000 --max-photos 2000
    """
    require_extra("ui", "batchgender ui")
    from batchgender.ui.server import bound, serve

    with bound(host, port) as listening:
        from batchgender.classify.pipeline import load_classifier
        from batchgender.explanation.open_explained import possible_methods
        from batchgender.faces.detector_file import VARIABLE, find_detector
        from batchgender.model.open_model import notify_default_model
        from batchgender.ui.uploads import Limits

        classifier = load_classifier(model, workers=workers, notify=notify, **vars(foreign))
        notify_default_model(model, classifier.model, notify)
        limits = Limits(max_photos, max_megabytes, max_megapixels)
        methods = possible_methods(classifier.model)
        try:
            found: str | None = find_detector(detector, notify)
        except UserError as error:
            if detector or os.environ.get(VARIABLE):
                raise
            notify(f"photos are classified whole: {error}")
            found = None
        serve(listening, classifier, methods, limits, found, notify)
