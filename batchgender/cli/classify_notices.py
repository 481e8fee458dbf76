"""What `classify` says at its end, beside the figures: what was written, left out, unreadable, and what looks wrong."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import click

from batchgender.classify.run import FinishedRun
from batchgender.io import one_line
from batchgender.photos.labels import names_option
from batchgender.photos.source import PhotoSource, skipped_text
from batchgender.report.error_kinds import kinds_text
from batchgender.report.figures import SMALL_FACE, SMALL_SHARE
from batchgender.report.text import swapped_labels_notice


def finished_lines(
    ctx: click.Context, finished: FinishedRun, source: PhotoSource, written: Sequence[str]
) -> Iterator[str]:
    """The lines about a run that was made with the options of the command line, and has `written` these files."""
    given, figures = SimpleNamespace(**ctx.params), finished.figures
    if notice := swapped_labels_notice("the model", figures.accuracy, figures.evaluated - figures.unsure):
        yield notice
    if not figures.labelled and finished.folders and not given.no_labels and len(figures.classes) == 2:
        one, other = map(one_line, finished.folders)
        first, second = (names_option(*each) for each in zip(figures.classes, finished.folders, strict=True))
        yield (
            f"all photos lie in two folders, {one}/ and {other}/, and no folder is known as a label: if these are,"
            f" {first} {second}, or the other way round, says so"
        )
    if not figures.labelled and (given.groups or given.reports or given.label_names.given):
        yield "no photo carries a label: there are no figures on right and wrong answers"
    if finished.unknown_labels:
        yield (
            f"labels that are no class of the model, and count as none: {skipped_text(finished.unknown_labels)};"
            " --label-names says which class a name is"
        )
    done = figures.photos - finished.resumed - (finished.changes.kept if finished.changes else 0)
    rate = f"{done / finished.seconds:,.0f} photos/s"
    yield (
        f"{done:,} photos in {finished.seconds:,.1f} s, {rate}"
        + (f"; written: {', '.join(written)}" if written else "")
    )
    if finished.changes and (text := finished.changes.text()):
        yield text
    if given.shard and source.shard_walk:
        yield f"shard {given.shard}: {figures.photos:,} of {source.shard_walk.photos:,} photos"
    if finished.skipped:
        yield f"left out, not photos: {skipped_text(finished.skipped)}"
    if figures.unreadable:
        yield (
            f"{figures.unreadable:,} of {figures.photos:,} photos could not be read:"
            f" {kinds_text(figures.error_kinds)}; see the column error"
        )
    if figures.no_face:
        yield f"{figures.no_face:,} of {figures.photos:,} photos show no face: see the column error"
    if figures.small_faces > SMALL_SHARE * figures.faces:
        yield (
            f"{figures.small_faces:,} of {figures.faces:,} faces are below {SMALL_FACE} pixels: answers to such faces"
            " are less often right (docs/find-faces.md has the figures; --min-face leaves them out)"
        )
