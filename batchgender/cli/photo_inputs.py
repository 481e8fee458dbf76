"""What `classify` is given: PHOTOS, a list of them, or a dataset, opened as one source."""

import os
from collections.abc import Sequence

import click

from batchgender.io import Notify, bytes_shown
from batchgender.photos.labels import LabelNames
from batchgender.photos.source import PhotoSource


def open_photos(
    photos: Sequence[str],
    from_list: str | None,
    null: bool,
    names: LabelNames | None,
    notify: Notify,
    fps: float | None = None,
    leave_out: str | None = None,
) -> PhotoSource:
    """The photos of a command line, and `fps` frames a second of its videos; `leave_out` is as for `PhotoSource`.

    Raises UsageError where nothing is given, or more than one kind, and UserError.
    """
    if null and from_list is None:
        raise click.UsageError("-0 is for --from-list")
    if from_list is not None:
        if photos:
            raise click.UsageError("PHOTOS and --from-list exclude each other; add the photos to the list")
        from batchgender.photos.places.path_list import open_path_list

        return PhotoSource([], notify, names, fps, [open_path_list(from_list, notify, null)])
    if not photos:
        raise click.UsageError("Missing argument 'PHOTOS...', or --from-list FILE.")
    return _dataset(photos, names, notify) or PhotoSource(photos, notify, names, fps, leave_out=leave_out)


def _dataset(photos: Sequence[str], names: LabelNames | None, notify: Notify) -> PhotoSource | None:
    """The dataset that is given, if it is one."""
    from batchgender.training.data.open_dataset import is_dataset, open_rows

    found = [each for each in photos if is_dataset(each)]
    if not found:
        return None
    if len(photos) > 1:
        raise click.UsageError(f"{bytes_shown(found[0])}: a dataset; give it alone")
    from batchgender.photos.places.named import NamedPhotos

    origin = found[0] if found[0].startswith("hf://") else os.path.abspath(found[0])
    # Its labels are classes already.
    rows = NamedPhotos(open_rows(found[0], notify, names), found[0], origin, labels_are_classes=True)
    return PhotoSource([], notify, names, opened=[rows])
