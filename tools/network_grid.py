"""AlexNets of several widths, strides and picture sizes, trained alike: validation accuracy against time a photo."""

import csv
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from batchgender.errors import UserError
from batchgender.export.export_checkpoint import ExportOptions, export_checkpoint
from batchgender.io import Notify, written_whole
from batchgender.model.open_model import open_model
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data.open_source import open_source
from batchgender.training.history import epoch_line
from batchgender.training.networks.alexnet import AlexNet
from batchgender.training.networks.registry import OURS
from batchgender.training.processes import Processes, pick_device
from batchgender.training.recipe import changed, find_recipe
from batchgender.training.run_folders import make_folder
from batchgender.training.trainer import Trainer

# Filters of the five convolutions of AlexNet.
_FILTERS = (64, 192, 384, 256, 256)
# Eighths of them.
_WIDTHS = (8, 6, 5, 4, 3)
_SIZES = (80, 96, 112, 128, 160)
# Strides of the first convolution, with the kernel that fits each.
_KERNELS = {2: 7, 4: 11}
# Calls that are timed for the median, and photos of each: as `classify` gives them.
_TIMED, _BATCH = 40, 32


@dataclass(frozen=True)
class Row:
    """A network and what was measured: accuracies are shares, `ms` is what its int8 file takes a photo and core."""

    name: str
    input_size: int
    eighths: int
    stride: int
    multiply_adds: int
    parameters: int
    val_accuracy: float
    val_loss: float
    worst_recall: float
    train_seconds: float
    ms: float = 0.0


