"""`batchgender sort`: photos into folders by what is predicted of them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgender.cli.drawing import print_counts
from batchgender.cli.options import (
    face_options,
    foreign_options,
    inference_options,
    model_option,
    notify_thresholds,
    quiet_option,
    threshold_option,
    verbose_option,
)
from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.labels import DEFAULT_NAMES

if TYPE_CHECKING:
    from batchgender.classify.face_choice import FaceOptions
    from batchgender.classify.pipeline import Classifier
    from batchgender.model.foreign_options import ForeignOptions
    from batchgender.sorting.sort import Sorted

# What a results file has been decided by already; --threshold can decide anew.
_OF_CLASSIFYING = (
    *("model", "faces", "min_face", "align", "detector", "provider", "workers", "batch_size"),
    *("classes", "mean", "std", "output", "columns", "channels"),
)


@click.command(short_help="Put photos into folders by their predictions.")
@click.argument("photos", nargs=-1, required=True)
@click.option("--into", metavar="FOLDER", required=True, help="The folder for female/, male/ and so on.")
@click.option("--link", is_flag=True, help="Link instead of copying: hard links, or symbolic ones where none can be.")
@click.option("--move", is_flag=True, help="Move instead of copying.")
@click.option(
    "--results",
    metavar="FILE",
    help="Sort by the results that `classify` wrote of the same PHOTOS, and classify nothing.",
)
@model_option
@face_options
@threshold_option
@inference_options
@foreign_options
@quiet_option
@verbose_option
@click.pass_context
def sort(
    ctx: click.Context,
    photos: tuple[str, ...],
    into: str,
    link: bool,
    move: bool,
    results: str | None,
    model: str | None,
    faces: "FaceOptions",
    threshold: float | None,
    provider: str,
    workers: int | None,
    batch_size: int | None,
    foreign: "ForeignOptions",
    notify: Notify,
    verbose: bool,
) -> None:
    """Copy photos into a folder for each prediction: female/, male/, unsure/, no-face/ and unreadable/.

    PHOTOS are as for classify; those in archives, in datasets and at addresses can only be copied. Within the folder of
    its prediction a photo keeps its own folders. A photo of several faces goes where its largest face goes. The rows
    are written to INTO/results.csv. No file is replaced; a run that was stopped goes on when it is started again.

    A prediction is how a photo's subject would have been labelled, not a person's identity.

    \b
    Examples:
      batchgender sort ./photos --into ./sorted
      batchgender sort ./photos --into ./sorted --threshold 0.9 --link
      batchgender sort ./photos --results results.csv --into ./sorted
    """
    if link and move:
        raise click.UsageError("--link and --move exclude each other")
    if results is not None:
        for name in _OF_CLASSIFYING:
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} and --results exclude each other")
    from batchgender.cli.photo_inputs import open_photos

    source = open_photos(photos, None, False, DEFAULT_NAMES, notify, leave_out=into)
    if (link or move) and not source.of_files:
        raise UserError(
            f"--{'link' if link else 'move'} is for files in folders; photos in archives, in datasets and at addresses"
            " can be copied"
        )
    from batchgender.classify.run_options import RunOptions
    from batchgender.sorting.placing import COPY, LINK, MOVE
    from batchgender.sorting.sort import SortOptions, check_target, sort_photos, sorted_counts

    folder = Path(into)
    # All that can be refused is refused before a model is opened.
    check_target(folder, photos, ())
    classifier = None
    if results is None:
        classifier = _classifier(model, provider, workers, batch_size, foreign, threshold, notify)
        check_target(folder, photos, classifier.info.classes)
    how = LINK if link else MOVE if move else COPY
    run = RunOptions(threshold, faces, reports=(str(folder / "results.report.json"),), verbose=verbose)
    found = sort_photos(classifier, results, source, run, SortOptions(folder, how, verbose), notify)
    print_counts(sorted_counts(found, into))
    _notify_found(found, folder, how, results, notify)
    if found.failed:
        (reason, (_, first)), *others = found.failed.items()
        beside = f", and {len(others)} other reasons: -v names all" if others else ""
        raise UserError(
            f"{found.failures:,} photos stay where they are: {first}: {reason}{beside}; the others are in place"
        )


def _classifier(
    model: str | None,
    provider: str,
    workers: int | None,
    batch_size: int | None,
    foreign: "ForeignOptions",
    threshold: float | None,
    notify: Notify,
) -> "Classifier":
    from batchgender.classify.pipeline import BATCH, load_classifier
    from batchgender.model.open_model import notify_default_model
    from batchgender.sorting.decisions import check_class_folders

    classifier = load_classifier(
        model, provider=provider, workers=workers, batch_size=batch_size or BATCH, notify=notify, **vars(foreign)
    )
    check_class_folders(classifier.info.classes)
    notify_default_model(model, classifier.model, notify)
    notify_thresholds(classifier.info.thresholds, threshold, notify)
    return classifier


def _notify_found(found: "Sorted", into: Path, how: str, results: str | None, notify: Notify) -> None:
    from batchgender.photos.source import skipped_text

    done = {"copy": "copied", "link": "linked", "move": "moved"}[how]
    there = found.folders.total() - found.placed
    already = f", {there:,} were in place already" if there else ""
    files = [str(into / "results.csv"), *(found.run.reports if found.run else ())]
    notify(f"{found.placed:,} photos {done}{already}, in {found.seconds:,.1f} s; written: {', '.join(files)}")
    if found.symbolic:
        notify(f"{found.symbolic:,} links are symbolic, for no hard ones can be made: they end where a photo is moved")
    if found.run and found.run.skipped:
        notify(f"left out, not photos: {skipped_text(found.run.skipped)}")
    rows = results or "the results"
    if found.frames:
        notify(f"{found.frames:,} rows are of videos, which are not sorted")
    if found.gone:
        notify(f"{found.gone:,} photos of {rows} are gone")
    if found.newer:
        notify(
            f"{found.newer:,} photos are newer than {rows}: they may have changed, and went by the rows that are there"
        )
    if found.without_row:
        notify(f"{found.without_row:,} photos have no row in {rows}: they stay where they are")
