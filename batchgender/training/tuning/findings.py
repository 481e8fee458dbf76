"""The findings of a study: a table to print, best.toml to train with, trials.csv and tune.png."""

import csv
import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState

from batchgender.errors import UserError, os_reason
from batchgender.io import text_table, written_whole
from batchgender.training.recipe import Recipe
from batchgender.training.tuning.search_space import recipe_at
from batchgender.training.tuning.study import StudyPlan

_STATES = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Trial:
    """A trial that is done: complete, pruned, or failed with its error. `number` counts from 1, `accuracy` is the best
    of its epochs on the validation split, in 0..1, None where no epoch ended.
    """

    number: int
    state: str
    recipe: Recipe
    accuracy: float | None
    epochs: int
    error: str


@dataclass(frozen=True)
class Findings:
    """The trials of a study that are done, in order; the shares that parameters have in their accuracy, by name."""

    plan: StudyPlan
    trials: list[Trial]
    importances: dict[str, float]

    @property
    def best(self) -> Trial | None:
        """The complete trial of the highest accuracy, the earliest of equals; None where none is complete."""
        return max((t for t in self.trials if t.state == "complete"), key=lambda t: t.accuracy or 0, default=None)

    def counts(self) -> str:
        """How many trials are done, in which state: "12 of 30 trials: 9 complete, 3 pruned"."""
        states = [trial.state for trial in self.trials]
        parts = ", ".join(f"{states.count(state)} {state}" for state in _STATES if state in states)
        return f"{len(states)} of {self.plan.trials} trials{': ' if parts else ''}{parts}"

    def last_line(self) -> str:
        """The result of the last trial, and the best so far."""
        last, best = self.trials[-1], self.best
        outcome = last.error if last.state == "failed" else f"{_percent(last.accuracy)} %"
        after = f" after epoch {last.epochs}" if last.state == "pruned" else ""
        so_far = f"; best so far {_percent(best.accuracy)} %, trial {best.number}" if best else ""
        return f"trial {last.number}/{self.plan.trials}  {last.state}{after}: {outcome}{so_far}"

    def table(self) -> str:
        """The ten best trials, complete ones first, under the counts."""
        order = sorted(self.trials, key=lambda t: (_STATES.index(t.state), -(t.accuracy or 0), t.number))
        rows = [
            {
                "trial": str(trial.number),
                "accuracy": _percent(trial.accuracy),
                "epochs": str(trial.epochs),
                "state": trial.state,
                **key_values(trial.recipe),
            }
            for trial in order[:10]
        ]
        lines = [f"{self.counts()}; accuracy in % of the validation split, {self.plan.recipe.epochs} epochs at most"]
        if rows:
            table = [list(rows[0]), *(list(row.values()) for row in rows)]
            lines += text_table(table, ">" * len(rows[0]))
        return "\n".join(lines)


