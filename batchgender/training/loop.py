"""The training loop: epochs, log, checkpoints."""

import csv
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from batchgender.errors import UserError, os_reason
from batchgender.report import Report
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.data import Batches, LabelledPhotos, Log, check_trainable, load_split
from batchgender.training.evaluate import evaluate, predictor
from batchgender.training.models import Normalize, build
from batchgender.training.recipe import Recipe


def pick_device(name: str) -> torch.device:
    """Turn "auto" into CUDA, MPS or the CPU, whichever is there first; raises UserError where `name` is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, found in there.items() if found))
    if not there[name]:
        raise UserError(f"no {name} device here; use --device auto")
    return torch.device(name)


def train(recipe: Recipe, source: str, out: Path, device: str, log: Log, resume: bool = False) -> Report:
    """Train, and write last.pt, best.pt, history.csv and history.png to `out`; return the test split's report.

    A resumed run goes on from the end of its last epoch, to the same weights as a run that was never stopped.
    Raises UserError on data that can't be trained on, a loss that is no number, and files that can't be written.
    """
    target = pick_device(device)
    start = _start(out, resume)
    photos = load_split(source, "train", log)
    validation = load_split(source, "val", log)
    test = load_split(source, "test", log)
    check_trainable(photos, source)
    if start and start.fingerprint != photos.fingerprint():
        raise UserError(f"{source}: the training photos have changed since {out / 'last.pt'} was written")
    # Not before the data is there: a run that can't start leaves no folder.
    _make_folder(out)
    trainer = _Trainer(recipe, photos, validation, source, target, log)
    counts = ", ".join(f"{name} {count:,}" for name, count in photos.counts().items())
    log(f"{source}: {len(photos):,} photos to train ({counts}), {len(validation):,} to validate, {len(test):,} to test")
    log(f"{recipe.architecture}, recipe {recipe.name}, {recipe.epochs} epochs on {target.type}, {trainer.precision}")
    state = trainer.restore(start) if start else trainer.state(0, [])
    if start and start.epoch >= recipe.epochs:
        log(f"{out / 'last.pt'}: all {start.epoch} epochs are done; more with --epochs")
    for epoch in range(state.epoch + 1, recipe.epochs + 1):
        record = trainer.epoch(epoch, out)
        state = trainer.state(epoch, [*state.history, record])
        _keep(state, out)
        log(
            f"epoch {epoch}/{recipe.epochs}  loss {record['loss']:.4f}  validation loss {record['val_loss']:.4f}"
            f"  validation accuracy {100 * record['val_accuracy']:.1f} %  {record['seconds']:.0f} s"
            f"  {record['images_per_second']:.0f} images/s"
        )
    best = checkpoints.load(out / "best.pt")
    report = evaluate(predictor(best.deployed().to(target), target), best.classes, test, recipe.input_size, log)
    checkpoints.save(replace(best, metrics=report.metrics()), out / "best.pt")
    return report


def _start(out: Path, resume: bool) -> Checkpoint | None:
    last = out / "last.pt"
    if last.exists() and not resume:
        raise UserError(f"{last}: a training is here already; go on with --resume or choose another --out")
    return checkpoints.load(last) if resume else None


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: can't make this folder ({os_reason(error)}); choose another --out") from None


def _keep(state: Checkpoint, out: Path) -> None:
    """Save the state; best.pt is the epoch of the highest validation accuracy, the earliest of equals."""
    accuracies = [record["val_accuracy"] for record in state.history]
    if max(accuracies[:-1], default=-1.0) < accuracies[-1]:
        checkpoints.save(replace(state, optimizer={}), out / "best.pt")
    checkpoints.save(state, out / "last.pt")
    try:
        with open(out / "history.csv", "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, state.history[0])
            writer.writeheader()
            writer.writerows(state.history)
        _draw(state.history, out / "history.png")
    except OSError as error:
        raise UserError(f"{out}: can't write the history ({os_reason(error)}); go on with --resume") from None


def _draw(history: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    epochs = [record["epoch"] for record in history]
    loss.plot(epochs, [record["loss"] for record in history], "o-", label="training")
    loss.plot(epochs, [record["val_loss"] for record in history], "o-", label="validation")
    loss.set(title="Loss (cross entropy)", xlabel="epoch", ylim=(0, None))
    accuracy.plot(epochs, [100 * record["val_accuracy"] for record in history], "o-C1", label="validation")
    accuracy.set(title="Accuracy (%)", xlabel="epoch")
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


class _Trainer:
    """One run's network, optimizer and data; all randomness of an epoch comes from the seed and its number."""

    def __init__(
        self,
        recipe: Recipe,
        photos: LabelledPhotos,
        validation: LabelledPhotos,
        source: str,
        device: torch.device,
        log: Log,
    ) -> None:
        self.recipe, self.source, self.device = recipe, source, device
        self.photos, self.validation = photos, validation
        self.batches = Batches(photos, recipe.input_size, recipe.batch_size, log)
        self.validation_batches = Batches(validation, recipe.input_size, recipe.batch_size, log)
        torch.manual_seed(recipe.seed)
        network = build(recipe.architecture, len(photos.classes))
        self.network = network.to(memory_format=torch.channels_last).to(device)
        self.normalize = Normalize(recipe.mean, recipe.std).to(device)
        # Fused: one pass over the 57 M weights, half the time of a step on the CPU.
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.lr, fused=True)
        self.bfloat16 = _fast_bfloat16(device)
        self.precision = "bfloat16 autocast" if self.bfloat16 else "float32"

    def restore(self, start: Checkpoint) -> Checkpoint:
        """Go on from a checkpoint."""
        if not start.optimizer:
            raise UserError("this checkpoint holds no optimizer state; resume from last.pt")
        self.network.load_state_dict(start.weights)
        self.optimizer.load_state_dict(start.optimizer)
        return start

    def state(self, epoch: int, history: list[dict[str, Any]]) -> Checkpoint:
        """Everything that a resumed run needs."""
        return Checkpoint(
            weights=self.network.state_dict(),
            classes=self.photos.classes,
            recipe=self.recipe,
            epoch=epoch,
            source=self.source,
            fingerprint=self.photos.fingerprint(),
            history=history,
            optimizer=self.optimizer.state_dict(),
        )

    def epoch(self, epoch: int, out: Path) -> dict[str, Any]:
        """Train one epoch and validate; return its record."""
        started = time.perf_counter()
        torch.manual_seed(self.recipe.seed * 1_000_003 + epoch)
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self.photos)).tolist()
        self.network.train()
        total, seen = 0.0, 0
        bar = tqdm(total=len(self.photos), desc=f"epoch {epoch}", unit=" images", disable=None, leave=False)
        with bar:
            for images, labels, indices in self.batches(order):
                loss = self._step(torch.from_numpy(images), torch.from_numpy(labels))
                if not math.isfinite(loss):
                    kept = f"; {out / 'last.pt'} holds the epoch before" if epoch > 1 else ""
                    raise UserError(
                        f"the loss is no number any more at epoch {epoch}, image {seen + len(indices):,}{kept};"
                        " try a smaller --lr"
                    )
                total += loss * len(indices)
                seen += len(indices)
                bar.update(len(indices))
                bar.set_postfix(loss=f"{total / seen:.4f}")
        if not seen:
            raise UserError(f"{self.source}: none of the training photos could be read")
        seconds = time.perf_counter() - started
        val_loss, val_accuracy = self._validate()
        return {
            "epoch": epoch,
            "loss": total / seen,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "seconds": round(seconds, 2),
            "images_per_second": round(seen / seconds, 1),
        }

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        logits = self._logits(images, self.bfloat16)
        loss = F.cross_entropy(logits, labels.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _logits(self, images: torch.Tensor, bfloat16: bool) -> torch.Tensor:
        pixels = self.normalize(images.to(self.device))
        autocast: AbstractContextManager = (
            torch.autocast(self.device.type, torch.bfloat16) if bfloat16 else nullcontext()
        )
        with autocast:
            return self.network(pixels).float()

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Mean cross entropy and top-1 accuracy on the validation split, in float32."""
        self.network.eval()
        total, correct, seen = 0.0, 0, 0
        for images, labels, _ in self.validation_batches(range(len(self.validation))):
            logits, target = (
                self._logits(torch.from_numpy(images), False),
                torch.from_numpy(labels).to(self.device),
            )
            total += F.cross_entropy(logits, target, reduction="sum").item()
            correct += int((logits.argmax(1) == target).sum())
            seen += len(labels)
        if not seen:
            raise UserError(f"{self.source}: none of the validation photos could be read")
        return total / seen, correct / seen


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere autocast would only slow it down."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
