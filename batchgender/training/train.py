"""The training loop: epochs, notices, checkpoints."""

from dataclasses import replace
from pathlib import Path

import torch

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify
from batchgender.report.counts import Report
from batchgender.training import checkpoint as checkpoints
from batchgender.training.calibration import calibrated, logits_of
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.data.sources import LabelledPhotos, check_trainable, load_split
from batchgender.training.evaluation import evaluate, predictor
from batchgender.training.history import TensorBoardLog, write_history
from batchgender.training.recipe import Recipe
from batchgender.training.trainer import Trainer


def pick_device(name: str) -> torch.device:
    """Turn "auto" into CUDA, MPS or the CPU, whichever is there first; raises UserError where `name` is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, found in there.items() if found))
    if not there[name]:
        raise UserError(f"no {name} device here; use --device auto")
    return torch.device(name)


def train(
    recipe: Recipe,
    source: str,
    out: Path,
    device: str,
    notify: Notify,
    resume: bool = False,
    tensorboard: bool = False,
) -> Report:
    """Train, and write last.pt, best.pt, history.csv and history.png to `out`; return the test split's report.

    A resumed run goes on from the end of its last epoch, to the same weights as a run that was never stopped.
    Raises UserError on data that can't be trained on, a loss that is no number, and files that can't be written.
    """
    target = pick_device(device)
    start = _start(out, resume)
    photos = load_split(source, "train", notify)
    validation = load_split(source, "val", notify)
    test = load_split(source, "test", notify)
    check_trainable(photos, source)
    if start and start.fingerprint != photos.fingerprint():
        raise UserError(f"{source}: the training photos have changed since {out / 'last.pt'} was written")
    trainer = Trainer(recipe, photos, validation, source, target, notify, start)
    # Not before all is there: a run that can't start leaves no folder.
    _make_folder(out)
    counts = ", ".join(f"{name} {count:,}" for name, count in photos.counts().items())
    notify(
        f"{source}: {len(photos):,} photos to train ({counts}), {len(validation):,} to validate, {len(test):,} to test"
    )
    notify(f"{recipe.architecture}, recipe {recipe.name}, {recipe.epochs} epochs on {target.type}, {trainer.precision}")
    state = start or trainer.state(0, [])
    if start and start.epoch >= recipe.epochs:
        notify(f"{out / 'last.pt'}: all {start.epoch} epochs are done; more with --epochs")
    board = TensorBoardLog(out, state.epoch) if tensorboard else None
    for epoch in range(state.epoch + 1, recipe.epochs + 1):
        if _stopped(state, recipe.patience):
            notify(f"no better validation accuracy in {recipe.patience} epochs: stopped after epoch {state.epoch}")
            break
        record = trainer.epoch(epoch, out)
        state = trainer.state(epoch, [*state.history, record])
        _keep(state, out)
        if board:
            board.add(record)
        notify(
            f"epoch {epoch}/{recipe.epochs}  loss {record['loss']:.4f}  validation loss {record['val_loss']:.4f}"
            f"  validation accuracy {100 * record['val_accuracy']:.1f} %  {record['seconds']:.0f} s"
            f"  {record['images_per_second']:.0f} images/s"
        )
    best = _calibrated(checkpoints.load(out / "best.pt"), validation, target, notify)
    network = predictor(best.deployed().to(target), target)
    report = evaluate(
        network, best.classes, test, recipe.input_size, notify, temperature=best.temperature, bias=best.bias
    )
    checkpoints.save(replace(best, metrics=report.metrics()), out / "best.pt")
    return report


def _calibrated(best: Checkpoint, validation: LabelledPhotos, device: torch.device, notify: Notify) -> Checkpoint:
    """The checkpoint with the temperature that fits its validation photos; as it is where none can be found."""
    size = best.recipe.input_size
    logits, labels = logits_of(best.deployed().to(device), validation, best.classes, size, notify, device)
    try:
        after = calibrated(best, logits, labels, best.recipe.equal_recall)
    except UserError as error:
        notify(f"not calibrated: {error}")
        return best
    fit = after.calibration
    notify(
        f"epoch {best.epoch} is kept; temperature {after.temperature:.3f}, expected calibration error"
        f" {fit['ece_before']:.4f} before, {fit['ece_after']:.4f} after, over {fit['photos']:,} validation photos"
    )
    return after


def _start(out: Path, resume: bool) -> Checkpoint | None:
    last = out / "last.pt"
    if last.exists() and not resume:
        raise UserError(f"{last}: a training is here already; go on with --resume or choose another --out")
    return checkpoints.load(last) if resume else None


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: can't make this folder ({os_reason(error)}); choose another --out") from error


def _keep(state: Checkpoint, out: Path) -> None:
    """Save the state; best.pt is the epoch of the highest validation accuracy, of equals that of the lowest loss.

    Or the last one, where the recipe keeps that.
    """
    if state.recipe.keep == "last" or _best_epoch(state) == state.epoch:
        checkpoints.save(replace(state, optimizer={}, live={}, auxiliary={}), out / "best.pt")
    checkpoints.save(state, out / "last.pt")
    write_history(state.history, out)


def _best_epoch(state: Checkpoint) -> int:
    best = max(state.history, key=lambda record: (record["val_accuracy"], -record["val_loss"]))
    return int(best["epoch"])


def _stopped(state: Checkpoint, patience: int) -> bool:
    return bool(patience and state.history and state.epoch - _best_epoch(state) >= patience)
