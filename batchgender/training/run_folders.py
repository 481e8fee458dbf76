"""The folders of runs: a free one for a new training or study, the newest to go on with."""

from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.training.recipe import Recipe


def free_folder(parent: Path, recipe: Recipe, marker: str) -> Path:
    """The first folder PARENT/ARCH-RECIPE, ARCH-RECIPE-2, ... that does not hold the file `marker`."""
    name, number = f"{recipe.architecture}-{recipe.name}", 1
    # A run that was stopped before it wrote its marker leaves a folder that is free.
    while ((folder := parent / (name if number == 1 else f"{name}-{number}")) / marker).exists():
        number += 1
    return folder


def newest(parent: Path, marker: str, otherwise: str) -> Path:
    """The file `marker` that was written last in a folder of `parent`; raises UserError where there is none."""
    found = sorted(parent.glob(f"*/{marker}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"no {marker} in {parent}/: {otherwise}")
    return found[-1]


def make_folder(out: Path) -> None:
    """Make the folder of a run; raises UserError where it can't be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: can't make this folder ({os_reason(error)}); choose another --out") from error


def begun_with_another(folder: Path, keys: list[str], what: str) -> UserError:
    """The error of a resumed run or study whose options are not those that it was begun with."""
    names = ", ".join("--arch" if key == "architecture" else f"--{key.replace('_', '-')}" for key in keys)
    return UserError(f"{folder}: was begun with another {names}; leave it out or start a new {what} without --resume")
