"""Where a training run lives, and what a resumed one goes on with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgender.errors import UserError
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data.sources import DEFAULT_SOURCE
from batchgender.training.networks.alexnet import check_architecture
from batchgender.training.recipe import Recipe, changed, find_recipe

RUNS = Path("runs")


@dataclass(frozen=True)
class Run:
    """A training run to start, or to go on with."""

    recipe: Recipe
    source: str
    out: Path


def new_run(given: dict[str, Any], source: str | None, out: str | None) -> Run:
    """A run of a recipe changed as `given`, in `out` or in the next free folder of runs/.

    `given` may name the recipe, or its file, under "recipe". Raises UserError on what makes no recipe.
    """
    options = dict(given)
    recipe = changed(find_recipe(options.pop("recipe", "seed")), options)
    check_architecture(recipe.architecture)
    return Run(recipe, source or DEFAULT_SOURCE, Path(out) if out else _free_folder(recipe))


def resumed_run(given: dict[str, Any], source: str | None, out: str | None) -> Run:
    """The run in `out`, or the newest in runs/; raises UserError where `given` is not what it was begun with."""
    folder = Path(out) if out else newest("last.pt", "nothing to resume; start with `batchgender train`").parent
    before = checkpoints.load(folder / "last.pt")
    options = dict(given)
    recipe = options.pop("recipe", None)
    others = [key for key in options if key != "epochs" and getattr(before.recipe, key) != options[key]]
    # What the command line changed of it when the run was begun need not be given again.
    if recipe and find_recipe(recipe).name != before.recipe.name:
        others.append("recipe")
    if others:
        names = {"architecture": "arch"}
        listed = ", ".join(f"--{names.get(key, key).replace('_', '-')}" for key in others)
        raise UserError(f"{folder}: was begun with another {listed}; leave it out or start a new run without --resume")
    return Run(changed(before.recipe, options), source or before.source, folder)


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
