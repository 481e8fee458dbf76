"""A study on disk: what it was begun with, opened by one process at a time, gone on with after a stop."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from batchgender.errors import UserError
from batchgender.io import first_line
from batchgender.training.data.open_source import DEFAULT_SOURCE
from batchgender.training.networks.registry import check_architecture
from batchgender.training.recipe import Recipe, changed, check_files, find_recipe
from batchgender.training.run_folders import begun_with_another, free_folder, newest
from batchgender.training.tuning.search_space import starting_point

TUNES = Path("tunes")
DATABASE = "study.db"
# Of the plan in the study and of the space: a study of another one can't go on.
_SCHEMA = 1


@dataclass(frozen=True)
class StudyPlan:
    """The recipe that a study varies, its source, and its number of trials; `photos` is the photos' fingerprint."""

    recipe: Recipe
    source: str
    out: Path
    trials: int
    photos: str = ""


def new_plan(given: dict[str, Any], source: str | None, out: str | None, trials: int | None) -> StudyPlan:
    """A study of a recipe changed as `given`, in `out` or in the next free folder of tunes/."""
    options = {"epochs": 10, **given}
    recipe = changed(find_recipe(options.pop("recipe", "strong")), options)
    check_architecture(recipe.architecture)
    check_files(recipe)
    if not recipe.lr:
        raise UserError(f"recipe {recipe.name}: an lr of 0 can't be tuned")
    # Any folder that is there, with a study in it or not, is taken.
    folder = Path(out) if out else free_folder(TUNES, recipe, "")
    if (folder / DATABASE).exists():
        raise UserError(f"{folder}: a study is here already; go on with --resume or choose another --out")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not an empty folder; choose another --out")
    return StudyPlan(recipe, source or DEFAULT_SOURCE, folder, trials or 30)


def study_folder(out: str | None) -> Path:
    """The folder of the study to go on with: `out`, or the newest in tunes/; raises UserError where there is none."""
    if out:
        if not Path(out, DATABASE).is_file():
            raise UserError(f"{out}: no study to resume here; start one without --resume")
        return Path(out)
    return newest(TUNES, DATABASE, "no study to resume; start with `batchgender tune`").parent


@contextmanager
def opened_study(folder: Path) -> Iterator[optuna.Study]:
    """The study in a folder, made where there is none; held for this process alone, as two would take each other's
    running trials for dead ones. Raises UserError on what SQLite or Optuna has against the file, then or later.
    """
    database = folder / DATABASE

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(database, timeout=2)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.executescript("BEGIN EXCLUSIVE; COMMIT")
        return connection

    storage = None
    try:
        try:
            # Not by the path in an address, where ? and # mean something.
            storage = RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": StaticPool})
            study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
            study.get_trials(deepcopy=False)
        except (OptunaError, SQLAlchemyError):
            raise
        except Exception as error:  # A damaged database raises whatever its reader meets.
            raise UserError(f"{database}: {_problem(error)}") from error
        yield study
    except (OptunaError, SQLAlchemyError) as error:
        raise UserError(f"{database}: {_problem(error)}") from error
    finally:
        if storage:
            storage.remove_session()
            storage.engine.dispose()


def _problem(error: BaseException) -> str:
    """The reason why the database can't be used, by the cause of the error."""
    while error.__cause__:
        error = error.__cause__
    reason = first_line(error)
    if "locked" in reason:
        return "another process works on this study; wait for its end or choose another --out"
    if isinstance(error, sqlite3.OperationalError) and "decode" not in reason:
        return f"can't read or write the study ({reason}); what is in it is kept, go on with --resume"
    return f"damaged, or no study of batchgender ({reason})"


def begin_study(study: optuna.Study, plan: StudyPlan, photos: str) -> None:
    """Note in a new study what it is begun with, and have the recipe itself as its first trial."""
    study.set_user_attr("trials", plan.trials)
    study.enqueue_trial(starting_point(plan.recipe))
    # Last: a study with a plan is whole.
    settings = {"schema": _SCHEMA, "recipe": plan.recipe.as_dict(), "source": plan.source, "photos": photos}
    study.set_user_attr("plan", settings)


def resumed_plan(
    study: optuna.Study, folder: Path, given: dict[str, Any], source: str | None, trials: int | None
) -> StudyPlan:
    """The plan of a study; raises UserError where `given` differs from it."""
    database = folder / DATABASE
    before = study.user_attrs.get("plan")
    if not isinstance(before, dict):
        raise UserError(f"{database}: no study of batchgender, or not begun; remove it or choose another --out")
    if before.get("schema") != _SCHEMA:
        raise UserError(f"{database}: begun by another version of batchgender; choose another --out")
    try:
        recipe = Recipe.from_dict(before["recipe"])
        begun_on, photos, begun_for = before["source"], before["photos"], study.user_attrs["trials"]
        if not (isinstance(begun_on, str) and type(begun_for) is int and begun_for > 0):
            raise UserError("its source is no text, or its number of trials none from 1")
    except (KeyError, UserError) as error:
        raise UserError(f"{database}: damaged, or begun by another version of batchgender ({error})") from error
    options = dict(given)
    name = options.pop("recipe", None)
    other = [key for key, value in options.items() if getattr(recipe, key) != value]
    settled = {key: getattr(recipe, key) for key in ("architecture", "epochs", "seed")}
    if name and changed(find_recipe(name), settled) != recipe:
        other.append("recipe")
    if other:
        raise begun_with_another(folder, other, "study")
    if trials:
        study.set_user_attr("trials", trials)
    return StudyPlan(recipe, source or begun_on, folder, trials or begun_for, photos)


def requeue_running_trials(study: optuna.Study) -> None:
    """Give up the trial that a stopped process left running, and have its parameters tried again, first."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    last = study.get_trials(deepcopy=False)[-1]
    # Stopped before it is waiting, this is done again; after, nothing is left to do.
    if last.state == TrialState.FAIL:
        fixed = last.system_attrs.get("fixed_params", {})
        study.enqueue_trial({**(fixed if isinstance(fixed, dict) else {}), **last.params})
