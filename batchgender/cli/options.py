"""Options and notices that several commands share."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify, bytes_shown, check_writable, silent, written_whole

Command = TypeVar("Command", bound=Callable[..., Any])


def print_notice(line: str) -> None:
    """Print a notice to stderr, above a progress bar where there is one."""
    from tqdm import tqdm

    # A terminal of another encoding shows what it can.
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    tqdm.write(bytes_shown(line).encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


def _notifier(ctx: click.Context, param: click.Parameter, quiet: bool) -> Notify:
    return silent if quiet else print_notice


def quiet_option(command: Command) -> Command:
    """`-q`; the command gets `notify`, which prints notices to stderr, or nothing."""
    option = click.option(
        "-q", "--quiet", "notify", is_flag=True, callback=_notifier, help="Print no notices and no progress to stderr."
    )
    return option(command)


def show_traceback() -> bool:
    """Whether errors show where they came from: `--traceback`, or BATCHGENDER_DEBUG=1."""
    return os.environ.get("BATCHGENDER_DEBUG") == "1"


def _set_traceback(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ["BATCHGENDER_DEBUG"] = "1"


def traceback_option() -> click.Option:
    """`--traceback`, for the program and for each command."""
    return click.Option(
        ["--traceback"],
        is_flag=True,
        expose_value=False,
        callback=_set_traceback,
        help="Show where an error came from; BATCHGENDER_DEBUG=1 does, too.",
    )


def three_numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Read three numbers, one a colour channel: 0.485,0.456,0.406."""
    if value is None:
        return None
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 3:
        raise click.BadParameter(f"{value!r}: give three numbers, separated by commas", ctx, param)
    return numbers


def split_names(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """Read names that are separated by commas."""
    if value is None:
        return None
    names = [bytes_shown(name.strip()) for name in value.split(",")]
    if len(names) < 2 or not all(names):
        raise click.BadParameter("give two or more names, separated by commas", ctx, param)
    return names


def no_nan(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN, which a range lets pass: no comparison with it is true."""
    if value != value:
        raise click.BadParameter("not a number", ctx, param)
    return value


def foreign_options(command: Command) -> Command:
    """What an ONNX file that is not from batchgender does not state itself."""
    options = (
        click.option("--classes", metavar="A,B", callback=split_names, help="Class names of a foreign model."),
        click.option(
            "--mean",
            metavar="R,G,B",
            callback=three_numbers,
            help="Mean that a foreign model subtracts, for pixels in 0..1.",
        ),
        click.option(
            "--std",
            metavar="R,G,B",
            callback=three_numbers,
            help="Standard deviation that it divides by, for pixels in 0..1.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def report_options(command: Command) -> Command:
    """What decides a prediction, and by which groups it is reported."""
    threshold = click.option(
        "--threshold",
        type=click.FloatRange(0, 1),
        callback=no_nan,
        help="Answer Unsure below this confidence; 0: never.  [default: the thresholds stored in the model]",
    )
    groups = click.option(
        "--groups",
        metavar="FILE.csv",
        help="Report on groups, too: a CSV with a column path, as in the results (evaluate: as in the data, test[0]"
        " for a dataset), and a column for each grouping. Paths that begin differently are joined by their ends.",
    )
    return threshold(groups(command))


def inference_options(command: Command) -> Command:
    """Where and in which portions the model runs."""
    # As `session.PROVIDERS`, which is not imported here: --help must not wait for onnxruntime.
    names = ("auto", "cpu", "cuda", "tensorrt", "coreml", "directml", "openvino")
    provider = click.option(
        "--provider",
        type=click.Choice(names),
        default="auto",
        show_default=True,
        help="Execution provider; auto: the fastest installed one whose answers agree with the CPU's.",
    )
    workers = click.option("--workers", type=click.IntRange(1), help="Cores to use.  [default: all]")
    batch_size = click.option(
        "--batch-size", type=click.IntRange(1, 4096), help="Photos in one call of the model.  [default: 32]"
    )
    return provider(workers(batch_size(command)))


def notify_thresholds(stored: dict[str, float], given: float | None, notify: Notify) -> None:
    """Say when the model's own thresholds decide."""
    if stored and given is None:
        from batchgender.model.thresholds import described

        notify(f"thresholds: {described(stored)}, stored in the model (--threshold 0: none)")


def check_json(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse a file for --json that can't be written, before any work is done."""
    if value is not None:
        check_writable(value, "--json")
    return value


def write_json(file: str, data: dict[str, Any], notify: Notify) -> None:
    """Write plain data as JSON, and say so; raises UserError where it can't."""
    try:
        with written_whole(file) as stream:
            json.dump(data, stream, indent=2, ensure_ascii=False)
    except OSError as error:
        raise UserError(f"{file}: can't write ({os_reason(error)})") from error
    notify(f"written: {file}")
