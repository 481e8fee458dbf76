"""Heat maps of the mistakes, for a report's page, which shows them beside the photos."""

from collections.abc import Iterable, Sequence

from batchgender.classify.pipeline import Classifier
from batchgender.explanation.explain import explanations
from batchgender.explanation.open_explained import Method
from batchgender.explanation.picture import heat_map, sides
from batchgender.io import Notify
from batchgender.photos.photo import Photo
from batchgender.progress import Progress
from batchgender.report.details import NotableRow
from batchgender.report.thumbnails import HeatMaps, RowKey, jpeg, photos_at, row_key
from batchgender.results.rows import Row


def heat_maps(
    methods: Sequence[Method],
    classifier: Classifier,
    rows: Sequence[NotableRow],
    photos: Iterable[Photo],
    notify: Notify,
) -> HeatMaps:
    """A heat map by each method of each of these rows; one whose photo can't be read any more has none.

    `photos` are those of the run, read again, and looked through until all that are wanted are found.
    """
    pictures: dict[RowKey, list[bytes]] = {}
    keys = {row_key(row) for row in rows}
    places = {(row.path, row.time) for row in rows}
    with Progress("explain", "photos", notify, total=len(places)) as progress:
        for photo in photos_at(places, photos):
            for explanation in explanations(classifier, methods, [photo], wanted=lambda row: _key(row) in keys):
                if not explanation.row.error:
                    pictures.setdefault(_key(explanation.row), []).append(jpeg(heat_map(explanation)))
            progress.update(1)
    return HeatMaps([method.title for method in methods], *sides(classifier.info.classes, "the answer"), pictures)


def _key(row: Row) -> RowKey:
    return row.path, row.time, row.face.number if row.face else None
