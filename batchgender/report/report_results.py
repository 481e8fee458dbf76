"""The report of a results file that is there: the figures of its rows, and the files that show them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from batchgender.io import Notify
from batchgender.model.open_model import Model
from batchgender.model.thresholds import decide, described, in_force
from batchgender.photos.path_table import PathTable
from batchgender.photos.photo import Photo, printable
from batchgender.photos.source import PhotoSource
from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.report.files import is_page, write_report
from batchgender.report.thumbnails import is_pictured
from batchgender.results.stored_rows import StoredRows

# So many rows tell by which thresholds they were decided.
_TRIED = 10_000


@dataclass(frozen=True)
class Known:
    """What rows do not tell of their run: `about`, as the report has it, and the calibration of the model."""

    about: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    bias: Sequence[float] = ()


def known_of(
    rows: StoredRows, model: Model | None, source: PhotoSource | None, threshold: float | None, notify: Notify
) -> Known:
    """What is known of a run by its model and its photos, where these are given.

    `threshold` decides anew. Without it the rows tell whether they were decided by the thresholds that the model
    stores: where not, `notify` gets a line, and the report names none.
    """
    about: dict[str, Any] = {}
    if model:
        about["model"] = printable(model.title)
    if source:
        about["photos_from"] = [printable(each) for each in source.inputs]
    stored = model.info.thresholds if model else {}
    thresholds = in_force(stored, threshold, rows.layout.classes)
    if threshold is not None or (model and _were_decided_by(rows, thresholds, notify)):
        about["thresholds"] = thresholds
    if model is None:
        return Known(about)
    if model.info.dataset:
        about["trained_on"] = model.info.dataset
    return Known(about, model.info.temperature, model.info.bias)


def _were_decided_by(rows: StoredRows, thresholds: Mapping[str, float], notify: Notify) -> bool:
    classes = rows.layout.classes
    answered = (row for row in islice(rows, _TRIED) if row.probabilities)
    if all(decide(row.probabilities, classes, thresholds) == row.prediction for row in answered):
        return True
    of_model = f"the thresholds stored in the model ({described(thresholds)})" if thresholds else "no threshold"
    notify(
        f"{rows.file}: its predictions are not those of {of_model}, so the report names none; --threshold states the"
        " one of the run"
    )
    return False


def figures_of(
    rows: StoredRows,
    known: Known,
    threshold: float | None = None,
    labels: Mapping[str, str] | None = None,
    groups: PathTable | None = None,
) -> Figures:
    """Count the rows, as a run does; memory does not grow with their number.

    `threshold` decides each row anew; `labels` are classes by path, "" for none, in the place of those in the rows.
    """
    classes = rows.layout.classes
    counts = RowCounts(classes, known.temperature, groups, known.bias)
    thresholds = None if threshold is None else in_force({}, threshold, classes)
    for row in rows:
        if thresholds is not None and row.probabilities:
            row = replace(row, prediction=decide(row.probabilities, classes, thresholds))
        if labels and (label := labels.get(row.path)) is not None:
            row = replace(row, label=label)
        counts.add(row)
    return counts.figures()


def write_reports(
    files: Iterable[str], figures: Figures, known: Known, source: PhotoSource | None, notify: Notify
) -> None:
    """Write the reports; those that are pages show photos of `source`.

    `notify` gets a line where some are not there any more, or elsewhere. Raises UserError where one can't be written.
    """
    shown = {(row.path, row.time) for row in figures.details.notable() if is_pictured(row)}
    missing = set(shown)

    def noted(photos: Iterable[Photo]) -> Iterator[Photo]:
        for photo in photos:
            missing.discard((photo.path, photo.time))
            yield photo

    for file in files:
        if source and is_page(file):
            with closing(source.again()) as photos:
                write_report(file, figures, dict(known.about), noted(photos))
            if missing:
                path = printable(min(missing)[0])
                notify(
                    f"{file}: {len(missing):,} of the {len(shown):,} photos in it have no picture, for they are not in"
                    f" {', '.join(map(printable, source.inputs))} ({path!r}); give --photos what classify was given"
                )
        else:
            write_report(file, figures, dict(known.about))
