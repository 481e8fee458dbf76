"""How many photos of each class there are, corrected by the mistakes that were measured on labelled photos."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.metadata import Interval
from batchgender.results.answers import Answers

Shares = NDArray[np.float64]
_DRAWS = 2000
_SEED = 0
# The results are of another kind where their probabilities lie so far from those of the labelled photos (the largest
# distance of two distribution functions), and chance alone explains it this seldom.
_APART, _BY_CHANCE = 0.1, 0.01
# The smallest singular value of the confusion matrix: 1 where each answer is right, 0.2 with 60 % right in two classes.
_HARDLY_TOLD, _NOT_TOLD = 0.3, 1e-6
# The mistakes on fewer labelled photos of a class are mostly chance.
_FEW = 30


@dataclass(frozen=True)
class ClassPrevalence:
    """One class: how many answers name it, and their share; the corrected share, 0 to 1, with its 95 % interval.

    `unclipped` is the corrected share before it was held within 0 and 1.
    """

    counted: int
    naive: float | None
    corrected: float
    interval_95: Interval
    unclipped: float


@dataclass(frozen=True)
class Prevalence:
    """The shares of the classes among `photos` answers, `unsure` of them without a class.

    `left_out` can't be read or show no face, `measured_left_out` are the same among the labelled ones. `confusion` has
    for each label the shares of the answers. `distance` and `distance_by_chance` are of the two-sample test.
    `faces` says whether photos have several answers. `warnings` say where the figures can't be trusted.
    """

    results: str
    measured_on: str
    photos: int
    faces: bool
    unsure: int
    left_out: int
    measured_photos: int
    measured_left_out: int
    classes: dict[str, ClassPrevalence]
    confusion: dict[str, dict[str, float]]
    distance: float
    distance_by_chance: float
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"schema": 1, **asdict(self)}


def estimate_prevalence(results: Answers, measured: Answers) -> Prevalence:
    """The shares of the classes in `results`, by the confusion on the labelled photos of `measured`.

    The shares p solve C' p = q, C the shares of the answers by label, q those of the results (Rogan and Gladen 1978; of
    more classes Hopkins and King 2010), taken to the nearest shares from 0 to 1 that add up to 1. The interval is a
    percentile bootstrap (Efron 1979): of each of 2,000 draws, labelled photos are drawn anew within their classes, and
    the results, too. So it holds for photos of this kind; for these alone it is rather wide.

    The class of the largest probability is the answer here: Unsure ones count by it, whatever the thresholds. The same
    input gives the same interval. Raises UserError where there is nothing to estimate from.
    """
    if not len(results):
        raise UserError(f"{results.title}: no photo in it could be read, or shows a face")
    classes, count = results.classes, len(results.classes)
    measured_left_out, measured = len(measured.left_out), labelled_as(measured, classes, results.title)
    counts = np.bincount(results.probabilities.argmax(1), minlength=count)
    confusion = _confusion(measured)
    of_label = confusion.sum(1)
    shares = confusion / of_label[:, None]
    told = _told(shares)
    unclipped = _solved(shares, counts / len(results))
    corrected = nearest_shares(unclipped)
    drawn = _bootstrap(confusion, counts)
    low, high = np.quantile(nearest_shares(drawn), (0.025, 0.975), axis=0)
    distance, by_chance = _two_samples(results, measured, corrected)
    named = results.predictions[results.predictions >= 0]
    counted = np.bincount(named, minlength=count)
    found = {
        name: ClassPrevalence(
            counted=int(counted[at]),
            naive=float(counted[at] / len(named)) if len(named) else None,
            corrected=float(corrected[at]),
            interval_95=(float(low[at]), float(high[at])),
            unclipped=float(unclipped[at]),
        )
        for at, name in enumerate(classes)
    }
    return Prevalence(
        results=results.title,
        measured_on=measured.title,
        photos=len(results),
        faces=len(set(results.paths)) < len(results),
        unsure=results.unsure,
        left_out=len(results.left_out),
        measured_photos=len(measured),
        measured_left_out=measured_left_out,
        classes=found,
        confusion={name: dict(zip(classes, map(float, shares[at]), strict=True)) for at, name in enumerate(classes)},
        distance=distance,
        distance_by_chance=by_chance,
        warnings=[
            *_few(of_label, classes, measured.title),
            *_hardly_told(told),
            *_outside(unclipped, drawn, classes),
            *_of_another_kind(distance, by_chance),
        ],
    )


def nearest_shares(values: Shares) -> Shares:
    """The shares [..., k], 0 to 1 with the sum 1, that are nearest to values [..., k] (Michelot 1986)."""
    falling = -np.sort(-values, axis=-1)
    excess = (np.cumsum(falling, -1) - 1) / np.arange(1, values.shape[-1] + 1)
    last = (falling > excess).sum(-1, keepdims=True) - 1
    return np.maximum(values - np.take_along_axis(excess, last, -1), 0.0)


def labelled_as(measured: Answers, classes: list[str], results: str) -> Answers:
    """The measured answers to labelled photos, in the order of these classes, those of `results`.

    Raises UserError where shares of `results` can't be corrected by them.
    """
    places = {name.lower(): at for at, name in enumerate(measured.classes)}
    if places.keys() != {name.lower() for name in classes}:
        raise UserError(
            f"{measured.title}: its classes are {', '.join(measured.classes)}, those of {results} are"
            f" {', '.join(classes)}; measure with the model that made the results"
        )
    order = [places[name.lower()] for name in classes]
    inverse = np.argsort(order)
    found = Answers(
        measured.title,
        classes,
        measured.paths,
        measured.probabilities[:, order],
        np.where(measured.predictions < 0, -1, inverse[measured.predictions]),
        np.where(measured.labels < 0, -1, inverse[measured.labels]),
        measured.left_out,
    ).labelled()
    confusion = _confusion(found)
    of_label = confusion.sum(1)
    if not of_label.all():
        missing = classes[int(of_label.argmin())]
        raise UserError(f"{measured.title}: has no photo labelled {missing}, so its answers to such are not known")
    if _told(confusion / of_label[:, None]) < _NOT_TOLD:
        raise UserError(f"{measured.title}: the answers are the same whatever the label, so nothing can be corrected")
    return found


def _confusion(measured: Answers) -> NDArray[np.int64]:
    """How many photos of each label, a row, got each answer, a column."""
    confusion = np.zeros((len(measured.classes),) * 2, np.int64)
    np.add.at(confusion, (measured.labels, measured.probabilities.argmax(1)), 1)
    return confusion


def _told(confusion: Shares) -> float:
    """How well the answers tell the classes apart: the smallest singular value of the shares of the answers."""
    return float(np.linalg.svd(confusion, compute_uv=False)[-1])


def _solved(confusion: Shares, shares: Shares) -> Shares:
    """The p [..., k] of confusion' p = shares, for confusion [..., k, k]; the shortest where several are."""
    return (np.linalg.pinv(confusion.swapaxes(-1, -2)) @ shares[..., None])[..., 0]


