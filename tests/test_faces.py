"""The whole way on real face photos where they are at hand, else on drawn ones: train, export, classify."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import FACES
from drawn_faces import write_portraits


def test_every_real_photo_has_its_row(cli: Callable[..., Any], faces: Path, red_or_blue: Path, tmp_path: Path) -> None:
    result = cli("classify", faces / "test", "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False)
    assert list(table.path) == sorted(str(f.relative_to(faces / "test")) for f in (faces / "test").rglob("*.*"))
    assert (table.error == "").all() and (table.label != "").all()
    assert ((table.p_female + table.p_male - 1).abs() <= 1e-5).all()


# The longest of all: minutes on a slow machine that other tests keep busy.
@pytest.mark.timeout(2400)
def test_alexnet_learns_from_faces(cli: Callable[..., Any], tmp_path: Path) -> None:
    counts = {"train": 200, "test": 60}
    if not FACES.is_dir():
        write_portraits(tmp_path / "faces", counts)
    for split, count in counts.items() if FACES.is_dir() else ():
        for label in ("female", "male"):
            (tmp_path / "faces" / split / label).mkdir(parents=True)
            files = sorted((FACES / split / label).iterdir())
            for file in files[:: len(files) // count][:count]:
                shutil.copy(file, tmp_path / "faces" / split / label)
    out = tmp_path / "run"
    assert cli("train", "--data", tmp_path / "faces", "--epochs", 4, "--out", out).exit_code == 0
    assert cli("export", out / "best.pt", "--format", "onnx", "--out", tmp_path).exit_code == 0
    model = tmp_path / "batchgender.onnx"
    cli("classify", tmp_path / "faces" / "test", "--model", model, "--out", tmp_path / "r.csv")
    table = pd.read_csv(tmp_path / "r.csv")
    # A coin gives 60 of 120, and 73 or more once in a hundred times.
    assert (table.label == table.prediction).sum() >= 73
    history = pd.read_csv(out / "history.csv")
    assert history.loss.iloc[-1] < history.loss.iloc[0]
