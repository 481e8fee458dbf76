"""Where a training run lives, and what a resumed one goes on with."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data import DEFAULT_SOURCE
from batchgender.training.recipe import Recipe

RUNS = Path("runs")


@dataclass(frozen=True)
class Run:
    """A training run to start, or to go on with."""

    recipe: Recipe
    source: str
    out: Path


def new_run(given: dict[str, Any], source: str | None, out: str | None) -> Run:
    """A run of the recipe changed as `given`, in `out` or in the next free folder of runs/."""
    recipe = Recipe(**given)
    return Run(recipe, source or DEFAULT_SOURCE, Path(out) if out else _free_folder(recipe))


def resumed_run(given: dict[str, Any], source: str | None, out: str | None) -> Run:
    """The run in `out`, or the newest in runs/; raises UserError where `given` is not what it was begun with."""
    folder = Path(out) if out else newest("last.pt", "nothing to resume; start with `batchgender train`").parent
    before = checkpoints.load(folder / "last.pt")
    changed = [key for key, value in given.items() if key != "epochs" and getattr(before.recipe, key) != value]
    if changed:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in changed)
        raise UserError(f"{folder}: was begun with another {options}; leave it out or start a new run without --resume")
    return Run(replace(before.recipe, **given), source or before.source, folder)


def newest(name: str, otherwise: str) -> Path:
    """The file of this name that was written last in a run of runs/; raises UserError where there is none."""
    found = sorted(RUNS.glob(f"*/{name}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"no {name} in {RUNS}/: {otherwise}")
    return found[-1]


def _free_folder(recipe: Recipe) -> Path:
    name, number = f"{recipe.architecture}-{recipe.name}", 1
    # A run that was stopped before its first epoch was whole leaves a folder that is free.
    while ((folder := RUNS / (name if number == 1 else f"{name}-{number}")) / "last.pt").exists():
        number += 1
    return folder
