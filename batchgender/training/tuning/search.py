"""Search for a better recipe: a study of trials (Optuna, Akiba et al. 2019), kept in SQLite as they go."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import TrialState

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.training.data.labelled_photos import check_trainable
from batchgender.training.data.open_source import open_source
from batchgender.training.history import epoch_line
from batchgender.training.processes import Processes, pick_device
from batchgender.training.recipe import Recipe
from batchgender.training.run_folders import make_folder
from batchgender.training.trainer import Trainer
from batchgender.training.tuning.findings import Findings, findings, key_values, write_reports
from batchgender.training.tuning.search_space import recipe_at, space
from batchgender.training.tuning.study import (
    StudyPlan,
    begin_study,
    new_plan,
    opened_study,
    requeue_running_trials,
    resumed_plan,
    study_folder,
)

TrainerOf = Callable[[Recipe], Trainer]


def tune(
    given: dict[str, Any],
    source: str | None,
    out: str | None,
    trials: int | None,
    device: str,
    notify: Notify,
    resume: bool = False,
) -> tuple[Findings, bool]:
    """Run trials until `trials` of them are done; return what they found, and whether Ctrl-C came before.

    `given` may hold recipe (a name or file), architecture, epochs and seed. A trial is judged by its best
    accuracy on the validation split; the test split is not used. best.toml, trials.csv and tune.png stand
    beside study.db after each. On the CPU a study that was stopped and resumed has the trials of one that never was.
    Raises UserError on data or recipes that can't be trained on, a study that can't be read or written or was begun
    with something else, and where no trial is completed.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    target = pick_device(device)
    if resume:
        folder = study_folder(out)
        with opened_study(folder) as study:
            plan = resumed_plan(study, folder, given, source, trials)
            photos, trainer_of = _data(plan.source, target, notify)
            if photos != plan.photos:
                raise UserError(f"{plan.source}: the photos are not those that {folder} was begun with")
            return _search(study, plan, trainer_of, notify)
    plan = new_plan(given, source, out, trials)
    photos, trainer_of = _data(plan.source, target, notify)
    recipe = plan.recipe
    # A recipe that can't start (its weights, its batch size) leaves no folder.
    precision = trainer_of(recipe).precision
    notify(f"{recipe.architecture}, recipe {recipe.name}, {recipe.epochs} epochs a trial on {target.type}, {precision}")
    make_folder(plan.out)
    with opened_study(plan.out) as study:
        begin_study(study, plan, photos)
        return _search(study, plan, trainer_of, notify)


def _data(source: str, device: torch.device, notify: Notify) -> tuple[str, TrainerOf]:
    """The fingerprint of the photos to train and validate on, and what makes a trainer on them."""
    opened = open_source(source, notify)
    photos, validation = opened.train, opened.val
    check_trainable(photos, source)
    notify(f"{source}: {len(photos):,} photos to train, {len(validation):,} to validate")
    said: set[str] = set()

    def log_once(line: str) -> None:
        # Each trial finds the same photos unreadable.
        if line not in said:
            said.add(line)
            notify(line)

    def trainer_of(recipe: Recipe) -> Trainer:
        return Trainer(recipe, photos, validation, source, Processes(device), log_once)

    return f"{photos.fingerprint()} {validation.fingerprint()}", trainer_of


def _search(study: optuna.Study, plan: StudyPlan, trainer_of: TrainerOf, notify: Notify) -> tuple[Findings, bool]:
    # A median needs five trials at the same epoch; Hyperband's brackets would spend thirty on finding out how far to
    # train. The first third is warm-up, and there the average of the weights lags behind.
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, plan.recipe.epochs // 3))
    requeue_running_trials(study)
    found = findings(study, plan)
    if found.trials:
        notify(f"{plan.out}: {len(found.trials)} of {plan.trials} trials are done")
        write_reports(found, plan.out)
    try:
        while len(found.trials) < plan.trials:
            _run_trial(study, plan, len(found.trials) + 1, trainer_of, notify)
            found = findings(study, plan)
            write_reports(found, plan.out)
            notify(found.last_line())
            # The network, its average and the optimizer's state are freed before the next ones are made.
            gc.collect()
            torch.cuda.empty_cache()
    except KeyboardInterrupt:
        notify(f"{plan.out}: {len(found.trials)} of {plan.trials} trials are done and kept; go on with --resume")
        return found, True
    if not found.best:
        raise UserError(f"none of {len(found.trials)} trials was completed; the last: {found.trials[-1].error}")
    return found, False


def _run_trial(study: optuna.Study, plan: StudyPlan, number: int, trainer_of: TrainerOf, notify: Notify) -> None:
    """Train one trial to its end, or until it is pruned or fails, and tell the study."""
    # A seed for each trial: with one for all, a resumed study would draw the first trials again.
    seed = int(np.random.SeedSequence([plan.recipe.seed, number]).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    trial = study.ask(space(plan.recipe))
    recipe = recipe_at(trial.params, plan.recipe)
    title = f"trial {number}/{plan.trials}"
    notify(f"{title}  {', '.join(f'{name} {value}' for name, value in key_values(recipe).items())}")
    try:
        trainer = trainer_of(recipe)
        records: list[dict[str, Any]] = []
        for epoch in range(1, recipe.epochs + 1):
            record = trainer.epoch(epoch, plan.out)
            notify(f"{title}  epoch {epoch}/{recipe.epochs}  {epoch_line(record)}")
            records.append(record)
            trial.report(record["val_accuracy"], epoch)
            if epoch < recipe.epochs and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
            best = max(records, key=lambda record: (record["val_accuracy"], -record["val_loss"]))
            if recipe.patience and epoch - best["epoch"] >= recipe.patience:
                break
    except UserError as error:
        # No number for a loss, or no memory. Told as pruned: from a failed trial the sampler learns nothing.
        trial.set_user_attr("error", str(error).split(";")[0])
        study.tell(trial, state=TrialState.PRUNED)
        return
    study.tell(trial, best["val_accuracy"])
