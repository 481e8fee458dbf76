"""`batchgender calibrate`: probabilities and thresholds fitted on photos kept from training."""

import click

from batchgender.cli.options import no_nan, notify


@click.command()
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
    "--equal-recall", is_flag=True, help="Move the line between two classes to where their recalls are nearest."
)
def calibrate(checkpoint: str, data: str | None, split: str, target_accuracy: float | None, equal_recall: bool) -> None:
    """Fit probabilities, and thresholds where asked, on photos kept from training.

    The temperature and the thresholds are stored in CHECKPOINT, in the place of those before; `export` carries
    them, `classify` and `evaluate` go by them.

    \b
    Examples:
      batchgender calibrate runs/alexnet-seed/best.pt
      batchgender calibrate runs/alexnet-seed/best.pt --data ./photos --target-accuracy 0.99
    """
    if target_accuracy is not None and equal_recall:
        raise click.UsageError("--target-accuracy and --equal-recall exclude each other")
    from batchgender.training.calibration import as_text
    from batchgender.training.calibration import calibrate as fit

    click.echo(as_text(*fit(checkpoint, data, split, target_accuracy, equal_recall, notify)))
    notify(f"written: {checkpoint}")
