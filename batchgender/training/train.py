"""The training loop: epochs, notices, checkpoints, and the figures on the test split at its end."""

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from batchgender.errors import UserError
from batchgender.io import Notify, silent
from batchgender.lock import locked
from batchgender.report.figures import Figures
from batchgender.report.files import write_report
from batchgender.training import checkpoint as checkpoints
from batchgender.training.calibration import fit_calibration
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.data.batches import Batches
from batchgender.training.data.labelled_photos import LabelledPhotos, check_trainable
from batchgender.training.data.open_source import open_source
from batchgender.training.evaluation import evaluate
from batchgender.training.first_checks import check_space, check_splits
from batchgender.training.framing import framing_of
from batchgender.training.history import TensorBoardLog, draw_history, epoch_line, write_history
from batchgender.training.networks.deployed import logits_of, probabilities_of
from batchgender.training.photo_origins import PhotoOrigins
from batchgender.training.predictions import BATCH, predict_split
from batchgender.training.processes import Processes, started_processes
from batchgender.training.run_folders import make_folder
from batchgender.training.run_plan import BEST, LAST, RunPlan
from batchgender.training.swapped_labels import warn_of_swapped_labels
from batchgender.training.trainer import Trainer

# Seconds after which the picture of the history is drawn again: to draw it takes as long as a short epoch.
_REDRAWN = 30.0


@dataclass(frozen=True)
class TrainingOutputs:
    """What a training writes beside its run's folder: TensorBoard's log, and `reports` on the test split.

    Reports that are pages show `thumbnails` of some photos.
    """

    tensorboard: bool = False
    reports: tuple[str, ...] = ()
    thumbnails: bool = True


def train(plan: RunPlan, device: str, notify: Notify, outputs: TrainingOutputs = TrainingOutputs()) -> Figures | None:
    """Train, and write last.pt, best.pt, history.csv and history.png to the run's folder; return the test figures.

    A resumed run goes on from the end of its last epoch, to the same weights as a run that was never stopped.
    Of processes that `torchrun` started the first one writes and reports; for the others the figures are None. Raises
    UserError on data that can't be trained on, a loss that is no number, files that can't be written, and a
    folder that another run is writing to.
    """
    with started_processes(device) as processes:
        notify = notify if processes.first else silent
        with ExitStack() as held:
            processes.by_first(lambda: held.enter_context(locked([plan.out / LAST], notify)))
            return _train(plan, processes, notify, outputs)


def _train(plan: RunPlan, processes: Processes, notify: Notify, outputs: TrainingOutputs) -> Figures | None:
    recipe, out, target = plan.recipe, plan.out, processes.device
    start = _start(plan)
    source = open_source(plan.source, notify, plan.label_names, plan.labels)
    photos, validation, test = source.train, source.val, source.test
    check_trainable(photos, plan.source)
    check_splits(source)
    warn_of_swapped_labels([validation, photos], notify)
    if start and start.run.fingerprint != photos.fingerprint():
        raise UserError(
            f"{plan.source}: the training photos have changed, or their labels, since {out / LAST} was written"
        )
    trainer = Trainer(recipe, photos, validation, plan.source, processes, notify, start)
    # Not before all is there: a run that can't start leaves no folder.
    make_folder(out)
    check_space(out, (BEST, LAST), trainer.network, recipe)
    counts = ", ".join(f"{name} {count:,}" for name, count in photos.counts().items())
    sizes = f"{len(photos):,} photos to train ({counts}), {len(validation):,} to validate, {len(test):,} to test"
    notify(f"{plan.source}: {sizes}")
    on = target.type if processes.count == 1 else f"{processes.count} processes, {target.type}"
    notify(f"{recipe.architecture}, recipe {recipe.name}, {recipe.epochs} epochs on {on}, {trainer.precision}")
    framing = start.framing if start else processes.by_first(lambda: framing_of(photos, notify))
    state = start or trainer.state(0, [])
    if start and start.run.epoch >= recipe.epochs:
        notify(f"{out / LAST}: all {start.run.epoch} epochs are done; more with --epochs")
    board = TensorBoardLog(out, state.run.epoch) if outputs.tensorboard and processes.first else None
    files = _RunFiles(out)
    try:
        for epoch in range(state.run.epoch + 1, recipe.epochs + 1):
            if _stopped(state):
                last = state.run.epoch
                notify(f"no better validation accuracy in {recipe.patience} epochs: stopped after epoch {last}")
                break
            record = trainer.epoch(epoch, out)
            state = trainer.state(epoch, [*state.run.history, record])
            state = replace(state, label_names=plan.label_names, labels=plan.labels, framing=framing)
            processes.by_first(partial(files.save, state))
            if board:
                board.add(record)
            notify(f"epoch {epoch}/{recipe.epochs}  {epoch_line(record)}")
        processes.by_first(files.draw)
    except (KeyboardInterrupt, UserError) as error:
        with suppress(UserError):
            files.draw()
        if isinstance(error, KeyboardInterrupt) and state.run.epoch:
            notify(f"{out / LAST}: holds epoch {state.run.epoch}; go on with --resume")
        raise
    if not processes.first:
        return None
    best = _calibrated(checkpoints.load(out / BEST), validation, trainer.origins, target, notify)
    figures = evaluate(probabilities_of(best.deployed().to(target), target), best.info(), test, notify)
    checkpoints.save(replace(best, metrics=figures.split_figures()), out / BEST)
    about = {
        "model": str(out / BEST),
        "photos_from": [source.name],
        "split": "test",
        "thresholds": {},
        "training": {"history": state.run.history, "chosen_epoch": best.run.epoch},
    }
    for report in outputs.reports:
        write_report(report, figures, about, test.as_photos() if outputs.thumbnails else ())
    return figures


