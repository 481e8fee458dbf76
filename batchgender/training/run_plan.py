"""The plan of a training run: its recipe, its data and its folder, for a new run or one that is resumed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgender.io import check_writable
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data.open_source import DEFAULT_SOURCE
from batchgender.training.networks.registry import check_architecture
from batchgender.training.recipe import DEFAULT_RECIPE, Recipe, changed, check_files, find_recipe
from batchgender.training.run_folders import begun_with_another, free_folder, newest

RUNS = Path("runs")
LAST, BEST = "last.pt", "best.pt"


@dataclass(frozen=True)
class RunPlan:
    """A training run to start, or to go on with where `resume` is set; `labels` is a labels file, "" for none."""

    recipe: Recipe
    source: str
    out: Path
    resume: bool = False
    label_names: LabelNames = DEFAULT_NAMES
    labels: str = ""


def new_run(
    given: dict[str, Any],
    source: str | None,
    out: str | None,
    names: LabelNames = DEFAULT_NAMES,
    labels: str | None = None,
) -> RunPlan:
    """A run of a recipe changed as `given`, in `out` or in the next free folder of runs/.

    `given` may name the recipe, or its file, under "recipe"; `names` are what labels may call the classes, `labels` is
    a file of them. Raises UserError on what makes no recipe.
    """
    options = dict(given)
    recipe = changed(find_recipe(options.pop("recipe", DEFAULT_RECIPE)), options)
    check_architecture(recipe.architecture)
    check_files(recipe)
    folder = Path(out) if out else free_folder(RUNS, recipe, LAST)
    check_writable(folder / LAST, "--out")
    return RunPlan(recipe, source or DEFAULT_SOURCE, folder, label_names=names, labels=labels or "")


def resumed_run(
    given: dict[str, Any],
    source: str | None,
    out: str | None,
    names: LabelNames = DEFAULT_NAMES,
    labels: str | None = None,
) -> RunPlan:
    """The run in `out`, or the newest in runs/; raises UserError where `given` is not what it was begun with."""
    folder = Path(out) if out else newest(RUNS, LAST, "nothing to resume; start with `batchgender train`").parent
    before = checkpoints.load(folder / LAST)
    options = dict(given)
    recipe = options.pop("recipe", None)
    others = [key for key in options if key != "epochs" and getattr(before.recipe, key) != options[key]]
    # Changes that the command line made to it when the run was begun need not be given again.
    if recipe and find_recipe(recipe).name != before.recipe.name:
        others.append("recipe")
    if names.given and names.as_dict() != before.label_names.as_dict():
        others.append("label_names")
    if others:
        raise begun_with_another(folder, others, "run")
    recipe_now = changed(before.recipe, options)
    check_files(recipe_now, begun=True)
    # As for the photos: where the labels have changed, their fingerprint says so.
    labels = labels or before.labels
    return RunPlan(recipe_now, source or before.source, folder, True, before.label_names, labels)
