"""`batchgender calibrate`: probabilities and thresholds fitted on photos kept from training."""

import click

from batchgender.cli.options import no_nan, print_text, quiet_option
from batchgender.extras import require_extra
from batchgender.io import Notify


@click.command(short_help="Fit a checkpoint's probabilities and thresholds.")
@click.argument("checkpoint")
@click.option("--data", metavar="SRC", help="As for train.  [default: the data of the training]")
@click.option("--split", type=click.Choice(["val", "test", "train", "all"]), default="val", show_default=True)
@click.option(
    "--target-accuracy",
    type=click.FloatRange(0, 1, min_open=True),
    callback=no_nan,
    help="Store a threshold for each class at which this share of its answers is right.",
)
@click.option(
    "--equal-recall",
    is_flag=True,
    help="Move the decision threshold between two classes to where their recalls are nearest.",
)
@click.option("--sources", metavar="FILE", help="A CSV of path and source: each source counts the same in the fit.")
@quiet_option
def calibrate(
    checkpoint: str,
    data: str | None,
    split: str,
    target_accuracy: float | None,
    equal_recall: bool,
    sources: str | None,
    notify: Notify,
) -> None:
    """Fit probabilities, and thresholds where asked, on photos kept from training.

    The temperature and the thresholds are stored in CHECKPOINT and replace those in it; `export` writes them into model
    files, `classify` and `evaluate` apply them.

    \b
    Examples:
      batchgender calibrate runs/alexnet-seed/best.pt
      batchgender calibrate runs/alexnet-seed/best.pt --data ./faces --target-accuracy 0.99
    """
    if target_accuracy is not None and equal_recall:
        raise click.UsageError("--target-accuracy and --equal-recall exclude each other")
    from batchgender.model.hub_file import is_hub_name

    if is_hub_name(checkpoint):
        raise click.UsageError(f"{checkpoint}: a checkpoint of the Hub is not changed; give a file of this machine")
    require_extra("train", "batchgender calibrate")
    from batchgender.training.calibration import calibrate as fit
    from batchgender.training.calibration import calibration_text

    print_text(calibration_text(*fit(checkpoint, data, split, target_accuracy, equal_recall, notify, sources)))
    notify(f"written: {checkpoint}")
