"""Checkpoints: weights and plain data only, written whole or not at all."""

import os
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from batchgender import __version__
from batchgender.errors import UserError, os_reason
from batchgender.model.model_file import METADATA_KEY, ModelInfo
from batchgender.training.networks.alexnet import Deployed, build
from batchgender.training.recipe import Recipe

_SCHEMA = 1
LICENSE = "weights: the terms of the photos they were trained on; code: MIT"


@dataclass(frozen=True)
class Checkpoint:
    """A training run at the end of an epoch; `optimizer` is empty where the run can't go on from it.

    `weights` are those to use; `live` those in training, where `weights` are their average;
    `auxiliary` those of the head for what is learnt beside the classes. With `flip` the model
    looks at the mirror image too, `license` is what its file says of its terms.
    """

    weights: dict[str, Tensor]
    classes: list[str]
    recipe: Recipe
    epoch: int
    source: str
    fingerprint: str
    history: list[dict[str, Any]]
    optimizer: dict[str, Any] = field(default_factory=dict)
    live: dict[str, Tensor] = field(default_factory=dict)
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    temperature: float = 1.0
    bias: list[float] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    flip: bool = False
    license: str = LICENSE

    def network(self) -> nn.Module:
        """The network with these weights, in evaluation mode, on the CPU."""
        network = build(self.recipe.architecture, len(self.classes))
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(
                f"the weights are not those of {self.recipe.architecture} with {len(self.classes)} classes"
            ) from error
        return network.eval()

    def deployed(self) -> Deployed:
        """The module that a model file holds, in evaluation mode."""
        recipe = self.recipe
        calibration = self.temperature, self.bias
        module = Deployed(self.network(), recipe.input_size, recipe.mean, recipe.std, *calibration, flip=self.flip)
        return module.eval().requires_grad_(False)

    def info(self) -> ModelInfo:
        """What a model file made of this checkpoint says of itself."""
        counts = ("accuracy", "labelled", "unreadable", "classes", "auroc", "ece")
        return ModelInfo(
            classes=self.classes,
            input_size=self.recipe.input_size,
            mean=list(self.recipe.mean),
            std=list(self.recipe.std),
            temperature=self.temperature,
            bias=self.bias,
            thresholds=self.thresholds,
            calibration=self.calibration,
            architecture=self.recipe.architecture,
            # A place on this machine is nobody's business; a Hub id stays whole.
            recipe={
                **self.recipe.as_dict(),
                **{key: Path(getattr(self.recipe, key)).name for key in ("weights", "also_learn")},
                "teacher": [Path(file).name for file in self.recipe.teacher],
            },
            dataset=Path(self.source).name if Path(self.source).exists() else self.source,
            # The figures are of the photo alone.
            metrics={} if self.flip else {key: self.metrics[key] for key in counts if key in self.metrics},
            flip=self.flip,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            package_version=__version__,
            license=self.license,
        )


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically; raises UserError, with the file of before kept, where it can't be."""
    data = {**vars(checkpoint), "schema": _SCHEMA, "recipe": checkpoint.recipe.as_dict()}
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as stream:
            torch.save(data, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        # torch reports a full disk as a RuntimeError that came from the OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        reason = os_reason(cause) if isinstance(cause, OSError) else str(error).splitlines()[0]
        kept = f"; the one of the epoch before is kept: {path}" if path.exists() else ""
        raise UserError(f"{path}: can't write the checkpoint ({reason}){kept}") from error


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint; raises UserError where it is missing, damaged, or none of ours. Runs no code from it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript files are loaded with a warning, and refused below.
            data = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such checkpoint; train one with `batchgender train`") from error
    except OSError as error:
        raise UserError(f"{path}: can't read ({os_reason(error)})") from error
    except Exception as error:  # Damaged archives raise whatever the unpickler meets.
        raise UserError(
            f"{path}: damaged, cut short, or no checkpoint of batchgender (an exported model is none)"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise UserError(f"{path}: no checkpoint of batchgender (weights alone don't name their classes)")
    if data.pop("schema") > _SCHEMA:
        raise UserError(f"{path}: written by a newer batchgender; upgrade this one")
    try:
        return Checkpoint(**{**data, "recipe": Recipe.from_dict(data["recipe"])})
    except (TypeError, KeyError) as error:
        raise UserError(f"{path}: a checkpoint of batchgender with parts missing; train again") from error


def describe(file: str) -> dict[str, Any]:
    """What `inspect` prints of a checkpoint; raises UserError as `load` does."""
    checkpoint = load(file)
    return {
        "file": file,
        "bytes": Path(file).stat().st_size,
        METADATA_KEY: checkpoint.info().as_dict(),
        "classify": "no: a checkpoint, export it first",
        "epoch": checkpoint.epoch,
        "resumable": bool(checkpoint.optimizer),
        "history": checkpoint.history,
    }
