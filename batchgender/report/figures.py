"""The figures of a report, typed: what rows come to, None where a figure has nothing to stand on."""

from dataclasses import asdict, dataclass
from typing import Any

from batchgender.model.metadata import ClassFigures, Interval, SplitFigures
from batchgender.report.details import Details

# Below so many pixels, shorter side, the answers to a face are less often right (docs/find-faces.md).
SMALL_FACE = 30
# Where a larger share of the faces is so small, the user is told.
SMALL_SHARE = 0.1


@dataclass(frozen=True)
class CoveragePoint:
    """Where answers below a confidence `threshold` are left out: the share answered, and the accuracy of these."""

    threshold: float
    coverage: float | None
    accuracy: float | None


@dataclass(frozen=True)
class AccuracyAtCoverage:
    """The most confident photos, `coverage` of all: the confidence of the last of them, and their accuracy."""

    coverage: float
    threshold: float
    accuracy: float


@dataclass(frozen=True)
class GroupClassFigures:
    """One class within a group."""

    count: int
    unsure: int
    recall: float | None
    recall_interval_95: Interval | None


@dataclass(frozen=True)
class GroupFigures:
    """One group of photos; `small` ones are left out of comparisons.

    Calibration error and coverage are as in `Figures`, over the group's photos.
    """

    count: int
    unsure: int
    small: bool
    accuracy: float | None
    accuracy_interval_95: Interval | None
    ece: float | None
    coverage: list[CoveragePoint]
    classes: dict[str, GroupClassFigures]


@dataclass(frozen=True)
class GroupingFigures:
    """All groups of one column of a groups file, and how far they lie apart."""

    groups: dict[str, GroupFigures]
    in_no_group: int
    accuracy_gap: float | None
    equalized_odds_difference: float | None


@dataclass(frozen=True)
class GroupsFigures:
    """The groupings of a groups file by column; groups below `smallest_group` photos are small."""

    file: str
    smallest_group: int
    columns: dict[str, GroupingFigures]


@dataclass(frozen=True)
class Figures:
    """What the rows of a run come to.

    `photos` are files, of which `no_face` show no face; `error_kinds` counts the unreadable
    ones by kind; where faces are looked for, `faces` are those classified,
    `small_faces` those below SMALL_FACE pixels, and the figures below count faces. `predictions` counts the rows with
    an answer. Of the labelled ones, accuracy, recall, precision and F1 are
    over those answered (readable, not Unsure); AUROC, calibration error and coverage over all readable ones.
    `details` are what a page draws.
    """

    photos: int
    unreadable: int
    error_kinds: dict[str, int]
    no_face: int
    faces: int
    small_faces: int
    predictions: dict[str, int]
    unlabelled: int
    labelled: int
    labelled_unreadable: int
    labelled_no_face: int
    evaluated: int
    unsure: int
    accuracy: float | None
    accuracy_interval_95: Interval | None
    balanced_accuracy: float | None
    recall_gap: float | None
    classes: dict[str, ClassFigures]
    confusion: dict[str, dict[str, int]]
    auroc: float | None
    ece: float | None
    ece_by_chance: float | None
    ece_uncalibrated: float | None
    accuracy_at_90: AccuracyAtCoverage | None
    coverage: list[CoveragePoint]
    groups: GroupsFigures | None
    details: Details

    @property
    def answered_share(self) -> float | None:
        """The coverage: the share of the labelled, readable photos that got a class, not Unsure."""
        return (self.evaluated - self.unsure) / self.evaluated if self.evaluated else None

    def split_figures(self) -> SplitFigures:
        """What a checkpoint and a model file carry of these."""
        shared = {key: getattr(self, key) for key in SplitFigures.__dataclass_fields__}
        return SplitFigures(**shared)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as the JSON report holds it."""
        data = asdict(self)
        # The report's own name for it, from 0.1.0 on.
        data["surest"] = data.pop("accuracy_at_90")
        return data
