"""The commands around a model's making: they parse, call and print."""

from typing import Any

import click

from batchgender.cli_options import foreign_options, no_nan, reading_options, say, say_thresholds


def _rank(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    if not (value.isascii() and value.isdigit() and int(value)):
        raise click.BadParameter(f"{value!r} is neither a number from 1 on nor auto", ctx, param)
    return int(value)


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
    from batchgender.model_file import PACKAGED_MODEL
    from batchgender.report import NOTE, as_text
    from batchgender.training.loop import train as start
    from batchgender.training.runs import new_run, resumed_run

    if pretrained and weights:
        raise click.UsageError("--pretrained and --weights exclude each other")
    weights = str(PACKAGED_MODEL) if weights == "packaged" else weights
    options["weights"] = "imagenet" if pretrained else weights
    options["teacher"] = [str(PACKAGED_MODEL) if file == "packaged" else file for file in options["teacher"]]
    given = {key: value for key, value in options.items() if value not in (None, [])}
    run = (resumed_run if resume else new_run)(given, data, out)
    report = start(run.recipe, run.source, run.out, device, say, resume, tensorboard)
    click.echo(f"\ntest split, {run.out / 'best.pt'}: {as_text(report.metrics())}\n\n{NOTE}")
    say(f"written: {run.out}/best.pt, last.pt, history.csv; the picture: {run.out / 'history.png'}")


@click.command()
@click.option("--data", metavar="SRC", help="As for train.  [default: myvision/gender-classification]")
@click.option("--recipe", metavar="R", help="What to vary: seed, strong, or a file .toml or .json.  [default: strong]")
@click.option("--arch", "architecture", metavar="A", help="The network.  [default: the recipe's]")
@click.option("--trials", type=click.IntRange(1), help="Of the whole study.  [default: 30]")
@click.option("--epochs", type=click.IntRange(1), help="Of a trial.  [default: 10]")
@click.option("--out", metavar="FOLDER", help="Where it goes.  [default: tunes/ARCH-RECIPE, numbered when taken]")
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto", show_default=True)
@click.option("--seed", type=click.IntRange(0), help="Of trainings and suggestions.  [default: 0]")
@click.option("--resume", is_flag=True, help="Go on with the study in --out, else with the newest in tunes/.")
def tune(data: str | None, out: str | None, trials: int | None, device: str, resume: bool, **options: Any) -> None:
    """Search for a better recipe, by accuracy on the validation split.

    Needs the extra batchgender[tune]. The best trial is written as a recipe file that `train` takes.

    \b
    Examples:
      batchgender tune --data ./photos --trials 50
      batchgender tune --resume
      batchgender train --data ./photos --recipe tunes/alexnet_bn512-strong/best.toml
    """
    from batchgender.training.tune.run import tune as search

    given = {key: value for key, value in options.items() if value is not None}
    found, interrupted = search(given, data, out, trials, device, say, resume)
    click.echo(found.table())
    files = ("best.toml", "trials.csv", "tune.png") if found.best else ("trials.csv", "tune.png")
    if found.trials:
        say(f"written: {', '.join(str(found.plan.out / name) for name in files)}")
    if interrupted:
        raise KeyboardInterrupt


@click.command()
@click.argument("model")
@click.option("--data", metavar="SRC", help="As for train.  [default: myvision/gender-classification]")
@click.option("--split", type=click.Choice(["test", "val", "train", "all"]), default="test", show_default=True)
@click.option("--report", "report_file", metavar="FILE", help="Write the report too: .json or .html.")
@reading_options
@click.option("--flip", is_flag=True, help="Let a checkpoint look at the mirror image too.")
@foreign_options
def evaluate(
    model: str,
    data: str | None,
    split: str,
    report_file: str | None,
    threshold: float | None,
    groups: str | None,
    flip: bool,
    classes: list[str] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> None:
    """Measure a checkpoint or model file on labelled photos.

    \b
    Examples:
      batchgender evaluate runs/alexnet-seed/best.pt
      batchgender evaluate exports/batchgender.onnx --data ./photos --report report.json
      batchgender evaluate exports/batchgender.onnx --data ./photos --groups ages.csv
    """
    from batchgender.export.load import open_any
    from batchgender.group_file import read_groups
    from batchgender.report import NOTE, as_text, check_report, write_report
    from batchgender.thresholds import in_force
    from batchgender.training.data import DEFAULT_SOURCE, load_split
    from batchgender.training.evaluate import evaluate as measure

    if report_file:
        check_report(report_file)
    table = read_groups(groups) if groups else None
    predict, info = open_any(model, classes, mean, std, flip)
    thresholds = in_force(info.thresholds, threshold, info.classes)
    say_thresholds(info.thresholds, threshold)
    source = data or DEFAULT_SOURCE
    photos = load_split(source, split, say)
    metrics = measure(
        predict,
        info.classes,
        photos,
        info.input_size,
        say,
        thresholds=thresholds,
        temperature=info.temperature,
        bias=info.bias,
        groups=table,
    ).metrics()
    click.echo(f"{as_text(metrics)}\n\n{NOTE}")
    if report_file:
        about = {"model": model, "photos_from": [source], "split": split, "thresholds": thresholds}
        write_report(report_file, metrics, about)
        say(f"written: {report_file}")


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
    from batchgender.training.calibrate import as_text
    from batchgender.training.calibrate import calibrate as fit

    click.echo(as_text(*fit(checkpoint, data, split, target_accuracy, equal_recall, say)))
    say(f"written: {checkpoint}")


@click.command()
@click.argument("checkpoint", required=False)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["onnx", "torchscript", "pt2", "openvino", "coreml", "tflite"]),
    multiple=True,
    help="May be given several times.",
)
@click.option("--out", metavar="FOLDER", default="exports", show_default=True, help="Or a file, for one format.")
@click.option(
    "--data", metavar="SRC", help="Photos to check the files on, label by label.  [default: those of the training]"
)
@click.option(
    "--compress",
    "rank",
    metavar="RANK|auto",
    callback=_rank,
    help="Linear layers of this rank; auto: the smallest that keeps the accuracy.",
)
@click.option("--quantize", type=click.Choice(["int8", "float16"]), help="Weights in 8 or 16 bits, for onnx.")
@click.option("--flip", is_flag=True, help="Let the model look at the mirror image too: twice the work.")
@click.option("--opset", type=click.IntRange(18, 23), default=18, show_default=True, help="Of the ONNX file.")
@click.option("--max-flips", type=click.IntRange(0), help="Keep no file that changes the class of more test photos.")
@click.option("--license", "terms", metavar="TEXT", help="What the file says of its licence.")
@click.option("--compare", is_flag=True, help="Write nothing: a table of all sizes, with accuracy and speed.")
def export(
    checkpoint: str | None,
    formats: tuple[str, ...],
    out: str,
    data: str | None,
    rank: int | str | None,
    quantize: str | None,
    flip: bool,
    opset: int,
    max_flips: int | None,
    terms: str | None,
    compare: bool,
) -> None:
    """Write model files, checked against PyTorch.

    CHECKPOINT is by default the newest best.pt in runs/.

    \b
    Examples:
      batchgender export --format onnx
      batchgender export runs/alexnet-seed/best.pt --format onnx --format torchscript
      batchgender export --format onnx --compress auto --quantize int8
      batchgender export --format onnx --quantize int8 --data ./photos --max-flips 5
      batchgender export --compare

    --compress and --quantize look at training photos, and keep no file that loses more than 0.5 points of
    accuracy on the validation photos.
    """
    if not formats and not compare:
        raise click.UsageError("give --format onnx (or torchscript, pt2, openvino, coreml, tflite), or --compare")
    if compare and (formats or rank or quantize or flip or terms or max_flips is not None):
        raise click.UsageError("--compare measures all sizes and writes none; give --data and --opset alone with it")
    if quantize and set(formats) != {"onnx"}:
        raise click.UsageError("--quantize is for --format onnx alone")
    from batchgender.training.runs import newest

    chosen = checkpoint or str(newest("best.pt", "train first, or name a checkpoint"))
    say(f"checkpoint: {chosen}")
    if compare:
        from batchgender.export.comparison import as_text, compare_exports

        click.echo(as_text(compare_exports(chosen, data, say, opset)))
        return
    from batchgender.export.run import Options
    from batchgender.export.run import export as write
    from batchgender.training.checkpoint import LICENSE

    if "torchscript" in formats:
        say("TorchScript is deprecated in PyTorch; --format pt2 is its successor")
    options = Options(rank, quantize, flip, terms or LICENSE, opset, max_flips)
    write(chosen, formats, out, data, say, options)
