"""`batchgender export`: a checkpoint to model files."""

import click

from batchgender.cli.options import notify


def _rank(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    if not (value.isascii() and value.isdigit() and int(value)):
        raise click.BadParameter(f"{value!r} is neither a number from 1 on nor auto", ctx, param)
    return int(value)


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
    from batchgender.training.run_folders import newest

    chosen = checkpoint or str(newest("best.pt", "train first, or name a checkpoint"))
    notify(f"checkpoint: {chosen}")
    if compare:
        from batchgender.export.compare_sizes import as_text, compare_exports

        click.echo(as_text(compare_exports(chosen, data, notify, opset)))
        return
    from batchgender.export.export_checkpoint import Options
    from batchgender.export.export_checkpoint import export as write
    from batchgender.training.checkpoint import LICENSE

    if "torchscript" in formats:
        notify("TorchScript is deprecated in PyTorch; --format pt2 is its successor")
    options = Options(rank, quantize, flip, terms or LICENSE, opset, max_flips)
    write(chosen, formats, out, data, notify, options)
