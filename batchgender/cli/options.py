"""Options and notices that several commands share."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify, bytes_shown, check_writable, one_line, silent, written_whole
from batchgender.photos.labels import LabelNames, parse_label_names

if TYPE_CHECKING:
    from batchgender.photos.shard import Shard

Command = TypeVar("Command", bound=Callable[..., Any])


def print_notice(line: str) -> None:
    """Print a notice to stderr, above a progress bar where there is one."""
    # A terminal of another encoding shows what it can.
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    shown = one_line(bytes_shown(line)).encode(encoding, "backslashreplace").decode(encoding)
    # No bar has been drawn where it was not imported, which takes as long as to open a model.
    if bars := sys.modules.get("tqdm"):
        bars.tqdm.write(shown, file=sys.stderr)
    else:
        print(shown, file=sys.stderr)


def print_text(text: str) -> None:
    """Print a text to stdout, in which names may be quoted that a terminal would take for commands."""
    click.echo("\n".join(map(one_line, text.split("\n"))))


def _notifier(ctx: click.Context, param: click.Parameter, quiet: bool) -> Notify:
    return silent if quiet else print_notice


def quiet_option(command: Command) -> Command:
    """`-q`; the command gets `notify`, which prints notices to stderr, or nothing."""
    option = click.option(
        "-q", "--quiet", "notify", is_flag=True, callback=_notifier, help="Print no notices and no progress to stderr."
    )
    return option(command)


def verbose_option(command: Command) -> Command:
    """`-v`; the command gets `verbose`."""
    option = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Say what computes the answers (model, threads, detector), and name each photo that can't be read.",
    )
    return option(command)


def model_option(command: Command) -> Command:
    """Which model classifies."""
    option = click.option(
        "--model",
        metavar="FILE",
        help="ONNX model, `packaged`, or hf:OWNER/NAME of the Hugging Face Hub.  [default: exports/batchgender.onnx if"
        " there is one, else the packaged one]",
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


def column_numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    """Read whole numbers from 0 that are separated by commas."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise click.BadParameter(f"{value!r}: give whole numbers from 0, separated by commas", ctx, param)
    return [int(part) for part in parts]


def foreign_options(command: Command) -> Command:
    """What an ONNX file that is not from batchgender does not state itself; the command gets it whole, as `foreign`."""

    @wraps(command)
    def collected(**arguments: Any) -> Any:
        from batchgender.model.foreign_options import ForeignOptions

        own = {name: arguments.pop(name) for name in ("classes", "mean", "std", "output", "columns", "channels")}
        return command(foreign=ForeignOptions(**own), **arguments)

    options = (
        click.option(
            "--classes", metavar="A,B", callback=split_names, help="Foreign model: names of its classes, in its order."
        ),
        click.option(
            "--mean",
            metavar="N,N,N",
            callback=three_numbers,
            help="Foreign model: what it subtracts from pixels in 0..1, or in 0..255 where a number is above 1; in the"
            " order of its channels.",
        ),
        click.option(
            "--std",
            metavar="N,N,N",
            callback=three_numbers,
            help="Foreign model: what it then divides by, over the same range; 1/255 leaves pixels in 0..255.",
        ),
        click.option("--output", metavar="NAME", help="Foreign model: which of several outputs holds the classes."),
        click.option(
            "--columns",
            metavar="I,J",
            callback=column_numbers,
            help="Foreign model: which of the output's values, from 0, are the classes, in the order of --classes; of"
            " two classes the second alone will do.",
        ),
        click.option(
            "--channels",
            type=click.Choice(["rgb", "bgr"]),
            help="Foreign model: its channels' order.  [default: rgb]",
        ),
    )
    decorated: Any = collected
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def face_options(command: Command) -> Command:
    """Which faces are looked for, and how; the command gets it whole, as `faces`."""

    @wraps(command)
    def collected(**arguments: Any) -> Any:
        mode = arguments.pop("faces")
        given = {name: arguments.pop(name) for name in ("detector", "min_face", "align")}
        given = {name: value for name, value in given.items() if value}
        if mode == "off" and given:
            raise click.UsageError(f"--{next(iter(given)).replace('_', '-')} and --faces off exclude each other")
        from batchgender.classify.face_choice import FaceOptions

        return command(faces=FaceOptions(mode, **given), **arguments)

    options = (
        click.option(
            "--faces",
            # As `face_choice.MODES`, which is not imported here: --help must not wait for onnxruntime.
            type=click.Choice(["auto", "largest", "all", "off"]),
            default="auto",
            show_default=True,
            help="Look for faces: classify the largest of each photo, all of them (a row each), or photos as they are;"
            " auto: the largest, unless the first hundred photos are face crops as the model was trained on.",
        ),
        click.option(
            "--min-face",
            metavar="PIXELS",
            type=click.IntRange(4, 10_000),
            help="Faces with a shorter side are none.  [default: 24]",
        ),
        click.option("--align", is_flag=True, help="Turn each face so that its eyes are level."),
        click.option(
            "--detector",
            metavar="FILE",
            help="YuNet's ONNX file.  [default: BATCHGENDER_DETECTOR, else the one that `fetch-detector` gets, fetched"
            " at the first use]",
        ),
    )
    decorated: Any = collected
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _read_label_names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> LabelNames:
    try:
        return parse_label_names(value)
    except UserError as error:
        raise click.UsageError(str(error), ctx) from error


