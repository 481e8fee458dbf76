"""Checkpoints: weights and plain data only, written whole or not at all."""

import warnings
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from batchgender.errors import UserError, os_reason
from batchgender.io import first_line, written_whole
from batchgender.model.metadata import METADATA_KEY, CalibrationFit, ModelInfo, SplitFigures, wrong_field
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.training.networks.deployed import Deployed
from batchgender.training.networks.registry import build
from batchgender.training.recipe import Recipe
from batchgender.training.safetensors_file import ENDING, read_safetensors, write_safetensors
from batchgender.version import __version__

_SCHEMA = 1
# The keys of a file under which there are tensors.
_TENSORS = {"weights", "optimizer", "live", "auxiliary"}
LICENSE = "weights: the terms of the photos they were trained on; code: MIT"


@dataclass(frozen=True)
class RunState:
    """Where a training stands at the end of an epoch; `optimizer` is empty where it can't go on from there.

    `fingerprint` is that of the training photos, `history` has a record an epoch. `live` are the weights in training,
    where those of the checkpoint are their average; `auxiliary` those of the auxiliary task's head.
    """

    epoch: int = 0
    fingerprint: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    optimizer: dict[str, Any] = field(default_factory=dict)
    live: dict[str, Tensor] = field(default_factory=dict)
    auxiliary: dict[str, Tensor] = field(default_factory=dict)

    def without_training(self) -> "RunState":
        """The same without what only a training that goes on needs."""
        return RunState(self.epoch, self.fingerprint, self.history)


