"""A recipe: all that a training does, as one record that its checkpoint carries and that a file can hold."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from batchgender.errors import UserError, os_reason
from batchgender.io import first_line, open_given

DEFAULT_RECIPE = "seed"
_BUILT_IN = files("batchgender.training") / "recipes"

# Mean and std of the three channels, over RGB in 0..1.
Pixels = tuple[Sequence[float], Sequence[float]]

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine")
# Of a view that a face takes: in smaller ones there is nothing to learn from.
_SMALLEST_SHARE = 0.1


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"range": (low, high)})


def _choice(default: str, names: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"choices": names})


@dataclass(frozen=True)
class Recipe:
    """The seed recipe is the default: cross entropy, Adam at a constant rate, no augmentation.

    `name` and `architecture` say what it is; the rest says how. Shares and probabilities are in 0..1.
    """

    name: str = "seed"
    architecture: str = "alexnet"
    epochs: int = _number(8, 1, 100_000)
    batch_size: int = _number(32, 1, 65_536)
    lr: float = _number(1e-4, 0, 100)
    seed: int = _number(0, 0, 2**32 - 1)
    # Weights to begin with: "" for random ones, "imagenet", or a file.
    weights: str = ""
    # Knowledge distillation: checkpoints or ONNX files whose mean answer is learnt, and its share of the loss.
    teacher: tuple[str, ...] = ()
    teacher_share: float = _number(0.7, 0, 1)
    # The auxiliary task: a CSV of path and numbers, age for example, learnt beside the class, and its loss's weight.
    also_learn: str = ""
    also_weight: float = _number(0.2, 0, 100)
    # A CSV of path and source, a dataset for example: validation figures by source, and a calibration in which each
    # source counts the same.
    sources: str = ""

    input_size: int = _number(224, 32, 4096)
    # ImageNet's, over RGB in 0..1.
    mean: tuple[float, float, float] = field(default=(0.485, 0.456, 0.406), metadata={"range": (0, 1)})
    std: tuple[float, float, float] = field(default=(0.229, 0.224, 0.225), metadata={"range": (1e-6, 10)})
    # Train on small pictures first, which is faster; 0 for `end_size` all along.
    start_size: int = _number(0, 0, 4096)
    # The pictures at the end; 0 for `input_size`. Cropped wider than photos, they show smaller faces than the model
    # will see, and a smaller `input_size` makes that good (the other way round: Touvron et al. 2019).
    end_size: int = _number(0, 0, 4096)

    optimizer: str = _choice("adam", OPTIMIZERS)
    weight_decay: float = _number(0.0, 0, 10)
    schedule: str = _choice("constant", SCHEDULES)
    warmup_epochs: float = _number(0.0, 0, 1000)
    label_smoothing: float = _number(0.0, 0, 0.5)
    # Weigh classes so that each counts the same, however many photos it has.
    balance: bool = False
    # At the end, move the decision threshold between two classes to where their recalls are nearest (validation).
    equal_recall: bool = False
    # Decay, a step, of the moving average of the weights, which is what is kept; 0 for none.
    ema: float = _number(0.0, 0, 0.999999)
    # Stop after this many epochs without a better validation accuracy; 0 for never.
    patience: int = _number(0, 0, 100_000)
    # The epoch that best.pt holds: that of the best validation accuracy, or the last, where accuracies are noisy.
    keep: str = _choice("best", ("best", "last"))

    flip: float = _number(0.0, 0, 1)
    # The side of the crop as a share of the photo's, from and to; above 1 the photo is set in a frame.
    crop: tuple[float, float] = field(default=(1.0, 1.0), metadata={"range": (0.1, 4)})
    # Crops around the face that a detector finds: the share of the crop's side that the longer side of its box takes,
    # from and to; 0, 0 for crops of `crop` alone, which says how far beyond the photo they may reach here, too.
    face_share: tuple[float, float] = field(default=(0.0, 0.0), metadata={"range": (0, 4)})
    # Share of the views that are drawn around the face where `face_share` is given; the others are as `crop` has it.
    face_views: float = _number(1.0, 0, 1)
    # Largest change of the aspect ratio, as a factor, less one.
    stretch: float = _number(0.0, 0, 1)
    rotate: float = _number(0.0, 0, 180)
    shear: float = _number(0.0, 0, 45)
    color: float = _number(0.0, 0, 1)
    grayscale: float = _number(0.0, 0, 1)
    blur: float = _number(0.0, 0, 1)
    noise: float = _number(0.0, 0, 1)
    compress: float = _number(0.0, 0, 1)
    erase: float = _number(0.0, 0, 1)
    # A cap over the hair, mostly a dark one, of the faces that a detector finds.
    cap: float = _number(0.0, 0, 1)
    # Alpha of the beta distribution of mixup and cutmix; 0 for none. Where both are given, each batch draws one.
    mixup: float = _number(0.0, 0, 10)
    cutmix: float = _number(0.0, 0, 10)
    # Share of the batches that are mixed, where either is given.
    mix: float = _number(1.0, 0, 1)

    @property
    def augments(self) -> bool:
        """Whether a training photo looks different in each epoch, or is resized alone."""
        steps = (self.flip, self.stretch, self.rotate, self.shear, self.color, self.grayscale)
        framed = self.crop != (1.0, 1.0) or self.needs_faces
        return framed or any((*steps, self.blur, self.noise, self.compress, self.erase))

    @property
    def needs_faces(self) -> bool:
        """Whether a detector has to find the faces of the training photos."""
        return self.face_share[1] > 0 or self.cap > 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as a checkpoint and a model file hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Recipe":
        """Read what `as_dict` wrote; raises UserError on keys that this version does not know, and bad values."""
        if not isinstance(data, dict):
            raise UserError(f"a recipe is a table of keys and values, not {data!r}")
        unknown = sorted(set(data) - {f.name for f in fields(cls)})
        if unknown:
            raise UserError(f"the recipe has keys that this version does not know: {', '.join(unknown)}")
        return cls(**{f.name: _checked(f, data[f.name]) for f in fields(cls) if f.name in data})


def recipe_names() -> list[str]:
    """The built-in recipes: files beside this module, the default first."""
    names = sorted(path.name.removesuffix(".toml") for path in _BUILT_IN.iterdir() if path.name.endswith(".toml"))
    return sorted(names, key=lambda name: name != DEFAULT_RECIPE)


def find_recipe(name: str) -> Recipe:
    """A recipe by name, or read from a file (.toml, .json); raises UserError on what is neither, or ill-made."""
    if name in recipe_names():
        return _recipe_from(tomllib.loads((_BUILT_IN / f"{name}.toml").read_text(encoding="utf-8")), name, name)
    path = Path(name)
    if path.suffix not in (".toml", ".json"):
        raise UserError(f"{name}: no recipe; choose from {', '.join(recipe_names())}, or name a file .toml or .json")
    try:
        with open_given(path) as stream:
            text = stream.read().decode()
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise UserError(f"{name}: can't read the recipe ({os_reason(error)})") from error
    except (ValueError, RecursionError) as error:  # Broken TOML, JSON and UTF-8 alike.
        raise UserError(f"{name}: no valid {path.suffix[1:].upper()} ({first_line(error)})") from error
    if not isinstance(data, dict):
        raise UserError(f"{name}: a recipe is a table of keys and values")
    return _recipe_from(data, path.stem, name)


def _recipe_from(data: dict[str, Any], name: str, origin: str) -> Recipe:
    """The recipe in a table that states what differs from a built-in one: `base`, else the default."""
    base = data.pop("base", DEFAULT_RECIPE if name != DEFAULT_RECIPE else "")
    if base == "":
        before = Recipe()
    elif isinstance(base, str) and base in recipe_names():
        before = find_recipe(base)
    else:
        raise UserError(f"{origin}: unknown base {base!r}; choose from {', '.join(recipe_names())}")
    try:
        return Recipe.from_dict({**before.as_dict(), "name": name, **data})
    except UserError as error:
        raise UserError(f"{origin}: {error}") from error


def changed(recipe: Recipe, given: dict[str, Any]) -> Recipe:
    """The recipe with some keys changed; raises UserError where they don't fit."""
    return Recipe.from_dict({**recipe.as_dict(), **given}) if given else replace(recipe)


