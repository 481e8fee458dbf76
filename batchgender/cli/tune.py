"""`batchgender tune`: a search for a better recipe."""

from typing import Any

import click

from batchgender.cli.options import print_text, quiet_option
from batchgender.extras import require_extra
from batchgender.io import Notify


@click.command(short_help="Search for a better recipe.")
@click.option("--data", metavar="SRC", help="As for train.  [default: myvision/gender-classification]")
@click.option("--recipe", metavar="R", help="The recipe to vary, as for train.  [default: strong]")
@click.option("--arch", "architecture", metavar="A", help="The network.  [default: the recipe's]")
@click.option("--trials", type=click.IntRange(1), help="Of the whole study.  [default: 30]")
@click.option("--epochs", type=click.IntRange(1), help="Of a trial.  [default: 10]")
@click.option(
    "-o", "--out", metavar="FOLDER", help="The study's folder.  [default: tunes/ARCH-RECIPE, numbered when taken]"
)
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto", show_default=True)
@click.option("--seed", type=click.IntRange(0), help="Of trainings and suggestions.  [default: 0]")
@click.option("--resume", is_flag=True, help="Go on with the study in --out, else with the newest in tunes/.")
@quiet_option
def tune(
    data: str | None, out: str | None, trials: int | None, device: str, resume: bool, notify: Notify, **options: Any
) -> None:
    """Search for a better recipe, by accuracy on the validation split.

    Needs the extra batchgender[tune]. The best trial is written as a recipe file that `train` takes.

    \b
    Examples:
      batchgender tune --data ./photos --trials 50
      batchgender tune --resume
      batchgender train --data ./photos --recipe tunes/alexnet_bn512-strong/best.toml
    """
    require_extra("train", "batchgender tune")
    require_extra("tune", "batchgender tune")
    from batchgender.training.tuning.search import tune as search

    given = {key: value for key, value in options.items() if value is not None}
    found, interrupted = search(given, data, out, trials, device, notify, resume)
    print_text(found.table())
    files = ("best.toml", "trials.csv", "tune.png") if found.best else ("trials.csv", "tune.png")
    if found.trials:
        notify(f"written: {', '.join(str(found.plan.out / name) for name in files)}")
    if interrupted:
        raise KeyboardInterrupt
