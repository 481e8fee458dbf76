"""Options and notices that several commands share."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from batchgender.errors import UserError, os_reason


def notify(line: str) -> None:
    """Print a notice to stderr, above a progress bar where there is one."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


class Numbers(click.ParamType):
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


def split_names(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if len(names) < 2 or not all(names):
        raise click.BadParameter("give at least two names with commas between", ctx, param)
    return names


def no_nan(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    # A range lets it pass: no comparison with it is true.
    if value != value:
        raise click.BadParameter("not a number", ctx, param)
    return value


def foreign_options(command: Callable[..., None]) -> Callable[..., None]:
    """What an ONNX file that is not from batchgender does not say of itself."""
    options: Iterable[Any] = (
        click.option("--classes", metavar="A,B", callback=split_names, help="Class names of a foreign model."),
        click.option("--mean", type=Numbers(), help="Mean that a foreign model wants, over 0..1."),
        click.option("--std", type=Numbers(), help="Deviation that a foreign model wants, over 0..1."),
    )
    for option in reversed(list(options)):
        command = option(command)
    return command


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """What decides the answers, and what they are counted by."""
    threshold = click.option(
        "--threshold",
        type=click.FloatRange(0, 1),
        callback=no_nan,
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


def computing_options(command: Callable[..., None]) -> Callable[..., None]:
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


def say_thresholds(stored: dict[str, float], given: float | None) -> None:
    """Say when the model's own thresholds decide."""
    if stored and given is None:
        from batchgender.model.thresholds import described

        notify(f"thresholds: {described(stored)}, stored in the model (--threshold 0: none)")


def write_json(file: str, figures: dict[str, Any]) -> None:
    """Write figures as JSON, and say so; raises UserError where it can't."""
    try:
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(figures, stream, indent=2, ensure_ascii=False)
    except OSError as error:
        raise UserError(f"{file}: can't write ({os_reason(error)})") from error
    notify(f"written: {file}")