def check_files(recipe: Recipe, begun: bool = False) -> None:
    """Raise UserError where a file that the recipe names is missing; one that is `begun` needs no weights."""
    named = [("--teacher", file) for file in recipe.teacher] + [
        ("--also-learn", recipe.also_learn),
        ("--sources", recipe.sources),
    ]
    if not begun and recipe.weights != "imagenet":
        named.append(("--weights", recipe.weights))
    for option, file in named:
        if file and not Path(file).exists():
            raise UserError(f"{file}: no such file; check {option}")


def check_pixels(file: str, own: Pixels, wanted: Pixels) -> None:
    """Raise UserError where weights were trained on another mean and std than the recipe's: they would see noise."""
    if [list(values) for values in own] != [list(values) for values in wanted]:
        mean, std = (list(values) for values in own)
        raise UserError(f"{file}: trained on pixels of mean {mean} and std {std}; give the recipe the same")


def _checked(entry: Any, value: Any) -> Any:
    """The value as its field wants it; raises UserError naming the key, what it wants and what it got."""
    if entry.default == ():
        # A single file may be given as text, as older checkpoints hold it.
        names = [value] if value and isinstance(value, str) else value or []
        if not isinstance(names, list | tuple) or not all(name and isinstance(name, str) for name in names):
            raise UserError(f"{entry.name} wants names of files, has {value!r}")
        return tuple(names)
    if isinstance(entry.default, tuple):
        if not isinstance(value, list | tuple) or len(value) != len(entry.default):
            raise UserError(f"{entry.name} wants {len(entry.default)} numbers, has {value!r}")
        numbers = tuple(_checked_number(entry, v, float) for v in value)
        if entry.name in ("crop", "face_share") and numbers[0] > numbers[1]:
            raise UserError(f"{entry.name} wants the smaller number first, has {value!r}")
        if entry.name == "face_share" and any(numbers) and numbers[0] < _SMALLEST_SHARE:
            raise UserError(f"face_share wants two shares from {_SMALLEST_SHARE}, or 0 twice for none, has {value!r}")
        return numbers
    if isinstance(entry.default, bool | str):
        if type(value) is not type(entry.default):
            raise UserError(
                f"{entry.name} wants {'true or false' if entry.default is False else 'text'}, has {value!r}"
            )
        choices = entry.metadata.get("choices")
        if choices and value not in choices:
            raise UserError(f"{entry.name} wants one of {', '.join(choices)}, has {value!r}")
        return value
    return _checked_number(entry, value, type(entry.default))


def _checked_number(entry: Any, value: Any, kind: type) -> Any:
    low, high = entry.metadata["range"]
    kinds, name = (int, "whole number") if kind is int else (int | float, "number")
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise UserError(f"{entry.name} wants a {name} from {low:g} to {high:g}, has {value!r}")
    return kind(value)
