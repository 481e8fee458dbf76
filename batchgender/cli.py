"""The command line: parses, calls, prints."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from batchgender import __version__
from batchgender.errors import UserError, os_reason

_GO_ON = {
    "classify": "; rows written to a file are kept, go on with --resume",
    "train": "; each whole epoch is kept, go on from the last with --resume",
    "tune": "; each whole trial is kept, go on with --resume",
}


class _Group(click.Group):
    """Commands in the order of the work; what a user can cause ends in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error).replace("\n", "\\n")) from None
        except KeyboardInterrupt:
            click.echo(f"interrupted{_GO_ON.get(ctx.invoked_subcommand or '', '')}", err=True)
            ctx.exit(130)


def _say(line: str) -> None:
    """Print a notice to stderr, above a progress bar where there is one."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


class _Numbers(click.ParamType):
    """Three numbers, one a colour channel: 0.485,0.456,0.406."""

    name = "R,G,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 3:
            self.fail(f"{value!r} is not three numbers with commas between", param, ctx)
        return numbers


def _split_names(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if len(names) < 2 or not all(names):
        raise click.BadParameter("give at least two names with commas between", ctx, param)
    return names


def _no_nan(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    # A range lets it pass: no comparison with it is true.
    if value != value:
        raise click.BadParameter("not a number", ctx, param)
    return value


def _rank(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    if not (value.isascii() and value.isdigit() and int(value)):
        raise click.BadParameter(f"{value!r} is neither a number from 1 on nor auto", ctx, param)
    return int(value)


def _foreign_options(command: Callable[..., None]) -> Callable[..., None]:
    """What an ONNX file that is not from batchgender does not say of itself."""
    options: Iterable[Any] = (
        click.option("--classes", metavar="A,B", callback=_split_names, help="Class names of a foreign model."),
        click.option("--mean", type=_Numbers(), help="Mean that a foreign model wants, over 0..1."),
        click.option("--std", type=_Numbers(), help="Deviation that a foreign model wants, over 0..1."),
    )
    for option in reversed(list(options)):
        command = option(command)
    return command


def _reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """What decides the answers, and what they are counted by."""
    threshold = click.option(
        "--threshold",
        type=click.FloatRange(0, 1),
        callback=_no_nan,
        help="Unsure below this confidence; 0: never.  [default: the thresholds stored in the model]",
    )
    groups = click.option(
        "--groups",
        metavar="FILE.csv",
        help="Report on groups too: a CSV with a column path, as in the results (evaluate: as in the data, test[0]"
        " for a dataset), and one for each grouping. Where no path is the same, a row is the photo's whose path ends"
        " as it does, or the other way, where that is one photo and one row.",
    )
    return threshold(groups(command))


def _computing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Who computes."""
    # As `session.PROVIDERS`, which is not imported here: --help shall not wait for onnxruntime.
    names = ("auto", "cpu", "cuda", "tensorrt", "coreml", "directml", "openvino")
    provider = click.option(
        "--provider",
        type=click.Choice(names),
        default="auto",
        show_default=True,
        help="Who computes; auto: the fastest installed that agrees with the CPU.",
    )
    workers = click.option("--workers", type=click.IntRange(1), help="Cores to use.  [default: all there are]")
    batch_size = click.option(
        "--batch-size", type=click.IntRange(1, 4096), help="Photos inferred together.  [default: 32]"
    )
    return provider(workers(batch_size(command)))


def _say_thresholds(stored: dict[str, float], given: float | None) -> None:
    """Say when the model's own thresholds decide."""
    if stored and given is None:
        from batchgender.thresholds import described

        _say(f"thresholds: {described(stored)}, stored in the model (--threshold 0: none)")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Folders of face photos in, a CSV with Female or Male, confidence and accuracy out.

    \b
    Example:
      batchgender classify ./photos --out results.csv

    It predicts how a photo's subject was labelled in the training data, not a person's identity.
    """


@main.command()
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
@click.option("--weights", metavar="FILE", help="Begin with the weights of a file: a state dict or a checkpoint.")
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
      batchgender train --resume
    """
    from batchgender.report import NOTE, as_text
    from batchgender.training.loop import train as start
    from batchgender.training.runs import new_run, resumed_run

    if pretrained and weights:
        raise click.UsageError("--pretrained and --weights exclude each other")
    options["weights"] = "imagenet" if pretrained else weights
    given = {key: value for key, value in options.items() if value is not None}
    run = (resumed_run if resume else new_run)(given, data, out)
    report = start(run.recipe, run.source, run.out, device, _say, resume, tensorboard)
    click.echo(f"\ntest split, {run.out / 'best.pt'}: {as_text(report.metrics())}\n\n{NOTE}")
    _say(f"written: {run.out}/best.pt, last.pt, history.csv; the picture: {run.out / 'history.png'}")


