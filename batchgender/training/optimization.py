"""How the weights move: optimizer, learning rate, picture size by epoch, mixed pictures, class weights, averages."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.transforms import v2

from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.recipe import Recipe

# The average follows the weights this many steps at a time: each time costs a pass over all of them.
STEPS_AN_AVERAGE = 4
# A run on small pictures first enlarges them from here to there, as shares of its epochs (Tan and Le 2021).
_GROWTH = (0.6, 0.85)


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


def make_optimizer(modules: list[nn.Module], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the parameters of these modules."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    # Biases and the scales of normalisation are few, and weight decay on them helps nothing.
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # Fused: one pass over all weights, half the time of a step on the CPU.
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, fused=True)


def make_mixers(recipe: Recipe) -> list[nn.Module]:
    """Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) over a batch, with a photo's place in it for its label."""
    given = ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
    return [mixer(alpha=alpha, num_classes=recipe.batch_size) for mixer, alpha in given if alpha]


def class_weights(photos: LabelledPhotos) -> NDArray[np.float32]:
    """Weights float32 [classes] of the loss under which each class counts the same."""
    counts = np.bincount(photos.labels, minlength=len(photos.classes))
    return (len(photos) / (len(counts) * counts)).astype(np.float32)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, ema: float, updates: int) -> None:
    """Move the average towards the weights (Polyak and Juditsky 1992), faster at first, when they change most."""
    decay = min(ema**STEPS_AN_AVERAGE, (1 + updates) / (10 + updates))
    for kept, live in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(live, 1 - decay)
        else:
            kept.copy_(live)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere autocast would only slow it down."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
