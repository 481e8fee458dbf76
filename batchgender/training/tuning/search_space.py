"""The space that a study searches around a recipe, and the recipe at a point of that space."""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from batchgender.training.recipe import Recipe, changed

# SGD with momentum wants about this many times the rate of Adam; `lr` of the space is in units of the recipe's own.
_SGD_RATE = 30
# The low end stands for 0, which no log scale holds.
_NO_DECAY = 1e-5
# Alphas of mixup and cutmix where the recipe has none: those of their papers on ImageNet.
_MIXUP, _CUTMIX = 0.2, 1.0
_MIXING = {(False, False): "none", (True, False): "mixup", (False, True): "cutmix", (True, True): "both"}


def starting_point(base: Recipe) -> dict[str, Any]:
    """The point of the space that is the recipe itself."""
    return {
        "lr": base.lr,
        "batch_size": base.batch_size,
        "optimizer": base.optimizer,
        "weight_decay": base.weight_decay or _NO_DECAY,
        "label_smoothing": base.label_smoothing,
        "ema": base.ema,
        "mixing": _MIXING[base.mixup > 0, base.cutmix > 0],
        "mix": base.mix,
        "crop_low": base.crop[0],
        "crop_high": base.crop[1],
        "rotate": base.rotate,
        "color": base.color,
        "blur": base.blur,
        "erase": base.erase,
    }


def space(base: Recipe) -> dict[str, BaseDistribution]:
    """The ranges around a recipe, each wide enough for the recipe itself.

    Noise, compression and the share of gray pictures are left as they are: they make a network fit for photos
    of other sources than the validation split's, whose accuracy would only vote them off.
    """
    start = starting_point(base)

    def number(name: str, low: float, high: float, log: bool = False) -> FloatDistribution:
        return FloatDistribution(min(low, start[name]), max(high, start[name]), log=log)

    def choice(name: str, *values: Any) -> CategoricalDistribution:
        return CategoricalDistribution([*values, *({start[name]} - set(values))])

    return {
        "lr": number("lr", base.lr / 10, min(base.lr * 10, 100), log=True),
        "batch_size": choice("batch_size", 32, 64, 128),
        "optimizer": choice("optimizer", "adamw", "sgd"),
        "weight_decay": number("weight_decay", _NO_DECAY, 0.5, log=True),
        "label_smoothing": number("label_smoothing", 0, 0.2),
        "ema": choice("ema", 0.0, 0.99, 0.998, 0.9995),
        "mixing": choice("mixing", *_MIXING.values()),
        "mix": number("mix", 0.1, 1),
        "crop_low": number("crop_low", 0.4, 1),
        "crop_high": number("crop_high", 1, 2),
        "rotate": number("rotate", 0, 45),
        "color": number("color", 0, 0.8),
        "blur": number("blur", 0, 0.6),
        "erase": number("erase", 0, 0.6),
    }


def recipe_at(point: dict[str, Any], base: Recipe) -> Recipe:
    """The recipe that a point stands for, to four digits; the base itself at its starting point."""
    start = starting_point(base)
    # A value that was not varied keeps all its digits.
    at = {key: value if value == start[key] else _short(value) for key, value in point.items()}
    mixup, cutmix = next(pair for pair, name in _MIXING.items() if name == at["mixing"])
    ratio = _rate(at["optimizer"]) / _rate(base.optimizer)
    same = ("batch_size", "optimizer", "label_smoothing", "ema", "rotate", "color", "blur", "erase")
    return changed(
        base,
        {
            **{key: at[key] for key in same},
            "lr": at["lr"] if ratio == 1 else min(_short(at["lr"] * ratio), 100.0),
            "weight_decay": 0.0 if at["weight_decay"] == _NO_DECAY else at["weight_decay"],
            "mixup": (base.mixup or _MIXUP) if mixup else 0.0,
            "cutmix": (base.cutmix or _CUTMIX) if cutmix else 0.0,
            "mix": at["mix"] if mixup or cutmix else base.mix,
            "crop": sorted((at["crop_low"], at["crop_high"])),
        },
    )


def _rate(optimizer: str) -> float:
    return _SGD_RATE if optimizer == "sgd" else 1


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