@main.command()
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
    from batchgender.training.tune import tune as search

    given = {key: value for key, value in options.items() if value is not None}
    found, interrupted = search(given, data, out, trials, device, _say, resume)
    click.echo(found.table())
    files = ("best.toml", "trials.csv", "tune.png") if found.best else ("trials.csv", "tune.png")
    if found.trials:
        _say(f"written: {', '.join(str(found.plan.out / name) for name in files)}")
    if interrupted:
        raise KeyboardInterrupt


@main.command()
@click.argument("model")
@click.option("--data", metavar="SRC", help="As for train.  [default: myvision/gender-classification]")
@click.option("--split", type=click.Choice(["test", "val", "train", "all"]), default="test", show_default=True)
@click.option("--report", "report_file", metavar="FILE", help="Write the report too: .json or .html.")
@_reading_options
@click.option("--flip", is_flag=True, help="Let a checkpoint look at the mirror image too.")
@_foreign_options
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
    _say_thresholds(info.thresholds, threshold)
    source = data or DEFAULT_SOURCE
    photos = load_split(source, split, _say)
    metrics = measure(
        predict,
        info.classes,
        photos,
        info.input_size,
        _say,
        thresholds=thresholds,
        temperature=info.temperature,
        bias=info.bias,
        groups=table,
    ).metrics()
    click.echo(f"{as_text(metrics)}\n\n{NOTE}")
    if report_file:
        about = {"model": model, "photos_from": [source], "split": split, "thresholds": thresholds}
        write_report(report_file, metrics, about)
        _say(f"written: {report_file}")


@main.command()
@click.argument("checkpoint")
@click.option("--data", metavar="SRC", help="As for train.  [default: the data of the training]")
@click.option("--split", type=click.Choice(["val", "test", "train", "all"]), default="val", show_default=True)
@click.option(
    "--target-accuracy",
    type=click.FloatRange(0, 1, min_open=True),
    callback=_no_nan,
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

    click.echo(as_text(*fit(checkpoint, data, split, target_accuracy, equal_recall, _say)))
    _say(f"written: {checkpoint}")


@main.command()
@click.argument("checkpoint", required=False)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["onnx", "torchscript", "pt2"]),
    multiple=True,
    required=True,
    help="May be given several times.",
)
@click.option("--out", metavar="FOLDER", default="exports", show_default=True, help="Or a file, for one format.")
@click.option("--data", metavar="SRC", help="Photos to check the files on.  [default: those of the training]")
@click.option(
    "--compress",
    "rank",
    metavar="RANK|auto",
    callback=_rank,
    help="Linear layers of this rank; auto: the smallest that keeps the accuracy.",
)
@click.option("--quantize", type=click.Choice(["int8"]), help="8-bit weights and activations, for onnx.")
@click.option("--flip", is_flag=True, help="Let the model look at the mirror image too: twice the work.")
@click.option("--license", "terms", metavar="TEXT", help="What the file says of its licence.")
def export(
    checkpoint: str | None,
    formats: tuple[str, ...],
    out: str,
    data: str | None,
    rank: int | str | None,
    quantize: str | None,
    flip: bool,
    terms: str | None,
) -> None:
    """Write model files, checked against PyTorch.

    CHECKPOINT is by default the newest best.pt in runs/.

    \b
    Examples:
      batchgender export --format onnx
      batchgender export runs/alexnet-seed/best.pt --format onnx --format torchscript
      batchgender export --format onnx --compress auto --quantize int8

    --compress and --quantize look at training photos, and keep no file that loses more than 0.5 points of
    accuracy on the validation photos.
    """
    if quantize and set(formats) != {"onnx"}:
        raise click.UsageError("--quantize is for --format onnx alone")
    from batchgender.export.run import export as write
    from batchgender.training.checkpoint import LICENSE
    from batchgender.training.runs import newest

    chosen = checkpoint or str(newest("best.pt", "train first, or name a checkpoint"))
    _say(f"checkpoint: {chosen}")
    if "torchscript" in formats:
        _say("TorchScript is deprecated in PyTorch; --format pt2 is its successor")
    write(chosen, formats, out, data, _say, rank, quantize == "int8", flip, terms or LICENSE)


