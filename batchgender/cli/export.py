"""`batchgender export`: a checkpoint to model files."""

import click

from batchgender.cli.options import print_text, quiet_option
from batchgender.extras import require_extra
from batchgender.io import Notify


def _rank(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    if not (value.isascii() and value.isdigit() and int(value)):
        raise click.BadParameter(f"{value!r}: give a whole number above 0, or auto", ctx, param)
    return int(value)


@click.command(short_help="Write model files for other programs.")
@click.argument("checkpoint", required=False)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["onnx", "torchscript", "pt2", "openvino", "coreml", "tflite"]),
    multiple=True,
    help="May be given several times.",
)
@click.option("-o", "--out", metavar="FOLDER", default="exports", show_default=True, help="Or a file, for one format.")
@click.option(
    "--data",
    metavar="SRC",
    help="Photos to check the files on; their classes are compared, too.  [default: those of the training]",
)
@click.option(
    "--compress",
    "rank",
    metavar="RANK|auto",
    callback=_rank,
    help="Linear layers of this rank; auto: the smallest that keeps the accuracy.",
)
@click.option("--quantize", type=click.Choice(["int8", "float16"]), help="Weights in 8 or 16 bits, for onnx.")
@click.option("--flip", is_flag=True, help="Average the answers over the photo and its mirror image: twice the work.")
@click.option("--opset", type=click.IntRange(18, 23), default=18, show_default=True, help="Of the ONNX file.")
@click.option("--max-flips", type=click.IntRange(0), help="Keep no file that changes the class of more test photos.")
@click.option(
    "--license", "terms", metavar="TEXT", help="The licence that the file states.  [default: the checkpoint's]"
)
@click.option("--compare", is_flag=True, help="Write nothing: a table of all sizes, with accuracy and speed.")
@quiet_option
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
    notify: Notify,
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
    require_extra("train", "batchgender export")
    from batchgender.model.open_model import named_model
    from batchgender.training.run_folders import newest
    from batchgender.training.run_plan import BEST, RUNS

    if checkpoint:
        chosen = named_model(checkpoint, notify)
    else:
        chosen = str(newest(RUNS, BEST, "train first, or name a checkpoint"))
    notify(f"checkpoint: {chosen}")
    if compare:
        from batchgender.export.size_table import measure_variants, size_table_text

        print_text(size_table_text(measure_variants(chosen, data, notify, opset)))
        return
    from batchgender.export.export_checkpoint import ExportOptions, export_checkpoint

    options = ExportOptions(rank, quantize, flip, terms, opset, max_flips)
    export_checkpoint(chosen, formats, out, data, notify, options)