def findings(study: optuna.Study, plan: StudyPlan) -> Findings:
    """Read from a study what is done."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    trials = []
    for number, trial in enumerate(done, start=1):
        error = str(trial.user_attrs.get("error", ""))
        state = "failed" if error else trial.state.name.lower()
        accuracies = trial.intermediate_values
        best = max(accuracies.values(), default=None)
        try:
            recipe = recipe_at(trial.params, plan.recipe)
        except (KeyError, TypeError, StopIteration, UserError) as problem:
            raise UserError(f"{plan.out / 'study.db'}: damaged, trial {number} is no trial of batchgender") from problem
        trials.append(Trial(number, state, recipe, best, len(accuracies), error))
    return Findings(plan, trials, _importances(study))


def key_values(recipe: Recipe) -> dict[str, str]:
    """The values that distinguish a trial most, in few characters each."""
    mixed = [name for name, alpha in (("mixup", recipe.mixup), ("cutmix", recipe.cutmix)) if alpha]
    return {
        "lr": f"{recipe.lr:g}",
        "batch": str(recipe.batch_size),
        "optimizer": recipe.optimizer,
        "decay": f"{recipe.weight_decay:.2g}",
        "smoothing": f"{recipe.label_smoothing:.2g}",
        "ema": f"{recipe.ema:g}",
        "mixed": f"{'+'.join(mixed)} {recipe.mix:.2g}" if mixed else "none",
        "crop": f"{recipe.crop[0]:.2f}-{recipe.crop[1]:.2f}",
    }


def write_reports(found: Findings, out: Path) -> None:
    """Write trials.csv, tune.png and, where a trial is complete, best.toml, each whole or not at all."""
    _write(out / "trials.csv", _csv(found))
    _write(out / "tune.png", _picture(found))
    if found.best:
        _write(out / "best.toml", _toml(found, found.best))


def _write(path: Path, data: bytes) -> None:
    try:
        with written_whole(path, "wb") as stream:
            stream.write(data)
    except OSError as error:
        reason = os_reason(error)
        raise UserError(f"{path}: can't write ({reason}); the trials are kept, go on with --resume") from error


def _csv(found: Findings) -> bytes:
    keys = [key for key in found.plan.recipe.as_dict() if key not in ("name", "epochs")]
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["trial", "state", "val_accuracy", "epochs", *keys, "error"])
    for trial in found.trials:
        values = trial.recipe.as_dict()
        cells = [" ".join(map(str, v)) if isinstance(v, tuple) else v for v in map(values.get, keys)]
        writer.writerow([trial.number, trial.state, trial.accuracy, trial.epochs, *cells, trial.error])
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _toml(found: Findings, best: Trial) -> bytes:
    """The recipe of a trial as a file that `train --recipe` takes, all keys, with its result above them."""
    source = found.plan.source
    # As in a model file: no paths of this machine.
    name = Path(source).name if Path(source).exists() else source
    lines = [
        f"# {_percent(best.accuracy)} % of the validation split of {ascii(name)[1:-1]}, in {best.epochs} epochs:",
        f"# trial {best.number} of {len(found.trials)} that varied the recipe {ascii(found.plan.recipe.name)[1:-1]}.",
        "# It was chosen by these photos: `batchgender train --recipe` with this file gives its test accuracy.",
    ]
    values = {**best.recipe.as_dict(), "name": f"{best.recipe.name}-tuned"}
    lines += [f"{key} = {_toml_value(value)}" for key, value in values.items()]
    return ("\n".join(lines) + "\n").encode()


def _toml_value(value: Any) -> str:
    # JSON writes numbers, text, true and false as TOML does, but leaves DEL as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _importances(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al. 2023): the share each parameter has in telling good trials, largest first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    # Trials of the same accuracy tell nothing, and every parameter would get the same share.
    if len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except (ValueError, RuntimeError):  # Of trials that are too much alike.
            return {}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _picture(found: Findings) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 4.2) if found.importances else (6, 4.2), layout="constrained")
    history, *others = figure.subplots(1, 2 if found.importances else 1, squeeze=False)[0]
    shown = [trial for trial in found.trials if trial.accuracy is not None]
    for state, marker, color in (("complete", "o", "C0"), ("pruned", "x", "0.55"), ("failed", "v", "C3")):
        points = [(t.number, 100 * (t.accuracy or 0)) for t in shown if t.state == state]
        if points:
            history.plot(*zip(*points, strict=True), marker, color=color, label=state)
    complete = [t for t in shown if t.state == "complete"]
    best_so_far = [max(100 * (t.accuracy or 0) for t in complete[: i + 1]) for i in range(len(complete))]
    if complete:
        ends = [*(t.number for t in complete), len(found.trials)]
        history.plot(
            ends, [*best_so_far, best_so_far[-1]], "-", color="C1", drawstyle="steps-post", label="best so far"
        )
    history.set(title=found.counts(), xlabel="trial", ylabel="validation accuracy (%)")
    history.xaxis.set_major_locator(MaxNLocator(integer=True))
    history.grid(alpha=0.3)
    if shown:
        history.legend()
    for axes in others:
        largest = list(found.importances.items())[:10][::-1]
        bars = axes.barh([name for name, _ in largest], [share for _, share in largest], color="C0")
        axes.bar_label(bars, [f"{100 * share:.0f} %" for _, share in largest], padding=3)
        axes.set(title="Importance (PED-ANOVA)", xlim=(0, 1.15 * max(share for _, share in largest) or 1), xticks=[])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=120)
    return stream.getvalue()