@main.command()
@click.argument("photos", nargs=-1, required=True)
@click.option("--out", required=True, metavar="FILE", help=".csv, .jsonl or .parquet; - streams CSV to stdout.")
@click.option("--model", metavar="FILE", help="ONNX model.  [default: exports/batchgender.onnx, else the packaged one]")
@click.option(
    "--report",
    "report_file",
    metavar="FILE",
    help=".json or .html.  [default: NAME.report.json beside --out]",
)
@_reading_options
@_computing_options
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
@click.option("--strict", is_flag=True, help="Exit with 3 where a photo could not be read.")
@_foreign_options
@click.pass_context
def classify(
    ctx: click.Context,
    photos: tuple[str, ...],
    out: str,
    model: str | None,
    report_file: str | None,
    threshold: float | None,
    groups: str | None,
    provider: str,
    workers: int | None,
    batch_size: int | None,
    resume: bool,
    overwrite: bool,
    strict: bool,
    classes: list[str] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> None:
    """Classify photos into a CSV, one row a photo.

    PHOTOS are folders, files and patterns, any number of them.

    Where the folders carry the labels (female/, male/), the accuracy report is printed and written too.

    \b
    Examples:
      batchgender classify ./photos --out results.csv
      batchgender classify ./photos --out results.csv --threshold 0.9
      batchgender classify ./photos --out results.csv --groups ages.csv
      batchgender classify ./photos --out results.csv --model other.onnx \\
        --classes female,male --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    from batchgender.classify import BATCH, load_classifier
    from batchgender.group_file import read_groups
    from batchgender.report import NOTE, as_text
    from batchgender.run import run

    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    streaming = out == "-"
    if streaming and (resume or overwrite):
        raise click.UsageError("--out - can't be resumed or overwritten")
    if streaming and sys.stdout is None:
        raise UserError("stdout is closed; give --out a file")
    table = read_groups(groups) if groups else None
    classifier = load_classifier(model, classes, mean, std, workers=workers, batch_size=batch_size or BATCH, say=_say)
    _say(f"model: {classifier.model.file}")
    _say_thresholds(classifier.info.thresholds, threshold)
    finished = run(
        classifier,
        photos,
        sys.stdout if streaming else out,
        _say,
        threshold=threshold,
        groups=table,
        report_file=report_file,
        resume=resume,
        overwrite=overwrite,
        provider=provider,
    )
    report = finished.report
    if report.labelled:
        click.echo(f"{as_text(report.metrics())}\n\n{NOTE}", err=streaming)
    elif groups:
        _say(f"{groups}: no figures, for no photo's folder carries a label")
    written = [name for name in (None if streaming else out, finished.report_file) if name]
    if written:
        _say(f"written: {', '.join(written)}")
    if finished.skipped:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(finished.skipped.items()))
        _say(f"left out as no photos: {kinds}")
    if report.unreadable:
        _say(f"{report.unreadable:,} of {report.photos:,} photos could not be read: see the column error")
    if strict and (report.unreadable or finished.unlistable):
        ctx.exit(3)


@main.command()
@click.argument("photos", nargs=-1)
@click.option(
    "--model", "models", metavar="FILE", multiple=True, help="May be given several times.  [default: classify's]"
)
@click.option("--workers", type=click.IntRange(1), help="Cores to use.  [default: all there are]")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures too.")
def bench(photos: tuple[str, ...], models: tuple[str, ...], workers: int | None, json_file: str | None) -> None:
    """Measure how fast this machine classifies, on each provider and batch size.

    PHOTOS are folders, files and patterns; with none, portraits are drawn. The bound is what a core would do that
    decodes, then infers, and nothing else.

    \b
    Examples:
      batchgender bench
      batchgender bench ./photos --model exports/batchgender.onnx --model small.onnx --json bench.json
    """
    from batchgender.bench import as_text
    from batchgender.bench import bench as measure

    found = measure(photos, models or (None,), workers, _say)
    click.echo(as_text(found))
    if json_file:
        try:
            with open(json_file, "w", encoding="utf-8") as stream:
                json.dump(found.as_dict(), stream, indent=2)
        except OSError as error:
            raise UserError(f"{json_file}: can't write ({os_reason(error)})") from None
        _say(f"written: {json_file}")


@main.command()
@click.argument("model")
def inspect(model: str) -> None:
    """Print what a model file says of itself, as JSON.

    \b
    Example:
      batchgender inspect exports/batchgender.onnx
    """
    from batchgender.inspection import describe

    click.echo(json.dumps(describe(model), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
