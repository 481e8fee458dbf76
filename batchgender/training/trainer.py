"""One run's network, optimizer and data: the step, the epoch, the validation."""

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
from torchvision.transforms import v2
from tqdm import tqdm

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.training.augmentation import augment
from batchgender.training.auxiliary_task import Auxiliary
from batchgender.training.checkpoint import Checkpoint
from batchgender.training.data.sources import Batch, Batches, LabelledPhotos
from batchgender.training.distillation import Teachers
from batchgender.training.networks.alexnet import Normalize, build
from batchgender.training.networks.torchvision_networks import load_weights
from batchgender.training.recipe import Recipe
from batchgender.training.weights.from_onnx import settle

# The average follows the weights this many steps at a time: each time costs a pass over all of them.
_STEPS_AN_AVERAGE = 4
# So many photos say what batch normalisation will see.
_SETTLING = 512
# A run on small pictures first grows them from here to there, as shares of its epochs (Tan and Le 2021).
_GROWTH = (0.6, 0.85)


class Trainer:
    """A run of a recipe; all randomness of an epoch comes from the seed and the epoch's number."""

    def __init__(
        self,
        recipe: Recipe,
        photos: LabelledPhotos,
        validation: LabelledPhotos,
        source: str,
        device: torch.device,
        notify: Notify,
        start: Checkpoint | None = None,
    ) -> None:
        """Begin at random weights, at those that the recipe names, or where the checkpoint `start` stopped.

        Raises UserError where the network, its weights, its teacher and the recipe don't fit.
        """
        self.recipe, self.source, self.device = recipe, source, device
        self.photos, self.validation = photos, validation
        self.normalize = Normalize(recipe.mean, recipe.std).to(device)
        self.batches = Batches(photos, recipe.input_size, recipe.batch_size, notify)
        self.validation_batches = Batches(validation, recipe.input_size, recipe.batch_size, notify)
        torch.manual_seed(recipe.seed)
        network = build(recipe.architecture, len(photos.classes))
        if recipe.batch_size == 1 and any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules()):
            raise UserError(f"{recipe.architecture} normalises over the batch; give --batch-size 2 or more")
        if recipe.weights and not start:
            load_weights(network, recipe.architecture, recipe.weights, notify, (recipe.mean, recipe.std))
        _check_sizes(network, recipe)
        self.network = network.to(memory_format=torch.channels_last).to(device)
        if recipe.weights.endswith(".onnx") and not start:
            settle(self.network, self._first_pixels())
        self.average = copy.deepcopy(self.network).requires_grad_(False) if recipe.ema else None
        self.class_weights = torch.from_numpy(_class_weights(photos)).to(device) if recipe.balance else None
        self.teacher = Teachers(recipe.teacher, photos.classes, recipe).to(device) if recipe.teacher else None
        self.auxiliary = (
            Auxiliary(recipe.also_learn, photos, self.network, notify).to(device) if recipe.also_learn else None
        )
        self.optimizer = _optimizer([self.network, *([self.auxiliary] if self.auxiliary else [])], recipe)
        self.mixers = _mixers(recipe)
        self.steps_an_epoch = math.ceil(len(photos) / recipe.batch_size)
        self.bfloat16 = _fast_bfloat16(device)
        self.precision = "bfloat16 autocast" if self.bfloat16 else "float32"
        if start:
            self._restore(start)

    def _restore(self, start: Checkpoint) -> None:
        if not start.optimizer:
            raise UserError("this checkpoint holds no optimizer state; resume from last.pt")
        self.network.load_state_dict(start.live or start.weights)
        if self.average:
            self.average.load_state_dict(start.weights)
        if self.auxiliary:
            self.auxiliary.restore(start.auxiliary)
        self.optimizer.load_state_dict(start.optimizer)

    def state(self, epoch: int, history: list[dict[str, Any]]) -> Checkpoint:
        """Everything that a resumed run needs."""
        return Checkpoint(
            weights=(self.average or self.network).state_dict(),
            live=self.network.state_dict() if self.average else {},
            classes=self.photos.classes,
            recipe=self.recipe,
            epoch=epoch,
            source=self.source,
            fingerprint=self.photos.fingerprint(),
            history=history,
            optimizer=self.optimizer.state_dict(),
            auxiliary=self.auxiliary.state() if self.auxiliary else {},
        )

    def epoch(self, epoch: int, out: Path) -> dict[str, Any]:
        """Train one epoch and validate; return its record."""
        started = time.perf_counter()
        recipe = self.recipe
        torch.manual_seed(recipe.seed * 1_000_003 + epoch)
        self.network.train()
        total, seen = 0.0, 0
        step = (epoch - 1) * self.steps_an_epoch
        bar = tqdm(total=len(self.photos), desc=f"epoch {epoch}", unit=" images", disable=None, leave=False)
        with bar:
            for images, labels, indices in self._views(epoch):
                if len(indices) == 1 and recipe.batch_size > 1:
                    continue  # One photo has no variance to normalise by.
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

    def _views(self, epoch: int) -> Iterator[Batch]:
        """The training photos in the order, and as the views, of this epoch."""
        recipe = self.recipe
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(self.photos)).tolist()
        size = size_at(recipe, epoch)

        def view(image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
            return augment(image, size, recipe, np.random.default_rng([recipe.seed, epoch, index]))

        return self.batches(order, view if recipe.augments else None)

    def _first_pixels(self) -> Iterator[Tensor]:
        """Normalised pixels of about as many of the first epoch's views as tell what a photo looks like."""
        count = math.ceil(_SETTLING / self.recipe.batch_size)
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
            logits = self._logits(pixels)
            loss = F.cross_entropy(
                logits, target, weight=self.class_weights, label_smoothing=self.recipe.label_smoothing
            )
            if self.teacher:
                share = self.recipe.teacher_share
                taught = F.cross_entropy(logits, self._logits(pixels, self.teacher).softmax(1))
                loss = (1 - share) * loss + share * taught
            if self.auxiliary:
                loss = loss + self.recipe.also_weight * self.auxiliary.loss(indices, blend)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        except torch.OutOfMemoryError as error:
            raise UserError(f"{self.device.type} has not enough memory for this; try a smaller --batch-size") from error
        if self.average and step % _STEPS_AN_AVERAGE == 0:
            self._follow(self.average, step // _STEPS_AN_AVERAGE)
        return loss.item()

    @torch.no_grad()
    def _follow(self, average: nn.Module, updates: int) -> None:
        """Move the average towards the weights (Polyak and Juditsky 1992), faster at first, when they change most."""
        decay = min(self.recipe.ema**_STEPS_AN_AVERAGE, (1 + updates) / (10 + updates))
        for kept, live in zip(average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(live, 1 - decay)
            else:
                kept.copy_(live)

    def _logits(self, pixels: Tensor, network: nn.Module | None = None) -> Tensor:
        autocast: AbstractContextManager = (
            torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()
        )
        with autocast:
            return (network or self.network)(pixels).float()

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Mean cross entropy and top-1 accuracy on the validation split of the weights that are kept."""
        network = (self.average or self.network).eval()
        total, correct, seen = 0.0, 0, 0
        for images, labels, _ in self.validation_batches(range(len(self.validation))):
            logits = self._logits(self.normalize(torch.from_numpy(images).to(self.device)), network)
            target = torch.from_numpy(labels).to(self.device)
            total += F.cross_entropy(logits, target, reduction="sum").item()
            correct += int((logits.argmax(1) == target).sum())
            seen += len(labels)
        if not seen:
            raise UserError(f"{self.source}: none of the validation photos could be read")
        return total / seen, correct / seen


def size_at(recipe: Recipe, epoch: int) -> int:
    """The side in pixels of the training pictures in this epoch (the first is 1), a multiple of 16 on the way."""
    end_size = recipe.end_size or recipe.input_size
    if not 0 < recipe.start_size < end_size:
        return end_size
    begin, end = _GROWTH
    share = min(max((epoch / recipe.epochs - begin) / (end - begin), 0), 1)
    grown = recipe.start_size + share * (end_size - recipe.start_size)
    return end_size if share == 1 else round(grown / 16) * 16


def learning_rate(recipe: Recipe, step: int, steps_an_epoch: int) -> float:
    """The rate at a step (the first is 0): linear warm-up, then constant, or a cosine to zero (SGDR, 2017)."""
    warmup = recipe.warmup_epochs * steps_an_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    left = max(recipe.epochs * steps_an_epoch - warmup, 1)
    return recipe.lr * (1 + math.cos(math.pi * min((step - warmup) / left, 1))) / 2


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


def _optimizer(modules: list[nn.Module], recipe: Recipe) -> torch.optim.Optimizer:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    # Biases and the scales of normalisation are few, and pulling them to zero helps nothing.
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # Fused: one pass over all weights, half the time of a step on the CPU.
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, fused=True)


def _mixers(recipe: Recipe) -> list[nn.Module]:
    """Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) over a batch, with a photo's place in it for its label."""
    given = ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
    return [mixer(alpha=alpha, num_classes=recipe.batch_size) for mixer, alpha in given if alpha]


def _class_weights(photos: LabelledPhotos) -> NDArray[np.float32]:
    counts = np.bincount(photos.labels, minlength=len(photos.classes))
    return (len(photos) / (len(counts) * counts)).astype(np.float32)


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere autocast would only slow it down."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
