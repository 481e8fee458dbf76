"""What each epoch gave, as a table, a picture and a TensorBoard log."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batchgender.errors import UserError, os_reason

Record = dict[str, Any]


def write_history(history: Sequence[Record], out: Path) -> None:
    """Write history.csv and history.png to `out`; raises UserError where they can't be written."""
    try:
        with open(out / "history.csv", "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, history[0])
            writer.writeheader()
            writer.writerows(history)
        _draw(history, out / "history.png")
    except OSError as error:
        raise UserError(f"{out}: can't write the history ({os_reason(error)}); go on with --resume") from error


class TensorBoardLog:
    """Scalars of each epoch under OUT/tensorboard; raises UserError where the package is missing."""

    def __init__(self, out: Path, after_epoch: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("TensorBoard is not installed; `pip install 'batchgender[tensorboard]'`") from error
        # What a killed run logged of an epoch that is done again is not shown twice.
        self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=after_epoch + 1)

    def add(self, record: Record) -> None:
        """Log one epoch."""
        for name, value in record.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, record["epoch"])
        self._writer.flush()


def _draw(history: Sequence[Record], path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    epochs = [record["epoch"] for record in history]
    style = "o-" if len(history) < 20 else "-"
    loss.plot(epochs, [record["loss"] for record in history], style, label="training")
    loss.plot(epochs, [record["val_loss"] for record in history], style, label="validation")
    loss.set(title="Loss (cross entropy)", xlabel="epoch", ylim=(0, None))
    accuracy.plot(epochs, [100 * record["val_accuracy"] for record in history], style + "C1", label="validation")
    accuracy.set(title="Accuracy (%)", xlabel="epoch")
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
