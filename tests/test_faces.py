"""The whole way on real face photos where they are at hand, else on drawn ones: train, export, classify."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from conftest import FACES
from drawn_faces import write_portraits


def test_every_real_photo_has_its_row(cli: Callable[..., Any], faces: Path, red_or_blue: Path, tmp_path: Path) -> None:
    result = cli("classify", faces / "test", "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False)
    assert list(table.path) == sorted(str(f.relative_to(faces / "test")) for f in (faces / "test").rglob("*.*"))
    assert (table.error == "").all() and (table.label != "").all()
    assert ((table.p_female + table.p_male - 1).abs() <= 1e-5).all()


def test_a_model_for_hundreds_of_faces_is_made_as_the_readme_says(cli: Callable[..., Any], tmp_path: Path) -> None:
    counts = {"train": 100, "test": 60}
    if not FACES.is_dir():
        write_portraits(tmp_path / "faces", counts)
    for split, count in counts.items() if FACES.is_dir() else ():
        for label in ("female", "male"):
            (tmp_path / "faces" / split / label).mkdir(parents=True)
            files = sorted((FACES / split / label).iterdir())
            for file in files[:: len(files) // count][:count]:
                shutil.copy(file, tmp_path / "faces" / split / label)
    out = tmp_path / "run"
    line = ("train", "--data", tmp_path / "faces", "--recipe", "taught", "--weights", "packaged", "--lr", 5e-5)
    assert cli(*line, "--epochs", 2, "--out", out).exit_code == 0
    assert cli("export", out / "best.pt", "--format", "onnx", "--out", tmp_path).exit_code == 0
    model = tmp_path / "batchgender.onnx"
    cli("classify", tmp_path / "faces" / "test", "--model", model, "--out", tmp_path / "r.csv")
    table = pd.read_csv(tmp_path / "r.csv")
    # From random weights so few photos and epochs give little more than a coin, 60 of 120.
    assert (table.label == table.prediction).sum() >= 100


def test_alexnet_learns_from_random_weights(cli: Callable[..., Any], portraits: Path, tmp_path: Path) -> None:
    # The one of the packaged model, at a smaller size: `make demo` trains that of 57 million weights, for minutes.
    (tmp_path / "short.toml").write_text(
        'architecture = "alexnet_narrow"\ninput_size = 64\nlr = 1e-3\nepochs = 16\nbatch_size = 8\n'
    )
    out = tmp_path / "run"
    result = cli("train", "--data", portraits, "--recipe", tmp_path / "short.toml", "--out", out)
    assert result.exit_code == 0
    history = pd.read_csv(out / "history.csv")
    assert history.loss[-3:].mean() < history.loss[0] / 2