def _calibrated(
    best: Checkpoint,
    validation: LabelledPhotos,
    origins: PhotoOrigins | None,
    device: torch.device,
    notify: Notify,
) -> Checkpoint:
    """The checkpoint with the temperature that fits its validation photos; as it is where none can be found."""
    batches = Batches(validation, best.recipe.input_size, BATCH, notify)
    found = predict_split(logits_of(best.deployed().to(device), device), batches, "calibrate", notify)
    labels = validation.labels_as(best.classes)[found.indices]
    weights = origins.weights(found.indices) if origins else None
    try:
        calibration = fit_calibration(found.outputs, labels, notify, best.recipe.equal_recall, weights=weights)
    except UserError as error:
        notify(f"not calibrated: {error}")
        return best
    fit = calibration.fit
    assert fit
    notify(
        f"epoch {best.run.epoch} is kept; temperature {calibration.temperature:.3f}, expected calibration error"
        f" {fit.ece_before:.4f} before, {fit.ece_after:.4f} after, over {fit.photos:,} validation photos"
    )
    return replace(best, calibration=calibration, metrics=None)


def _start(plan: RunPlan) -> Checkpoint | None:
    last = plan.out / LAST
    if last.exists() and not plan.resume:
        raise UserError(f"{last}: a training is here already; go on with --resume or choose another --out")
    return checkpoints.load(last) if plan.resume else None


class _RunFiles:
    """The files of a run, written by its first process: those of each epoch, and the picture now and then."""

    def __init__(self, out: Path) -> None:
        self._out = out
        # What is saved and not drawn.
        self._saved: Checkpoint | None = None
        self._drawn = time.monotonic()

    def save(self, state: Checkpoint) -> None:
        """Save an epoch; best.pt is that of the highest validation accuracy, of equals that of the lowest loss.

        Or the last one, where the recipe keeps that.
        """
        if _chosen_epoch(state) == state.run.epoch:
            checkpoints.save(replace(state, run=state.run.without_training()), self._out / BEST)
        checkpoints.save(state, self._out / LAST)
        write_history(state.run.history, self._out)
        self._saved = state
        if time.monotonic() - self._drawn >= _REDRAWN:
            self.draw()

    def draw(self) -> None:
        """Draw what is saved, where that has not been drawn yet."""
        if self._saved:
            draw_history(self._saved.run.history, self._out, _chosen_epoch(self._saved))
            self._saved, self._drawn = None, time.monotonic()


def _chosen_epoch(state: Checkpoint) -> int:
    return state.run.epoch if state.recipe.keep == "last" else _best_epoch(state)


def _best_epoch(state: Checkpoint) -> int:
    best = max(state.run.history, key=lambda record: (record["val_accuracy"], -record["val_loss"]))
    return int(best["epoch"])


def _stopped(state: Checkpoint) -> bool:
    patience = state.recipe.patience
    return bool(patience and state.run.history and state.run.epoch - _best_epoch(state) >= patience)
