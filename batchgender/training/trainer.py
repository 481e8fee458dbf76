"""A training of one network: the step, the epoch, the validation."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.progress import Progress
from batchgender.training.augmentation import augment
from batchgender.training.auxiliary_task import AuxiliaryTask, WithAuxiliaryTask
from batchgender.training.checkpoint import Checkpoint, RunState
from batchgender.training.data.batches import Batch, Batches
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.distillation import Teachers
from batchgender.training.framing import faces_of
from batchgender.training.networks.deployed import Normalize
from batchgender.training.networks.registry import build
from batchgender.training.optimization import (
    STEPS_AN_AVERAGE,
    class_weights,
    has_fast_bfloat16,
    learning_rate,
    make_mixers,
    make_optimizer,
    size_at,
    update_average,
)
from batchgender.training.photo_origins import origin_figures, read_origins
from batchgender.training.predictions import predict_split
from batchgender.training.processes import Processes
from batchgender.training.recipe import Recipe
from batchgender.training.weights.batch_norm import restore_batch_norm
from batchgender.training.weights.licenses import combined_license
from batchgender.training.weights.load_weights import load_weights

# So many photos tell the mean and variance that batch normalisation will see.
_BATCH_NORM_PHOTOS = 512


class Trainer:
    """A run of a recipe; all randomness of an epoch comes from the seed and the epoch's number."""

    def __init__(
        self,
        recipe: Recipe,
        photos: LabelledPhotos,
        validation: LabelledPhotos,
        source: str,
        processes: Processes,
        notify: Notify,
        start: Checkpoint | None = None,
    ) -> None:
        """Begin at random weights, at those that the recipe names, or where the checkpoint `start` stopped.

        Raises UserError where the network, its weights, its teacher and the recipe don't fit.
        """
        self.recipe, self.source, self.processes, self.device = recipe, source, processes, processes.device
        device, self._notify = processes.device, notify
        self.photos, self.validation = photos, validation
        self.normalize = Normalize(recipe.mean, recipe.std).to(device)
        self.batches = Batches(photos, recipe.input_size, processes.batch_size(recipe.batch_size), notify)
        self.validation_batches = Batches(validation, recipe.input_size, recipe.batch_size, notify)
        torch.manual_seed(recipe.seed)
        network = build(recipe.architecture, len(photos.classes))
        if self.batches.batch_size == 1 and any(
            isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules()
        ):
            raise UserError(
                f"{recipe.architecture} normalises over the batch; give --batch-size {2 * processes.count} or more"
            )
        pixels, license = (recipe.mean, recipe.std), ""
        if recipe.weights and not start:
            license = load_weights(network, recipe.architecture, recipe.weights, notify, pixels)
        _check_sizes(network, recipe)
        self.network = network.to(memory_format=torch.channels_last).to(device)
        self.faces = processes.by_first(lambda: faces_of(photos, notify)) if recipe.needs_faces else None
        if not start and kind_of_file(recipe.weights) is FileKind.ONNX:
            restore_batch_norm(self.network, self._first_pixels())
        self.average = copy.deepcopy(self.network).requires_grad_(False) if recipe.ema else None
        self.class_weights = torch.from_numpy(class_weights(photos)).to(device) if recipe.balance else None
        self.teacher = Teachers(recipe.teacher, photos.classes, recipe).to(device) if recipe.teacher else None
        taught = self.teacher.licenses if self.teacher else []
        self.license = combined_license([start.license if start else license, *taught])
        self.auxiliary = (
            AuxiliaryTask(recipe.also_learn, photos, self.network, notify).to(device) if recipe.also_learn else None
        )
        self.origins = read_origins(recipe.sources, validation, notify) if recipe.sources else None
        self.optimizer = make_optimizer([self.network, *([self.auxiliary] if self.auxiliary else [])], recipe)
        self.mixers = make_mixers(recipe)
        self.steps_an_epoch = math.ceil(len(photos) / recipe.batch_size)
        self.bfloat16 = has_fast_bfloat16(device)
        self.precision = "bfloat16 autocast" if self.bfloat16 else "float32"
        if start:
            self._restore(start)
        self.learner = processes.wrapped(WithAuxiliaryTask(self.network, self.auxiliary))

    def _restore(self, start: Checkpoint) -> None:
        if not start.run.optimizer:
            raise UserError("this checkpoint holds no optimizer state; resume from last.pt")
        self.network.load_state_dict(start.run.live or start.weights)
        if self.average:
            self.average.load_state_dict(start.weights)
        if self.auxiliary:
            self.auxiliary.restore(start.run.auxiliary)
        self.optimizer.load_state_dict(start.run.optimizer)

    def state(self, epoch: int, history: list[dict[str, Any]]) -> Checkpoint:
        """Everything that a resumed run needs."""
        return Checkpoint(
            weights=(self.average or self.network).state_dict(),
            classes=self.photos.classes,
            recipe=self.recipe,
            source=self.source,
            run=RunState(
                epoch=epoch,
                fingerprint=self.photos.fingerprint(),
                history=history,
                optimizer=self.optimizer.state_dict(),
                live=self.network.state_dict() if self.average else {},
                auxiliary=self.auxiliary.state() if self.auxiliary else {},
            ),
            license=self.license,
        )

    def epoch(self, epoch: int, out: Path) -> dict[str, Any]:
        """Train one epoch and validate; return its record."""
        started = time.perf_counter()
        recipe = self.recipe
        torch.manual_seed(recipe.seed * 1_000_003 + epoch)
        self.network.train()
        total, seen = 0.0, 0
        step = (epoch - 1) * self.steps_an_epoch
        with Progress(f"epoch {epoch}", "photos", self._notify, total=len(self.photos)) as progress:
            for images, labels, indices in self.processes.in_step(self._batches_of(epoch)):
                loss = self._step(torch.from_numpy(images), torch.from_numpy(labels), indices, step)
                if not math.isfinite(loss):
                    kept = f"; {out / 'last.pt'} holds the epoch before" if epoch > 1 else ""
                    raise UserError(
                        f"the loss is no number any more at epoch {epoch}, step {step + 1:,}, image"
                        f" {seen + len(indices):,}{kept}; try a smaller --lr"
                    )
                step += 1
                total += loss * len(indices)
                seen += len(indices)
                progress.update(len(indices) * self.processes.count, f"loss {total / seen:.4f}")
        loss_sum, trained = self.processes.sums(total, seen)
        if not trained:
            raise UserError(f"{self.source}: none of the training photos could be read")
        seconds = time.perf_counter() - started
        return {
            "epoch": epoch,
            "loss": loss_sum / trained,
            **self.processes.by_first(self._validate),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": round(seconds, 2),
            "images_per_second": round(trained / seconds, 1),
        }

    def _batches_of(self, epoch: int) -> Iterator[Batch]:
        """The batches of this epoch that this process takes; one photo of many has no variance to normalise by."""
        return (batch for batch in self._views(epoch) if len(batch[2]) > 1 or self.batches.batch_size == 1)

    def _views(self, epoch: int) -> Iterator[Batch]:
        """The training photos in the order, and as the views, of this epoch."""
        recipe = self.recipe
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(self.photos)).tolist()
        size = size_at(recipe, epoch)

        def view(image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
            face = None if self.faces is None or np.isnan(self.faces[index, 0]) else self.faces[index]
            return augment(image, size, recipe, np.random.default_rng([recipe.seed, epoch, index]), face)

        order = self.processes.share(order, recipe.batch_size)
        return self.batches(order, view if recipe.augments else None)

    def _first_pixels(self) -> Iterator[Tensor]:
        """Normalised pixels of about as many of the first epoch's views as tell what a photo looks like."""
        count = math.ceil(_BATCH_NORM_PHOTOS / self.batches.batch_size)
        for images, _, _ in islice(self._views(1), count):
            yield self.normalize(torch.from_numpy(images).to(self.device))

    def _step(self, images: Tensor, labels: Tensor, indices: list[int], step: int) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, step, self.steps_an_epoch)
        pixels = self.normalize(images.to(self.device))
        target, blend = labels.to(self.device), None
        if self.mixers and torch.rand(()) < self.recipe.mix:
            mixer = self.mixers[int(torch.randint(len(self.mixers), ()))]
            # Row i of the blend: the shares of the batch's photos in the picture i.
            pixels, blend = mixer(pixels, torch.arange(len(pixels), device=self.device))
            blend = blend[:, : len(pixels)]
            target = blend @ F.one_hot(target, len(self.photos.classes)).float()
        try:
            with self._autocast():
                logits, answers = self.learner(pixels)
            loss = F.cross_entropy(
                logits, target, weight=self.class_weights, label_smoothing=self.recipe.label_smoothing
            )
            if self.teacher:
                share = self.recipe.teacher_share
                taught = F.cross_entropy(logits, self._logits(pixels, self.teacher).softmax(1))
                loss = (1 - share) * loss + share * taught
            if self.auxiliary:
                loss = loss + self.recipe.also_weight * self.auxiliary.loss(answers, indices, blend)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        except torch.OutOfMemoryError as error:
            raise UserError(f"{self.device.type} has not enough memory for this; try a smaller --batch-size") from error
        if self.average and step % STEPS_AN_AVERAGE == 0:
            update_average(self.average, self.network, self.recipe.ema, step // STEPS_AN_AVERAGE)
        return loss.item()

    def _logits(self, pixels: Tensor, network: nn.Module) -> Tensor:
        with self._autocast():
            logits: Tensor = network(pixels)
        return logits.float()

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()

    def _validate(self) -> dict[str, Any]:
        """Mean cross entropy and top-1 accuracy on the validation split of the weights that are kept.

        With `sources` the accuracy of each source, too, and the lowest recall of a class on one.
        """
        network = (self.average or self.network).eval()

        @torch.inference_mode()
        def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            pixels = self.normalize(torch.from_numpy(images).to(self.device))
            return np.asarray(self._logits(pixels, network).cpu().numpy(), np.float32)

        found = predict_split(logits, self.validation_batches, "validate", self._notify)
        if not len(found):
            raise UserError(f"{self.source}: none of the validation photos could be read")
        loss = F.cross_entropy(torch.from_numpy(found.outputs).double(), torch.from_numpy(found.labels))
        record: dict[str, Any] = {
            "val_loss": loss.item(),
            "val_accuracy": float((found.outputs.argmax(1) == found.labels).mean()),
        }
        if self.origins:
            figures = origin_figures(found, self.origins, self.photos.classes)
            record |= {f"val_accuracy_{name}": accuracy for name, accuracy in figures.accuracies.items()}
            record |= {"val_worst_recall": figures.worst_recall, "val_worst": figures.worst}
        return record


@torch.inference_mode()
def _check_sizes(network: nn.Module, recipe: Recipe) -> None:
    """Raise UserError where the network does not take a size that the recipe trains at: some take one alone."""
    network.eval()
    for size in sorted({recipe.input_size, *(size_at(recipe, epoch) for epoch in range(1, recipe.epochs + 1))}):
        try:
            network(torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{recipe.architecture} can't take pictures of {size} pixels; change input_size, start_size and"
                " end_size in a recipe file"
            ) from error