@dataclass(frozen=True)
class Calibration:
    """From logits to decisions: probabilities are softmax(logits / temperature + bias); `thresholds` are by class."""

    temperature: float = 1.0
    bias: list[float] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    fit: CalibrationFit | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A trained network: weights, classes, how it was trained and on what, its calibration and its figures.

    `label_names` are what the labels of its source call the classes, `labels` is the file that changed some of them, ""
    where none did; `framing` is that of its training photos.
    """

    weights: dict[str, Tensor]
    classes: list[str]
    recipe: Recipe
    source: str
    run: RunState = RunState()
    calibration: Calibration = Calibration()
    metrics: SplitFigures | None = None
    license: str = LICENSE
    label_names: LabelNames = DEFAULT_NAMES
    labels: str = ""
    framing: dict[str, float] = field(default_factory=dict)

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

    def deployed(self, flip: bool = False) -> Deployed:
        """The module that a model file holds, in evaluation mode; with `flip` it looks at the mirror image, too."""
        recipe, calibration = self.recipe, self.calibration
        module = Deployed(
            self.network(),
            recipe.input_size,
            recipe.mean,
            recipe.std,
            calibration.temperature,
            calibration.bias,
            flip=flip,
        )
        return module.eval().requires_grad_(False)

    def info(self, flip: bool = False) -> ModelInfo:
        """The metadata of a model file made of this checkpoint."""
        recipe = self.recipe
        return ModelInfo(
            classes=self.classes,
            input_size=recipe.input_size,
            mean=list(recipe.mean),
            std=list(recipe.std),
            temperature=self.calibration.temperature,
            bias=self.calibration.bias,
            thresholds=self.calibration.thresholds,
            calibration=self.calibration.fit,
            architecture=recipe.architecture,
            # No paths of this machine; a Hub id stays whole.
            recipe={
                **recipe.as_dict(),
                **{key: Path(getattr(recipe, key)).name for key in ("weights", "also_learn", "sources")},
                "teacher": [Path(file).name for file in recipe.teacher],
            },
            dataset=Path(self.source).name if Path(self.source).exists() else self.source,
            # The figures are of the photo alone.
            metrics=None if flip else self.metrics,
            framing=self.framing,
            flip=flip,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            package_version=__version__,
            license=self.license,
        )


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically; raises UserError, and keeps the file before it, where that can't be done.

    A file .safetensors is for others: it leaves out what only a training that goes on needs.
    """
    calibration = checkpoint.calibration
    # Flat, as 0.1.0 wrote them.
    data = {
        **vars(checkpoint.run),
        "weights": checkpoint.weights,
        "classes": checkpoint.classes,
        "recipe": checkpoint.recipe.as_dict(),
        "source": checkpoint.source,
        "temperature": calibration.temperature,
        "bias": calibration.bias,
        "thresholds": calibration.thresholds,
        "calibration": asdict(calibration.fit) if calibration.fit else {},
        "metrics": asdict(checkpoint.metrics) if checkpoint.metrics else {},
        "license": checkpoint.license,
        "label_names": checkpoint.label_names.as_dict(),
        "labels": checkpoint.labels,
        "framing": checkpoint.framing,
        "schema": _SCHEMA,
    }
    try:
        if path.suffix == ENDING:
            write_safetensors(path, checkpoint.weights, {key: data[key] for key in data.keys() - _TENSORS})
        else:
            with written_whole(path, "wb") as stream:
                torch.save(data, stream)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError that came from the OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        reason = os_reason(cause) if isinstance(cause, OSError) else first_line(error)
        kept = f"; the one of the epoch before is kept: {path}" if path.exists() else ""
        raise UserError(f"{path}: can't write the checkpoint ({reason}){kept}") from error


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint; raises UserError where it is missing, damaged, or not ours. Runs no code from it."""
    if Path(path).exists() and not Path(path).is_file():
        raise UserError(f"{path}: a folder, pipe or device, not a checkpoint")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript files are loaded with a warning, and refused below.
            shared = Path(path).suffix == ENDING
            data = read_safetensors(str(path)) if shared else torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
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
        checkpoint = _from_dict(data)
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: a checkpoint of batchgender with parts missing; train again") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if problem := _problem(checkpoint):
        raise UserError(f"{path}: a damaged checkpoint: {problem}; train again")
    return checkpoint


def _problem(checkpoint: Checkpoint) -> str:
    """What is wrong with what a file held as a checkpoint, "" for nothing."""
    recipe, calibration, run = checkpoint.recipe, checkpoint.calibration, checkpoint.run
    problem = wrong_field(
        {
            "classes": checkpoint.classes,
            **{"input_size": recipe.input_size, "mean": list(recipe.mean), "std": list(recipe.std)},
            **{"temperature": calibration.temperature, "bias": calibration.bias, "thresholds": calibration.thresholds},
            **{"framing": checkpoint.framing, "dataset": checkpoint.source, "license": checkpoint.license},
        }
    )
    if problem:
        return problem
    kinds = {
        "epoch": (run.epoch, int),
        "fingerprint": (run.fingerprint, str),
        "labels": (checkpoint.labels, str),
        **{"history": (run.history, list), "optimizer": (run.optimizer, dict)},
        **{"weights": (checkpoint.weights, dict), "live": (run.live, dict), "auxiliary": (run.auxiliary, dict)},
    }
    if wrong := next((name for name, (value, kind) in kinds.items() if not isinstance(value, kind)), ""):
        return f"the field {wrong} is of another kind"
    if not all(isinstance(record, dict) for record in run.history):
        return "the field history is of another kind"
    named = [*checkpoint.weights.items(), *run.live.items(), *run.auxiliary.items()]
    if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in named):
        return "its weights are no tensors"
    names = checkpoint.label_names.given
    lists = isinstance(names, dict) and all(isinstance(listed, list | tuple) for listed in names.values())
    if not lists or not all(isinstance(name, str) for name in chain(names, *names.values())):
        return "the field label_names is of another kind"
    return ""


def _from_dict(data: dict[str, Any]) -> Checkpoint:
    calibration = Calibration(
        data.get("temperature", 1.0),
        data.get("bias", []),
        data.get("thresholds", {}),
        CalibrationFit.from_dict(data.get("calibration", {})),
    )
    return Checkpoint(
        weights=data["weights"],
        classes=data["classes"],
        recipe=Recipe.from_dict(data["recipe"]),
        source=data["source"],
        run=RunState(
            data["epoch"],
            data["fingerprint"],
            data["history"],
            *(data.get(key, {}) for key in ("optimizer", "live", "auxiliary")),
        ),
        calibration=calibration,
        metrics=SplitFigures.from_dict(data.get("metrics", {})),
        license=data.get("license", LICENSE),
        label_names=LabelNames(data.get("label_names", {})),
        labels=data.get("labels", ""),
        framing=data.get("framing", {}),
    )


def describe(file: str) -> dict[str, Any]:
    """The data that `inspect` prints of a checkpoint; raises UserError as `load` does."""
    checkpoint = load(file)
    return {
        "file": file,
        "bytes": Path(file).stat().st_size,
        METADATA_KEY: checkpoint.info().as_dict(),
        "classify": "no: a checkpoint, export it first",
        "epoch": checkpoint.run.epoch,
        "resumable": bool(checkpoint.run.optimizer),
        "history": checkpoint.run.history,
    }
