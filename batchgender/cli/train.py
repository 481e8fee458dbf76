"""`batchgender train`: photos to a checkpoint, and its accuracy."""

from typing import Any

import click

from batchgender.cli.options import notify


@click.command()
@click.option(
    "--data",
    metavar="SRC",
    help="Hub id, saved dataset, parquet folder, or folder SPLIT/CLASS/* or CLASS/*."
    "  [default: myvision/gender-classification]",
)
@click.option(
    "--recipe", metavar="R", help="How it is trained: seed, strong, or a file .toml or .json.  [default: seed]"
)
@click.option(
    "--arch",
    "architecture",
    metavar="A",
    help="The network: alexnet, alexnet_bn, alexnet_bn512, or a torchvision one as resnet18.  [default: the recipe's]",
)
@click.option("--pretrained", is_flag=True, help="Begin with torchvision's ImageNet weights.")
@click.option(
    "--weights", metavar="FILE", help="Begin with weights of a file, or `packaged`: those of the model in the package."
)
@click.option(
    "--teacher",
    metavar="FILE",
    multiple=True,
    help="A checkpoint, ONNX file or `packaged`, whose answers are learnt too; of several, their mean.",
)
@click.option(
    "--also-learn", metavar="FILE", help="A CSV of path and numbers, ages for example, learnt beside the labels."
)
@click.option("--epochs", type=click.IntRange(1), help="Times through the training photos.  [default: the recipe's, 8]")
@click.option("--batch-size", type=click.IntRange(1), help="Photos a step.  [default: the recipe's, 32]")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Learning rate.  [default: the recipe's, 1e-4]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of weights, order and augmentation.  [default: 0]")
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto", show_default=True)
@click.option("--out", metavar="FOLDER", help="Where the run goes.  [default: runs/ARCH-RECIPE, numbered when taken]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, else with the newest in runs/.")
@click.option("--tensorboard", is_flag=True, help="Log to OUT/tensorboard; needs the extra batchgender[tensorboard].")
def train(
    data: str | None,
    pretrained: bool,
    weights: str | None,
    device: str,
    out: str | None,
    resume: bool,
    tensorboard: bool,
    **options: Any,
) -> None:
    """Train the model, and report its accuracy on the test split.

    \b
    Examples:
      batchgender train
      batchgender train --data ./photos --recipe strong
      batchgender train --data ./photos --recipe strong --arch resnet18 --pretrained
      batchgender train --data ./photos --recipe taught --weights packaged --lr 5e-5
      batchgender train --data ./photos --recipe strong --teacher runs/resnet18-strong/best.pt
      batchgender train --resume
    """
    from batchgender.model.model_file import PACKAGED_MODEL
    from batchgender.report.counts import NOTE, as_text
    from batchgender.training.run_folders import new_run, resumed_run
    from batchgender.training.train import train as start

    if pretrained and weights:
        raise click.UsageError("--pretrained and --weights exclude each other")
    weights = str(PACKAGED_MODEL) if weights == "packaged" else weights
    options["weights"] = "imagenet" if pretrained else weights
    options["teacher"] = [str(PACKAGED_MODEL) if file == "packaged" else file for file in options["teacher"]]
    given = {key: value for key, value in options.items() if value not in (None, [])}
    run = (resumed_run if resume else new_run)(given, data, out)
    report = start(run.recipe, run.source, run.out, device, notify, resume, tensorboard)
    click.echo(f"\ntest split, {run.out / 'best.pt'}: {as_text(report.metrics())}\n\n{NOTE}")
    notify(f"written: {run.out}/best.pt, last.pt, history.csv; the picture: {run.out / 'history.png'}")