def _read_shard(ctx: click.Context, param: click.Parameter, value: str | None) -> "Shard | None":
    from batchgender.photos.shard import parse_shard

    try:
        return None if value is None else parse_shard(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def shard_option(command: Command) -> Command:
    """Which part of the photos is classified; the command gets it as `shard`."""
    option = click.option(
        "--shard",
        metavar="I/N",
        callback=_read_shard,
        help="Classify shard I of N alone, I from 1 to N: about an Nth of the photos, by a hash of their paths. The"
        " command merge makes one results file of all shards.",
    )
    return option(command)


def label_names_option(command: Command) -> Command:
    """What folders and columns call the classes, beside the names that are known."""
    option = click.option(
        "--label-names",
        metavar="CLASS=NAME,...",
        multiple=True,
        callback=_read_label_names,
        help="Other names of a class among the labels: female=mujer,1.0; several times, or a file of such lines.",
    )
    return option(command)


def labels_option(command: Command) -> Command:
    """A file of labels that go before those of folders; the command gets its name, as `labels`."""
    option = click.option(
        "--labels",
        metavar="FILE.csv",
        help="Labels that go before those of folders: a CSV of path and label, or the sheet of `audit`, filled in; drop"
        " in the place of a label: none.",
    )
    return option(command)


def threshold_option(command: Command) -> Command:
    """What decides a prediction."""
    option = click.option(
        "--threshold",
        type=click.FloatRange(0, 1),
        callback=no_nan,
        help="Answer Unsure below this confidence; 0: never.  [default: the thresholds stored in the model]",
    )
    return option(command)


def groups_option(command: Command) -> Command:
    """By which groups is reported."""
    option = click.option(
        "--groups",
        metavar="FILE.csv",
        help="Report on groups, too: a CSV with a column path, as in the results (evaluate: as in the data, test[0]"
        " for a dataset), and a column for each grouping. Paths that begin differently are joined by their ends.",
    )
    return option(command)


def report_options(command: Command) -> Command:
    """What decides a prediction, by which groups it is reported, and whether a page shows photos."""
    return threshold_option(groups_option(thumbnails_option(command)))


def explain_option(command: Command) -> Command:
    """What explains the mistakes in a report that is a page; the command gets the names of methods, as `explained`."""
    option = click.option(
        "--explain",
        "explained",
        # As `open_explained.METHODS`, which is not imported here: --help must not wait for onnxruntime.
        type=click.Choice(["occlusion", "grad-cam"]),
        multiple=True,
        help="Show in a report that is a page what in the photos spoke for each mistake; may be given twice. As the"
        " command explain has it: grad-cam needs an extra.",
    )
    return option(command)


def check_explained(explained: Sequence[str], reports: Sequence[str], no_thumbnails: bool) -> None:
    """Raise UsageError where --explain is given, and no page shows photos."""
    if explained and not any(report.endswith(".html") for report in reports):
        raise click.UsageError("--explain is for a report that is a page: add --report NAME.html")
    if explained and no_thumbnails:
        raise click.UsageError("--explain and --no-thumbnails exclude each other: heat maps show the photos")


def csv_style_options(command: Command) -> Command:
    """How a CSV is written for spreadsheets; the command gets `csv_bom` and `csv_safe`."""
    bom = click.option(
        "--csv-bom", is_flag=True, help="Begin the CSV with a byte order mark, so that Excel reads it as UTF-8."
    )
    safe = click.option(
        "--csv-safe", is_flag=True, help="Put an apostrophe before cells that a spreadsheet may run as formulas."
    )
    return bom(safe(command))


def thumbnails_option(command: Command) -> Command:
    """Whether a report that is a page shows photos."""
    option = click.option(
        "--no-thumbnails",
        is_flag=True,
        help="Put no small pictures of photos into a report that is a page (.html).",
    )
    return option(command)


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
