"""The shares of the classes, corrected by mistakes that were measured on labelled photos."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import BLUE, RED, one_line_error, write_picture
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from batchgender.errors import UserError
from batchgender.report.prevalence import Prevalence, estimate_prevalence, kolmogorov, nearest_shares
from batchgender.results.answers import Answers, read_answers

Cli = Callable[..., Any]
TWO = ("Female", "Male")
THREE = ("Child", "Female", "Male")


def answers(
    counts: Sequence[int], rng: np.random.Generator, classes: Sequence[str] = TWO, strength: float = 1.6
) -> Answers:
    """Labelled answers of a model that is right on the more photos the larger its `strength` is."""
    labels = np.repeat(np.arange(len(counts)), counts)
    logits = rng.normal(0, 1, (len(labels), len(counts))) * 1.5
    logits[np.arange(len(labels)), labels] += 2 * strength
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    paths = [f"{index}.jpg" for index in range(len(labels))]
    return Answers("r.csv", list(classes), paths, probabilities, probabilities.argmax(1), labels, [])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_interval_holds_the_truth_where_the_naive_count_does_not(share: float) -> None:
    rng = np.random.default_rng(round(100 * share))
    held, naive_held, errors = 0, 0, []
    for _ in range(20):
        measured, unseen = answers([600, 600], rng), answers([round(1000 * share), round(1000 * (1 - share))], rng)
        female = estimate_prevalence(unseen, measured).classes["Female"]
        held += female.interval_95[0] <= share <= female.interval_95[1]
        low, high = proportion_confint(female.counted, len(unseen), method="wilson")
        naive_held += low <= share <= high
        errors.append(female.corrected - share)
    assert held >= 18 and abs(np.mean(errors)) < 0.01
    # In the middle the mistakes of both sides may cancel out.
    assert share == 0.5 or naive_held < 10


def test_three_classes_are_corrected_too() -> None:
    rng = np.random.default_rng(3)
    found = estimate_prevalence(answers([900, 300, 1800], rng, THREE), answers([900] * 3, rng, THREE))
    for name, truth in zip(THREE, (0.3, 0.1, 0.6), strict=True):
        low, high = found.classes[name].interval_95
        assert low <= truth <= high and high - low < 0.12
    assert sum(each.corrected for each in found.classes.values()) == pytest.approx(1)


def test_of_two_classes_it_is_rogan_and_gladens() -> None:
    rng = np.random.default_rng(4)
    unseen, measured = answers([300, 700], rng), answers([500, 500], rng)
    found = estimate_prevalence(unseen, measured)
    right = measured.predictions == measured.labels
    sensitivity, specificity = right[measured.labels == 0].mean(), right[measured.labels == 1].mean()
    positive = (unseen.predictions == 0).mean()
    expected = (positive + specificity - 1) / (sensitivity + specificity - 1)
    assert found.classes["Female"].corrected == pytest.approx(expected)
    assert found.confusion["Male"]["Female"] == pytest.approx(1 - specificity)


def test_the_nearest_shares_are_what_an_optimizer_finds() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(0.3, 0.6, (20, 4))
    for one, found in zip(values, nearest_shares(values), strict=True):
        best = optimize.minimize(
            lambda shares, one=one: ((shares - one) ** 2).sum(),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1},
            tol=1e-12,
        )
        assert found == pytest.approx(best.x, abs=1e-4)


def test_chance_of_a_distance_is_scipys() -> None:
    for scaled in (0.0, 0.15, 0.4, 0.8, 1.2, 1.6, 2.5, 6.0):
        assert kolmogorov(scaled) == pytest.approx(stats.kstwobign.sf(scaled), abs=1e-9)


def warnings_of(results: Answers, measured: Answers) -> str:
    return " ".join(estimate_prevalence(results, measured).warnings)


def test_photos_of_another_kind_are_noticed_and_of_the_same_kind_are_not() -> None:
    rng = np.random.default_rng(6)
    measured = answers([800, 800], rng)
    assert "another kind" in warnings_of(answers([500, 500], rng, strength=0.6), measured)
    # Another mixture is no other kind.
    for counts in ([500, 500], [100, 900], [950, 50]):
        assert not warnings_of(answers(counts, rng), measured)


def test_what_can_hardly_be_told_and_few_photos_are_noticed() -> None:
    rng = np.random.default_rng(7)
    weak = answers([500, 500], rng, strength=0.2)
    assert "hardly tells the classes apart" in warnings_of(weak, weak)
    assert "has 20 photos labelled Female" in warnings_of(answers([50, 50], rng), answers([20, 100], rng))


def test_an_estimate_beyond_its_limits_is_held_and_said() -> None:
    rng = np.random.default_rng(8)
    measured, men = answers([500, 500], rng), answers([0, 800], rng, strength=4.0)
    found = estimate_prevalence(men, measured)
    female = found.classes["Female"]
    assert female.corrected == 0 and female.unclipped < 0 <= female.interval_95[0] < 0.05
    assert any("before it was held at 0" in line for line in found.warnings)


def test_a_model_that_always_answers_the_same_ends_in_a_line() -> None:
    rng = np.random.default_rng(9)
    one = answers([50, 50], rng)
    one.probabilities[:] = (0.1, 0.9)
    with pytest.raises(UserError, match="the answers are the same whatever the label"):
        estimate_prevalence(one, one)


@pytest.fixture(scope="module")
def files(cli: Cli, red_or_blue: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Results of 80 photos without labels as JSON Lines, and of 81, one unreadable, with labels as Parquet.

    Two of each label are wrong.
    """
    folder = tmp_path_factory.mktemp("results")
    photos = folder / "photos"
    for index in range(40):
        write_picture(photos / "female" / f"{index:02}.png", BLUE if index < 2 else RED)
        write_picture(photos / "male" / f"{index:02}.png", RED if index < 2 else BLUE)
    for name, options in (("r.jsonl", ["--no-labels"]), ("labelled.parquet", [])):
        line = ("classify", photos, "--model", red_or_blue, "--out", folder / name, *options)
        assert cli(*line).exit_code == 0
        (photos / "male" / "broken.jpg").write_bytes(b"no picture")
    return folder / "r.jsonl", folder / "labelled.parquet"


