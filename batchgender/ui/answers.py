"""The answers to what was dropped on the page: rows, which a threshold decides anew, and the files made of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from batchgender.classify.face_choice import FaceOptions, choose_faces
from batchgender.classify.pipeline import Classifier
from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.model.thresholds import decide
from batchgender.photos.photo import Photo
from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.report.files import write_report
from batchgender.results.rows import Row, RowLayout
from batchgender.results.sinks import CsvStream

CSV, REPORT = "results.csv", "report.html"


@dataclass(frozen=True)
class Answers:
    """Photos with their rows, in order; `classifier` gave them, faces and all."""

    classifier: Classifier
    photos: list[Photo]
    rows: list[Row]

    def decided(self, threshold: float | None) -> "Answers":
        """The same answers under another threshold, as `classify --threshold` would give them."""
        classes, thresholds = self.classifier.info.classes, self.classifier.thresholds(threshold)
        rows = [
            replace(row, prediction=decide(row.probabilities, classes, thresholds)) if row.probabilities else row
            for row in self.rows
        ]
        return replace(self, rows=rows)

    def by_photo(self) -> list[tuple[Photo, list[Row]]]:
        """Each photo with its rows."""
        rows = [list(group) for _, group in groupby(self.rows, lambda row: row.path)]
        return list(zip(self.photos, rows, strict=True))

    def figures(self) -> Figures:
        """What the rows come to."""
        info = self.classifier.info
        counts = RowCounts(info.classes, info.temperature, bias=info.bias)
        for row in self.rows:
            counts.add(row)
        return counts.figures()

    def write(self, folder: Path, threshold: float | None) -> tuple[Path, Path]:
        """Write the rows as CSV and the report into a folder; gives the two files."""
        faces = self.classifier.faces
        table, report = folder / CSV, folder / REPORT
        with open(table, "w", encoding="utf-8", newline="") as stream:
            sink = CsvStream(stream)
            layout = RowLayout(tuple(self.classifier.info.classes), bool(faces), bool(faces and faces.every))
            sink.begin(layout, {})
            sink.write(self.rows)
        info = self.classifier.info
        about = {
            "model": self.classifier.model.title,
            "photos_from": ["photos dropped on the page"],
            "thresholds": self.classifier.thresholds(threshold),
            **({"trained_on": info.dataset} if info.dataset else {}),
        }
        write_report(str(report), self.figures(), about, self.photos)
        return table, report


def classify_photos(
    classifier: Classifier,
    photos: list[Photo],
    faces: str,
    threshold: float | None,
    detector: str | None,
    done: Callable[[int], bool],
) -> Answers:
    """Classify photos; `faces` is as for `Classifier.classify`.

    `done` gets how many photos are done, and says whether to go on. Raises UserError.
    """
    options = FaceOptions(faces, detector)
    classifier = classifier.on_faces(choose_faces(classifier.info, None, options, classifier.workers, silent))
    rows: list[Row] = []
    finished = 0
    answers = classifier.rows(photos, threshold)
    try:
        for row in answers:
            finished += not rows or rows[-1].path != row.path
            rows.append(row)
            if not done(finished):
                raise UserError("stopped: the page was closed")
    finally:
        answers.close()
    return Answers(classifier, photos, rows)
