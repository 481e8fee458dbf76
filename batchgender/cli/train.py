"""`batchgender train`: photos to a checkpoint, and its accuracy."""

from typing import Any

import click

from batchgender.cli.drawing import print_figures
from batchgender.cli.options import label_names_option, labels_option, quiet_option, thumbnails_option
from batchgender.extras import require_extra
from batchgender.io import Notify
from batchgender.photos.labels import LabelNames


@click.command(short_help="Train a model on labelled photos.")
@click.option(
    "--data",
    metavar="SRC",
    help="Folder SPLIT/CLASS/* or CLASS/*, CSV with columns path, label and perhaps split, parquet file or folder,"
    " saved dataset, or Hub id."
    "  [default: myvision/gender-classification]",
)
@labels_option
@label_names_option
@click.option(
    "--recipe",
    metavar="R",
    help="seed, strong, narrow, taught, teacher, or a file .toml or .json.  [default: seed]",
)
@click.option(
    "--arch",
    "architecture",
    metavar="A",
    help="The network: alexnet, alexnet_bn, alexnet_bn512, alexnet_narrow, or a torchvision one as resnet18."
    "  [default: the recipe's]",
)
@click.option("--pretrained", is_flag=True, help="Begin with torchvision's ImageNet weights.")
@click.option(
    "--weights",
    metavar="FILE",
    help="Begin with the weights of a file, of the packaged model (`packaged`), or of hf:OWNER/NAME of the Hub.",
)
@click.option(
    "--teacher",
    metavar="FILE",
    multiple=True,
    help="Knowledge distillation: a checkpoint, ONNX file or `packaged` whose answers are learnt; of several the mean.",
)
@click.option(
    "--also-learn",
    metavar="FILE",
    help="Auxiliary task: a CSV of path and numbers, ages for example, learnt beside the labels.",
)
@click.option(
    "--sources",
    metavar="FILE",
    help="A CSV of path and source: validation figures by source, and a calibration in which each counts the same.",
)
@click.option("--epochs", type=click.IntRange(1), help="Times through the training photos.  [default: the recipe's, 8]")
@click.option("--batch-size", type=click.IntRange(1), help="Photos a step.  [default: the recipe's, 32]")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Learning rate.  [default: the recipe's, 1e-4]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of weights, order and augmentation.  [default: 0]")
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto", show_default=True)
@click.option(
    "-o", "--out", metavar="FOLDER", help="The run's folder.  [default: runs/ARCH-RECIPE, numbered when taken]"
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, else with the newest in runs/.")
@click.option(
    "--report",
    "reports",
    metavar="FILE",
    multiple=True,
    help="Write the test split's report with the curves of the training: .json or .html; several times.",
)
@thumbnails_option
@click.option("--tensorboard", is_flag=True, help="Log to OUT/tensorboard; needs the extra batchgender[tensorboard].")
@quiet_option
def train(
    data: str | None,
    pretrained: bool,
    weights: str | None,
    device: str,
    out: str | None,
    resume: bool,
    reports: tuple[str, ...],
    no_thumbnails: bool,
    tensorboard: bool,
    labels: str | None,
    label_names: LabelNames,
    notify: Notify,
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
      batchgender train --data ./photos --report run.html
      batchgender train --resume
    """
    if pretrained and weights:
        raise click.UsageError("--pretrained and --weights exclude each other")
    require_extra("train", "batchgender train")
    if tensorboard:
        require_extra("tensorboard", "train --tensorboard")
    from batchgender.report.files import check_report

    for report in reports:
        check_report(report)
    from batchgender.model.open_model import named_model
    from batchgender.training.run_plan import new_run, resumed_run
    from batchgender.training.train import TrainingOutputs
    from batchgender.training.train import train as start

    options["weights"] = "imagenet" if pretrained else weights and named_model(weights, notify)
    options["teacher"] = [named_model(file, notify) for file in options["teacher"]]
    given = {key: value for key, value in options.items() if value not in (None, [])}
    plan = (resumed_run if resume else new_run)(given, data, out, label_names, labels)
    figures = start(plan, device, notify, TrainingOutputs(tensorboard, reports, not no_thumbnails))
    if figures is None:
        return  # Of several processes, the first one reports.
    print_figures(figures, f"test split, {plan.out / 'best.pt'}: ")
    others = "".join(f"; the report: {report}" for report in reports)
    notify(f"written: {plan.out}/best.pt, last.pt, history.csv; the picture: {plan.out / 'history.png'}{others}")
