"""The model in the package: it works as it comes, and is what its card says."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import one_line_error
from model_card import write_card
from utkface_groups import groups_of

from batchgender.model.open_model import PACKAGED_MODEL, open_model
from batchgender.report.counts import RowCounts
from batchgender.report.files import report_json

Cli = Callable[..., Any]
CARD = PACKAGED_MODEL.with_name("MODEL_CARD.md")
TOOLS = Path(__file__).parent.parent.parent / "tools"


def test_classify_works_as_it_comes_without_torch(portraits: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from batchgender.cli import main\n"
        f"main(['classify', {str(portraits)!r}, '--out', 'r.csv'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "packaged model" in done.stderr.splitlines()[0]
    table = pd.read_csv(tmp_path / "r.csv")
    assert len(table) == 52 and table.error.isna().all() and (table.confidence >= 0.5).all()


def test_it_is_small_and_says_what_it_is() -> None:
    info = open_model().info
    assert PACKAGED_MODEL.stat().st_size <= 16 * 2**20
    assert info.classes == ["Female", "Male"] and info.recipe["name"] == "narrow"
    assert "non-commercial" in info.license and "non-commercial" in CARD.read_text(encoding="utf-8")
    cost = info.compression
    assert cost and cost.validation_accuracy_float32 and cost.validation_accuracy_exported
    assert cost.validation_accuracy_float32 - cost.validation_accuracy_exported <= 0.005


def test_it_was_made_by_the_recipe_that_is_committed() -> None:
    from batchgender.training.recipe import Recipe, changed, find_recipe

    # Of the files that it began with, a model file has the names alone.
    expected = changed(find_recipe("narrow"), {"also_learn": "ages.csv", "sources": "groups.csv"})
    assert Recipe.from_dict(open_model().info.recipe) == expected


def test_its_figures_on_real_faces_are_those_of_its_card(cli: Cli, faces: Path, tmp_path: Path) -> None:
    result = cli("classify", faces / "test", "--out", tmp_path / "r.csv", "--model", PACKAGED_MODEL)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    right = table.prediction == table.label
    lines = CARD.read_text(encoding="utf-8").splitlines()
    assert any(f"On the {len(table):,} test photos" in line for line in lines)
    # Other processors round 8-bit sums another way: a few photos close to the threshold may change sides.
    (overall,) = [line.split("|")[2] for line in lines if line.startswith("| accuracy |")]
    assert abs(float(overall.split("%")[0]) - 100 * right.mean()) < 0.5
    # Each source alone: the accuracy of all may stay by chance where the photos change.
    for source, ours in right.groupby(table.path.str.extract(r"/([a-z]+)_", expand=False)):
        (row,) = [line.split("|") for line in lines if line.startswith(f"| {source} |")]
        assert int(row[2].replace(",", "")) == len(ours)
        assert abs(float(row[3].split("%")[0]) - 100 * ours.mean()) < 1
    # The file's metrics are of the float32 checkpoint, on the same photos, the answers of int8.
    metrics = open_model(PACKAGED_MODEL).info.metrics
    assert metrics and metrics.accuracy and metrics.labelled == len(table)
    assert abs(metrics.accuracy - right.mean()) < 0.01


def test_a_card_is_written_from_a_report_with_groups(
    cli: Cli, red_or_blue: Path, portraits: Path, tmp_path: Path
) -> None:
    report, out = tmp_path / "r.json", tmp_path / "card.md"
    rows = [f"test/{c}/{i:04}.jpg,{'even' if i % 2 == 0 else 'odd'}" for c in ("female", "male") for i in range(6)]
    (tmp_path / "groups.csv").write_text("\n".join(["path,parity", *rows]))
    line = ("evaluate", red_or_blue, "--data", portraits, "--groups", tmp_path / "groups.csv", "--report", report)
    assert cli(*line).exit_code == 0
    write_card_of = [sys.executable, str(TOOLS / "model_card.py"), str(PACKAGED_MODEL), str(report), str(out)]
    data = ["--trained-on", "crop_part1", "--trained-on", "web", "--tested-on", "web", "--tested-on", "celeba"]
    subprocess.run([*write_card_of, *data], check=True, capture_output=True)
    card = out.read_text(encoding="utf-8")
    accuracy = json.loads(report.read_text())["accuracy"]
    assert f"| accuracy | {100 * accuracy:.1f} %" in card and "| even * | 6 |" in card
    assert "not a person's identity" in card and "must not be used" in card
    assert "It was not trained on CelebA" in card and "part `crop_part1`" in card
    refused = subprocess.run([*write_card_of[:3], "none.json", str(out), *data], capture_output=True, text=True)
    assert refused.returncode == 1 and len(refused.stderr.strip().splitlines()) == 1


def test_what_makes_no_card_is_said_in_a_line(red_or_blue: Path, tmp_path: Path) -> None:
    from batchgender.errors import UserError

    (tmp_path / "bad.json").write_text("{}")
    # What `evaluate` writes where no photo could be read, or where there are three classes.
    (tmp_path / "three.json").write_text(report_json(RowCounts(["Female", "Male"]).figures(), {}))
    wrong = "no report of `batchgender evaluate"
    for report, reason in (("none.json", "No such file"), ("bad.json", wrong), ("three.json", wrong)):
        with pytest.raises(UserError, match=reason):
            write_card(str(PACKAGED_MODEL), str(tmp_path / report), str(tmp_path / "card.md"), ["web"])


def test_groups_are_read_from_utkface_names() -> None:
    assert groups_of("train/female/utk_3_1_2_20161220222001459.jpg") == ("0-3", "Asian", "utk")
    assert groups_of("26_0_1_20170116184024662.jpg") == ("13-60", "Black", "utk")
    assert groups_of("male/web_face_98.jpg") == ("", "", "web")


def test_a_groups_file_of_utkface_is_taken_by_classify(
    cli: Cli, red_or_blue: Path, portraits: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "faces" / "female" / "utk_61_1_0_20170109203245653.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes((portraits / "test" / "female" / "0000.jpg").read_bytes())
    module = [sys.executable, str(TOOLS / "utkface_groups.py")]
    made = subprocess.run(
        [*module, str(tmp_path / "faces"), str(tmp_path / "groups.csv")], capture_output=True, text=True
    )
    assert made.returncode == 0 and made.stdout.startswith("1 photos: ")
    line = ("classify", tmp_path / "faces", "--model", red_or_blue, "--out", tmp_path / "r.csv")
    result = cli(*line, "--groups", tmp_path / "groups.csv")
    assert "61+" in result.stdout and "White" in result.stdout
    refused = subprocess.run([*module, str(tmp_path / "none"), str(tmp_path / "g.csv")], capture_output=True, text=True)
    assert refused.returncode == 1 and len(refused.stderr.strip().splitlines()) == 1
    assert "no column `path`" in one_line_error(cli(*line, "--overwrite", "--groups", tmp_path / "r.report.json"))
