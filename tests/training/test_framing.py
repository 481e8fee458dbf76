from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import one_line_error
from tiny_detectors import CELL, picture_of_cells

from batchgender.faces import detector_file
from batchgender.io import silent
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.framing import faces_of, framing_of

RED = (250, 20, 20)


def photos(cells: int, count: int = 10) -> LabelledPhotos:
    """Photos 128 pixels wide and high, whose face is a cell, or which show none."""
    picture = picture_of_cells({(1, 1): RED} if cells else {})
    return LabelledPhotos(["Female", "Male"], np.zeros(count, np.int64), ["a"] * count, lambda _: picture)


def test_the_framing_of_training_photos_is_that_of_their_faces(
    cell_detector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHGENDER_DETECTOR", str(cell_detector))
    framing = framing_of(photos(1), silent)
    assert framing["face_share"] == CELL / 128
    # A square of the cell and this margin on each end is the photo.
    assert CELL * (1 + 2 * framing["margin"]) == 128
    assert framing_of(photos(0), silent) == {}


def test_each_photo_s_face_is_found_for_views_around_it(cell_detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHGENDER_DETECTOR", str(cell_detector))
    lines: list[str] = []
    assert (faces_of(photos(1, 3), lines.append) == np.array([CELL, CELL, CELL, CELL]) / 128).all()
    assert np.isnan(faces_of(photos(0, 2), silent)).all()
    assert "faces found in 3 of 3 training photos" in lines[-1]


def test_a_recipe_with_views_around_faces_trains_also_where_none_is_found_and_needs_a_detector(
    cli: Callable[..., Any], portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faces.toml").write_text(
        'architecture = "alexnet_narrow"\ninput_size = 96\nepochs = 1\nbatch_size = 8\nface_share = [0.5, 1.25]\n'
    )
    line = ("train", "--data", portraits, "--recipe", tmp_path / "faces.toml", "--out", tmp_path / "run")
    result = cli(*line)
    assert result.exit_code == 0 and "faces found in 0 of 36 training photos" in result.stderr
    monkeypatch.setenv("BATCHGENDER_DETECTOR", str(tmp_path / "none.onnx"))
    assert "none.onnx: no such file" in one_line_error(cli(*line[:-1], tmp_path / "other"))


def test_without_a_detector_nothing_is_fetched_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BATCHGENDER_DETECTOR")
    monkeypatch.setattr(detector_file, "cached_detector", lambda: tmp_path / "none.onnx")
    monkeypatch.setattr(detector_file, "URL", "http://127.0.0.1:9/would-fail")
    lines: list[str] = []
    assert framing_of(photos(1), lines.append) == {}
    assert len(lines) == 1 and "fetch-detector" in lines[0]


def test_the_framing_goes_with_the_checkpoint_into_the_model_file(
    cli: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from batchgender.model.open_model import open_model

    framing = {"margin": 0.31, "face_share": 0.45}
    checkpoints.save(replace(checkpoints.load(trained / "best.pt"), framing=framing), tmp_path / "best.pt")
    assert cli("export", tmp_path / "best.pt", "--format", "onnx", "--out", tmp_path).exit_code == 0
    assert open_model(tmp_path / "batchgender.onnx").info.framing == framing
