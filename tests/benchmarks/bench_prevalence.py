"""How often the interval of `batchgender prevalence` holds the truth, on labelled results that are split in halves.

`python tests/benchmarks/bench_prevalence.py labelled.csv` measures the mistakes on one half, and mixes photos of the
other one, whose labels are not used, with 20, 50 and 80 % of the first class.
"""

import click
import numpy as np

from batchgender.io import bounds, percent, text_table
from batchgender.report.prevalence import estimate_prevalence
from batchgender.report.statistics import wilson
from batchgender.results.answers import Answers, read_answers

MIXES = (0.2, 0.5, 0.8)


def mixed(answers: Answers, share: float, rng: np.random.Generator) -> Answers:
    """As many answers as there are with this share of the first class, none twice."""
    first, second = np.flatnonzero(answers.labels == 0), np.flatnonzero(answers.labels == 1)
    count = int(min(len(first) / share, len(second) / (1 - share)))
    ours = round(count * share)
    chosen = [rng.choice(first, ours, replace=False), rng.choice(second, count - ours, replace=False)]
    return answers.subset(np.concatenate(chosen))


def halves(answers: Answers, rng: np.random.Generator) -> tuple[Answers, Answers]:
    """Two halves, chosen by chance."""
    order = rng.permutation(len(answers))
    middle = len(answers) // 2
    return answers.subset(order[:middle]), answers.subset(order[middle:])


@click.command()
@click.argument("labelled")
@click.option("--draws", default=20, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--one-half", is_flag=True, help="Measure on the same half in each draw.")
def main(labelled: str, draws: int, seed: int, one_half: bool) -> None:
    """Print, for each mix, in how many draws the corrected interval and that of the naive count hold the truth."""
    answers = read_answers(labelled).labelled()
    rng = np.random.default_rng(seed)
    rows = [
        [
            "share",
            "photos",
            "corrected holds",
            "naive holds",
            "corrected, mean",
            "naive, mean",
            "last interval",
            "warned",
        ]
    ]
    split = halves(answers, rng)
    for share in MIXES:
        held = naive_held = warned = 0
        estimates, naives = [], []
        for _ in range(draws):
            split = split if one_half else halves(answers, rng)
            unseen = mixed(split[1], share, rng)
            found = estimate_prevalence(unseen, split[0])
            of = found.classes[answers.classes[0]]
            truth = float((unseen.labels == 0).mean())
            held += of.interval_95[0] <= truth <= of.interval_95[1]
            naive = wilson(of.counted, len(unseen))
            assert naive
            naive_held += naive[0] <= truth <= naive[1]
            warned += bool(found.warnings)
            estimates.append(of.corrected)
            naives.append(of.counted / len(unseen))
        rows.append(
            [
                percent(share),
                f"{len(unseen):,}",
                f"{held} of {draws}",
                f"{naive_held} of {draws}",
                percent(float(np.mean(estimates))),
                percent(float(np.mean(naives))),
                bounds(of.interval_95),
                f"{warned} of {draws}",
            ]
        )
    click.echo("\n".join(text_table(rows, "<>>>>>>>")))


if __name__ == "__main__":
    main()