def _bootstrap(confusion: NDArray[np.int64], counts: NDArray[np.int64]) -> Shares:
    """Draws [_DRAWS, k] of the shares, both samples drawn anew."""
    rng = np.random.default_rng(_SEED)
    drawn = np.empty((_DRAWS, *confusion.shape))
    for label, row in enumerate(confusion):
        # Half a photo more in each cell: where no mistake was seen, some may still be made.
        drawn[:, label] = rng.multinomial(row.sum(), (row + 0.5) / (row.sum() + len(row) / 2), _DRAWS) / row.sum()
    answers = rng.multinomial(counts.sum(), counts / counts.sum(), _DRAWS) / counts.sum()
    return _solved(drawn, answers)


def _two_samples(results: Answers, measured: Answers, shares: Shares) -> tuple[float, float]:
    """How far the probabilities of the results lie from those of the labelled photos, mixed as the results are.

    The largest distance of their distribution functions over all classes, and how often chance alone makes one as large
    (Kolmogorov and Smirnov; the labelled photos count as so many as have the variance of the mixture). The shares are
    fitted to the results, so chance makes it even more seldom.
    """
    count = len(results.classes)
    # Of two classes the second says the same as the first.
    columns = range(1 if count == 2 else count)
    distance = 0.0
    for column in columns:
        ours = np.sort(results.probabilities[:, column])
        theirs = [np.sort(measured.probabilities[measured.labels == label, column]) for label in range(count)]
        points = np.unique(np.concatenate([ours, *theirs]))
        mixed = sum(
            share * np.searchsorted(each, points, "right") / len(each)
            for share, each in zip(shares, theirs, strict=True)
        )
        apart = np.abs(np.searchsorted(ours, points, "right") / len(ours) - mixed)
        distance = max(distance, float(apart.max()))
    labelled = np.bincount(measured.labels, minlength=count)
    effective = 1 / float((shares**2 / labelled).sum())
    scaled = distance * math.sqrt(len(results) * effective / (len(results) + effective))
    return distance, min(1.0, len(columns) * kolmogorov(scaled))


def kolmogorov(scaled: float) -> float:
    """How often a distance times the root of the sample's size is as large by chance (Kolmogorov 1933)."""
    if scaled < 0.2:
        return 1.0  # Within 1e-12 of it; the sum below converges slowly here.
    return min(1.0, max(0.0, 2 * sum((-1) ** (i - 1) * math.exp(-2 * i * i * scaled * scaled) for i in range(1, 40))))


def _few(of_label: NDArray[np.int64], classes: list[str], title: str) -> list[str]:
    return [
        f"{title} has {count:,} photos labelled {name}: the mistakes on fewer than {_FEW} are mostly chance"
        for name, count in zip(classes, of_label.tolist(), strict=True)
        if count < _FEW
    ]


def _hardly_told(told: float) -> list[str]:
    if told >= _HARDLY_TOLD:
        return []
    return [
        "the model hardly tells the classes apart on the labelled photos (the confusion matrix is nearly singular,"
        f" smallest singular value {told:.2f}): small differences between the two files become large ones here"
    ]


def _outside(unclipped: Shares, drawn: Shares, classes: list[str]) -> list[str]:
    worst = int(unclipped.argmin())
    if unclipped[worst] >= 0:
        return []
    line = f"the corrected share of {classes[worst]} was {100 * unclipped[worst]:.1f} % before it was held at 0"
    if float(np.quantile(drawn[:, worst], 0.975)) < 0:
        line += ", more than chance explains: the photos are of another kind than the labelled ones"
    return [line]


def _of_another_kind(distance: float, by_chance: float) -> list[str]:
    if distance < _APART or by_chance > _BY_CHANCE:
        return []
    return [
        "the photos are of another kind than the labelled ones: their probabilities are distributed otherwise than"
        f" those of labelled photos in the estimated shares (largest distance {distance:.2f}, by chance in"
        f" {100 * by_chance:.1g} % of cases), so the correction may not hold; label some of these photos, and measure"
        " on them"
    ]
