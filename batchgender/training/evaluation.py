"""A model's figures on labelled photos: the same rows and the same report as `classify` gives. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchgender.io import Notify
from batchgender.model.agreement import Predict
from batchgender.model.metadata import ModelInfo
from batchgender.photos.path_table import PathTable, join_by_path
from batchgender.photos.photo import printable
from batchgender.photos.resize import Size
from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.results.rows import Row, make_row
from batchgender.training.data.batches import Batches
from batchgender.training.data.labelled_photos import LabelledPhotos, check_classes
from batchgender.training.predictions import BATCH, iterate_predictions


@dataclass(frozen=True)
class EvaluationOptions:
    """How predictions are made and counted: `thresholds` by class, as in `classify`, and groups to report on.

    `size` is that of the photos that the model takes, by default its metadata's `input_size`; with `verbose` photos
    that can't be read are named.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    groups: PathTable | None = None
    size: Size | None = None
    verbose: bool = False


def evaluate(
    predict: Predict,
    info: ModelInfo,
    photos: LabelledPhotos,
    notify: Notify,
    options: EvaluationOptions = EvaluationOptions(),
) -> Figures:
    """Predict every photo and count; raises UserError where the photos have a class that the model has not.

    `info` is the metadata of the model behind `predict`: its classes, input size and calibration.
    """
    check_classes(photos, info.classes)
    # As a results CSV shows them: groups files are written with the same paths.
    names = [printable(name) for name in photos.names]
    groups = options.groups and join_by_path(options.groups, lambda: names, notify)
    counts = RowCounts(info.classes, info.temperature, groups, info.bias)
    batches = Batches(photos, options.size or info.input_size, BATCH, notify)
    for part in iterate_predictions(predict, batches, "evaluate", notify):
        for probabilities, label, index in zip(part.outputs, part.labels, part.indices, strict=True):
            counts.add(make_row(names[index], probabilities, info.classes, photos.classes[label], options.thresholds))
    labels = dict(zip(photos.names, photos.labels, strict=True))
    for name, error in batches.unreadable.items():
        counts.add(Row(printable(name), label=photos.classes[labels[name]], error=error))
        if options.verbose:
            notify(f"{printable(name)}: {error}")
    return counts.figures()
