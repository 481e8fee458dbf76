"""Photos classified for an audit, where there is no results file of them."""

from contextlib import closing

from batchgender.classify.face_choice import FaceOptions, choose_faces
from batchgender.classify.pipeline import load_classifier
from batchgender.classify.run import check_any
from batchgender.io import Notify
from batchgender.photos.photo import printable
from batchgender.photos.source import PhotoSource
from batchgender.progress import Progress
from batchgender.results.answers import Answers, answers_of
from batchgender.results.rows import Row


def classified(source: PhotoSource, model: str | None, notify: Notify) -> tuple[Answers, str]:
    """The answers of a model to the photos of a source, as `classify` gives them, and the dataset that it is of.

    Raises UserError where there is no photo, and where the model can't be opened.
    """
    check_any(source)
    classifier = load_classifier(model, notify=notify)
    info = classifier.info
    classifier = classifier.on_faces(choose_faces(info, source, FaceOptions(), classifier.workers, notify)).for_photos(
        source
    )
    rows: list[Row] = []
    processes = classifier.worker_processes()
    with (
        Progress("classify", "photos", notify) as progress,
        closing(classifier.rows(source, processes=processes)) as all_,
    ):
        for row in all_:
            rows.append(row)
            progress.update(row.face is None or row.face.number == 1)
    return answers_of(rows, info.classes, ", ".join(map(printable, source.inputs))), info.dataset
