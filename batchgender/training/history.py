"""The history of a run, an epoch a record: a table, a picture, a TensorBoard log."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from batchgender.errors import UserError, os_reason
from batchgender.extras import require_extra
from batchgender.io import written_whole

Record = dict[str, Any]
# Points of accuracy that the picture shows at least: a smaller range would blow up noise.
_LEAST_RANGE = 2.0


def write_history(history: Sequence[Record], out: Path) -> None:
    """Write history.csv to `out`; raises UserError where it can't be written."""
    with _errors_said(out), written_whole(out / "history.csv", newline="") as stream:
        columns = dict.fromkeys(name for record in history for name in record)
        writer = csv.DictWriter(stream, list(columns), restval="")
        writer.writeheader()
        writer.writerows(history)


def draw_history(history: Sequence[Record], out: Path, chosen: int) -> None:
    """Write history.png to `out`; raises UserError where it can't be written.

    `chosen` is the epoch whose weights are kept.
    """
    with _errors_said(out), written_whole(out / "history.png", "wb") as picture:
        _draw(history, picture, chosen)


@contextmanager
def _errors_said(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{out}: can't write the history ({os_reason(error)}); go on with --resume") from error


def epoch_line(record: Record) -> str:
    """One epoch's record on a line."""
    by_source = (
        f" (worst recall {100 * record['val_worst_recall']:.1f} %: {record['val_worst']})"
        if "val_worst" in record
        else ""
    )
    return (
        f"loss {record['loss']:.4f}  validation loss {record['val_loss']:.4f}"
        f"  validation accuracy {100 * record['val_accuracy']:.1f} %{by_source}  {record['seconds']:.0f} s"
        f"  {record['images_per_second']:.0f} images/s"
    )


class TensorBoardLog:
    """Scalars of each epoch under OUT/tensorboard; raises UserError where the package is missing."""

    def __init__(self, out: Path, after_epoch: int) -> None:
        require_extra("tensorboard", "train --tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        # An epoch that a killed run logged and that is done again is not shown twice.
        self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=after_epoch + 1)

    def add(self, record: Record) -> None:
        """Log one epoch."""
        for name, value in record.items():
            if name != "epoch" and not isinstance(value, str):
                self._writer.add_scalar(name, value, record["epoch"])
        self._writer.flush()


def _draw(history: Sequence[Record], stream: IO[bytes], chosen: int) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(13, 3.6), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    epochs = [record["epoch"] for record in history]
    accuracies = [100 * record["val_accuracy"] for record in history]
    style = "o-" if len(history) < 20 else "-"
    loss.plot(epochs, [record["loss"] for record in history], style, label="training")
    loss.plot(epochs, [record["val_loss"] for record in history], style, label="validation")
    loss.set(title="Loss (cross entropy)", xlabel="epoch")
    loss.margins(y=0.1)
    loss.set_ylim(bottom=0)
    accuracy.plot(epochs, accuracies, style + "C1", label="validation")
    # Room above and below, so that a flat curve lies on no edge.
    middle = (min(accuracies) + max(accuracies)) / 2
    half = 0.6 * max(max(accuracies) - min(accuracies), _LEAST_RANGE)
    accuracy.set(title="Accuracy (%)", xlabel="epoch", ylim=(middle - half, middle + half))
    low, high = max(0, middle - half), min(100, middle + half)
    accuracy.set_yticks([tick for tick in accuracy.get_yticks() if low <= tick <= high])
    # Epochs that an earlier version trained have no learning rate.
    rates = [record.get("learning_rate", float("nan")) for record in history]
    rate.plot(epochs, rates, style + "C2", label="at the end of the epoch")
    rate.set(title="Learning rate", xlabel="epoch")
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes in (loss, accuracy, rate):
        axes.axvline(chosen, color="0.5", linestyle="--", linewidth=1, label=f"epoch {chosen}, kept")
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(stream, format="png", dpi=120)
