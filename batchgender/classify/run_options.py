"""What a run of `classify` does beside classifying."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchgender.classify.face_choice import WHOLE, FaceOptions
from batchgender.classify.pipeline import Classifier
from batchgender.classify.worker_processes import SECONDS
from batchgender.io import Notify
from batchgender.photos.path_table import PathTable
from batchgender.photos.photo import Photo
from batchgender.report.details import NotableRow
from batchgender.report.thumbnails import HeatMaps

if TYPE_CHECKING:
    from batchgender.results.answers import Answers

Explain = Callable[[Classifier, Sequence[NotableRow], Iterable[Photo], Notify], HeatMaps]


@dataclass(frozen=True)
class RunOptions:
    """What a run does beside classifying.

    `threshold` is as for `Classifier.classify`; `faces` says which faces are looked for; `groups` are reported on, too;
    `reports` are files to write, by default `NAME.report.json` beside a results file where photos carry labels; those
    that are pages show small pictures, `thumbnails`, of some of the photos. `verbose` has what computes the answers
    described, and each photo that can't be read named. `explain` makes heat maps of the mistakes for reports that are
    pages, of a classifier, the rows and the photos, read again. `measured` are answers to labelled photos, by whose
    mistakes the shares of the classes are corrected. `isolate` has photos answered in processes of their own, None
    where that can be; `seconds` is what the decoding of one photo may take there. A run of which a larger share than
    `max_errors` can't be read stops. `log` is a file that gets a JSON line a minute, see `RunLog`.
    """

    threshold: float | None = None
    faces: FaceOptions = WHOLE
    groups: PathTable | None = None
    reports: tuple[str, ...] = ()
    verbose: bool = False
    isolate: bool | None = None
    seconds: float = SECONDS
    thumbnails: bool = True
    explain: Explain | None = None
    measured: "Answers | None" = None
    max_errors: float | None = None
    log: str | None = None