def test_the_command_prints_the_naive_count_beside_the_corrected_one(
    cli: Cli, files: tuple[Path, Path], tmp_path: Path
) -> None:
    done = cli("prevalence", files[0], "--measured-on", files[1], "--json", tmp_path / "p.json")
    assert done.exit_code == 0 and f"in no figure, unreadable or without a face: 1 of {files[1]}" in done.stdout
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["schema"] == 1 and found["photos"] == 80 and found["measured_left_out"] == 1
    # Two of 40 are wrong on either side: the count is right as it is.
    female = found["classes"]["Female"]
    assert female["naive"] == 0.5 and female["corrected"] == pytest.approx(0.5)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Female ")]
    assert line.split()[1:5] == ["40", "50.0", "%", "50.0"]


def test_unsure_answers_count_by_their_larger_probability(cli: Cli, files: tuple[Path, Path], tmp_path: Path) -> None:
    table = pd.read_json(files[0], lines=True)
    table.loc[table.index[:10], "prediction"] = "Unsure"
    table.to_csv(tmp_path / "unsure.csv", index=False)
    done = cli("prevalence", tmp_path / "unsure.csv", "--measured-on", files[1], "--json", tmp_path / "p.json")
    assert "10 Unsure: not in the naive count" in done.stdout
    female = json.loads((tmp_path / "p.json").read_text())["classes"]["Female"]
    # Of the ten, the first two are men in the women's folder.
    assert female["counted"] == 32 and female["naive"] == 32 / 70 and female["corrected"] == pytest.approx(0.5)


def test_swapped_labels_are_noticed(cli: Cli, files: tuple[Path, Path], tmp_path: Path) -> None:
    table = pd.read_parquet(files[1])
    table["label"] = table.label.map({"Female": "Male", "Male": "Female"})
    table.to_parquet(tmp_path / "swapped.parquet")
    done = cli("prevalence", files[0], "--measured-on", tmp_path / "swapped.parquet")
    assert "right on 5.0 % of 80 labelled photos, far below one half" in done.stderr


def test_bad_files_end_in_a_line(cli: Cli, files: tuple[Path, Path], tmp_path: Path) -> None:
    results, labelled = files
    table = pd.read_parquet(labelled)
    cases: dict[str, tuple[pd.DataFrame, str]] = {
        "none.csv": (table.assign(label=""), "no photo in it that could be read has a label"),
        "one.csv": (table.assign(label="Male"), "all labels in it are Male"),
        "others.csv": (table.rename(columns={"p_female": "p_cat", "p_male": "p_dog"}), "its classes are"),
        "words.csv": (table.assign(p_male="much"), "a probability in it is no number"),
        "columns.csv": (table[["path", "prediction", "error"]], "no columns of probabilities and labels"),
    }
    for name, (changed, message) in cases.items():
        changed.to_csv(tmp_path / name, index=False)
        assert message in one_line_error(cli("prevalence", results, "--measured-on", tmp_path / name))
    assert "No such file" in one_line_error(cli("prevalence", tmp_path / "nowhere.csv", "--measured-on", labelled))
    table[table.prediction == ""].to_csv(tmp_path / "unreadable.csv", index=False)
    message = one_line_error(cli("prevalence", tmp_path / "unreadable.csv", "--measured-on", labelled))
    assert "no photo in it could be read" in message


def test_the_figures_are_the_same_at_each_call(files: tuple[Path, Path]) -> None:
    from batchgender.results.answers import read_answers

    def estimate() -> Prevalence:
        return estimate_prevalence(*(read_answers(str(file)) for file in files))

    assert estimate() == estimate()


def test_rows_that_have_other_columns_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    row = {"path": "a.jpg", "prediction": "Male", "confidence": 0.9, "p_male": 0.9, "label": "Male", "error": ""}
    file.write_text(
        f"{json.dumps(row)}\n{json.dumps({**row, 'p_male': None, 'path': 'b.jpg'}).replace('p_male', 'p_mle')}\n"
    )
    with pytest.raises(UserError, match="not all the same columns"):
        read_answers(str(file))