def network_of(eighths: int, stride: int, size: int, classes: int) -> AlexNet:
    """An AlexNet with so many eighths of the filters."""
    filters = [max(8, count * eighths // 8) for count in _FILTERS]
    places = size
    # The first convolution, then three poolings of 3 by 2.
    places = (places + 4 - _KERNELS[stride]) // stride + 1
    for _ in range(3):
        places = (places - 3) // 2 + 1
    one, two, three, four, five = filters
    return AlexNet(
        classes,
        dropout=0.25,
        batch_norm=True,
        width=256,
        filters=(one, two, three, four, five),
        first=(_KERNELS[stride], stride),
        places=min(places, 6),
    )


def multiply_adds_of(network: torch.nn.Module, size: int) -> int:
    """Of the convolutions and linear layers, for one picture."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, size, size))
    # A multiplication and an addition count as two.
    return int(counter.get_total_flops()) // 2


def networks(limit: int) -> list[tuple[int, int, int]]:
    """Eighths, stride and picture size of the networks from a third of `limit` to all of it, in multiply-adds."""
    found = []
    for size in _SIZES:
        for eighths in _WIDTHS:
            for stride in _KERNELS:
                if size // stride >= 32:
                    adds = multiply_adds_of(network_of(eighths, stride, size, 2), size)
                    if limit / 3 <= adds <= limit:
                        found.append((eighths, stride, size))
    return found


def measure(
    data: str, sources: str, eighths: int, stride: int, size: int, epochs: int, seed: int, out: Path, notify: Notify
) -> Row:
    """Train one network and export it as int8; the test photos are not looked at."""
    name = f"alexnet_w{eighths}_s{stride}_{size}"
    OURS[name] = partial(network_of, eighths, stride, size)
    given = {"architecture": name, "input_size": size, "epochs": epochs, "seed": seed, "sources": sources}
    recipe = changed(find_recipe("narrow"), given)
    source = open_source(data, notify)
    trainer = Trainer(recipe, source.train, source.val, data, Processes(pick_device("auto")), notify)
    started, history = time.perf_counter(), []
    for epoch in range(1, epochs + 1):
        history.append(trainer.epoch(epoch, out))
        notify(f"{name}: epoch {epoch}/{epochs}  {epoch_line(history[-1])}")
    seconds = time.perf_counter() - started
    folder = out / name
    make_folder(folder)
    checkpoints.save(trainer.state(epochs, history), folder / "best.pt")
    export_checkpoint(
        str(folder / "best.pt"), ["onnx"], str(folder / "model.onnx"), None, notify, ExportOptions(precision="int8")
    )
    last = history[-1]
    return Row(
        name=name,
        input_size=size,
        eighths=eighths,
        stride=stride,
        multiply_adds=multiply_adds_of(trainer.network, size),
        parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        val_accuracy=last["val_accuracy"],
        val_loss=last["val_loss"],
        worst_recall=last.get("val_worst_recall", 0.0),
        train_seconds=seconds,
    )


def timed(rows: Sequence[Row], out: Path) -> list[Row]:
    """The rows with the times of their files, measured in turns: the machine may be slower at one time than another."""
    predicts = [open_model(str(out / row.name / "model.onnx")).predict for row in rows]
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (_BATCH, row.input_size, row.input_size, 3), np.uint8) for row in rows]
    times: list[list[float]] = [[] for _ in rows]
    for _ in range(_TIMED):
        for predict, batch, own in zip(predicts, pictures, times, strict=True):
            begun = time.perf_counter()
            predict(batch)
            own.append(time.perf_counter() - begun)
    return [replace(row, ms=1e3 * statistics.median(own) / _BATCH) for row, own in zip(rows, times, strict=True)]


def frontier(rows: Sequence[Row]) -> list[Row]:
    """The networks than which none is both faster and more accurate, the fastest first."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.ms, -row.val_accuracy)):
        if not best or row.val_accuracy > best[-1].val_accuracy:
            best.append(row)
    return best


def draw(rows: Sequence[Row], file: Path) -> None:
    """The grid as a picture: time of the int8 file against validation accuracy, and the frontier."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for at, row in enumerate(sorted(rows, key=lambda row: row.ms)):
        axes.plot(row.ms, 100 * row.val_accuracy, "o", color=f"C{(2, 4).index(row.stride)}")
        axes.annotate(
            f"{row.eighths}/8, {row.input_size} px, {row.multiply_adds / 1e6:.0f} M",
            (row.ms, 100 * row.val_accuracy), fontsize=7, textcoords="offset points",
            # Not all on one side: neighbours are often alike.
            xytext=(0, (6, -12, 6)[at % 3]), ha="center",
        )  # fmt: skip
    edge = frontier(rows)
    axes.plot([row.ms for row in edge], [100 * row.val_accuracy for row in edge], "-", color="gray", zorder=0)
    for color, stride in enumerate((2, 4)):
        axes.plot([], [], "o", color=f"C{color}", label=f"first stride {stride}")
    axes.set(xlabel="int8 file, ms a photo and core", ylabel="validation accuracy (%)")
    axes.margins(x=0.12, y=0.12)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with written_whole(file, "wb") as stream:
        figure.savefig(stream, format="png", dpi=110)


def table(rows: Sequence[Row]) -> str:
    """The grid as a table in Markdown; `*` marks the frontier."""
    edge = frontier(rows)
    heads = ["width", "first stride", "pixels", "multiply-adds, million", "weights, million"]
    heads += ["validation", "worst recall", "int8, ms"]
    lines = [heads, ["---"] * 3 + ["---:"] * 5]
    for row in sorted(rows, key=lambda row: row.ms):
        lines.append(
            [
                f"{row.eighths}/8{' *' if row in edge else ''}",
                f"{row.stride}",
                f"{row.input_size}",
                f"{row.multiply_adds / 1e6:.0f}",
                f"{row.parameters / 1e6:.1f}",
                f"{100 * row.val_accuracy:.1f} %",
                f"{100 * row.worst_recall:.1f} %",
                f"{row.ms:.2f}",
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_rows(rows: Sequence[Row], file: Path) -> None:
    """Keep the networks that are done."""
    with written_whole(file, newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(asdict(rows[0]))
        writer.writerows(map(astuple, rows))


def read_rows(file: Path) -> list[Row]:
    """The networks that are done; raises UserError where the file is none of this tool's."""
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as stream:
        kinds: dict[str, Any] = {field.name: field.type for field in fields(Row)}
        try:
            return [Row(**{key: kinds[key](value) for key, value in cells.items()}) for cells in csv.DictReader(stream)]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{file}: holds other columns than a grid; remove it, or name another OUT") from error


@click.command()
@click.argument("data")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--sources", default="", help="As for `train`.")
@click.option("--epochs", type=click.IntRange(1), default=4, show_default=True, help="Of each network.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all trainings; another one needs another OUT.")
@click.option(
    "--limit", type=int, default=240, show_default=True, help="Multiply-adds at most, million; a third at least."
)
def main(data: str, out: Path, sources: str, epochs: int, seed: int, limit: int) -> None:
    """Train the networks of the grid on DATA, and write grid.csv, grid.md and grid.png to OUT; resumable."""

    def say(line: str) -> None:
        click.echo(line, err=True)

    try:
        make_folder(out)
        rows = read_rows(out / "grid.csv")
        grid = networks(limit * 1_000_000)
        if not grid:
            raise UserError(f"no network has {limit / 3:.0f} to {limit} million multiply-adds; give another --limit")
        for eighths, stride, size in grid:
            if any((row.eighths, row.stride, row.input_size) == (eighths, stride, size) for row in rows):
                continue
            rows.append(measure(data, sources, eighths, stride, size, epochs, seed, out, say))
            write_rows(rows, out / "grid.csv")
        rows = timed(rows, out)
        write_rows(rows, out / "grid.csv")
        draw(rows, out / "grid.png")
        with written_whole(out / "grid.md") as stream:
            stream.write(table(rows) + "\n")
    except UserError as error:
        raise click.ClickException(str(error)) from error
    click.echo(table(rows))


if __name__ == "__main__":
    main()
