"""A model file's metadata: read as it was written, and checked field by field."""

import json
from typing import Any

import pytest

from batchgender.errors import UserError
from batchgender.model.metadata import CalibrationFit, ClassFigures, Compression, ModelInfo, SplitFigures

INFO = ModelInfo(
    classes=["Female", "Male"],
    input_size=64,
    mean=[0.5] * 3,
    std=[0.25] * 3,
    temperature=1.5,
    bias=[0.0, 0.1],
    thresholds={"Male": 0.7},
    calibration=CalibrationFit(100, 0.2, 0.1, 1.5),
    recipe={"name": "seed"},
    metrics=SplitFigures(0.9, 10, 1, {"Female": ClassFigures(0.9, 0.8, (0.5, 0.9), 0.85, 5)}, 0.95, 0.02),
    compression=Compression(rank=16, flips=2),
    self_check=[{"png": "", "probabilities": [0.5, 0.5]}],
    self_check_tolerance=0.001,
)


def changed(**fields: Any) -> str:
    return json.dumps(INFO.as_dict() | fields)


def test_what_is_written_is_read_again() -> None:
    again = ModelInfo.from_json(INFO.to_json(), "m.onnx")
    assert again.as_dict() == json.loads(INFO.to_json())
    assert again.compression == INFO.compression and again.calibration == INFO.calibration
    assert again.metrics and again.metrics.classes["Female"].recall == 0.8


def test_files_keep_the_names_of_the_first_version() -> None:
    data = INFO.as_dict()
    assert data["golden"] == INFO.self_check and data["golden_tolerance"] == 0.001
    bare = ModelInfo(["a", "b"], 1, [0.0] * 3, [1.0] * 3).as_dict()
    assert bare["metrics"] == bare["calibration"] == bare["compression"] == {}


@pytest.mark.parametrize(
    ("field", "value", "wants"),
    [
        ("classes", ["Female"], "a list of two or more different names"),
        ("classes", "FM", "a list of two or more different names"),
        ("input_size", 224.5, "a whole number"),
        ("mean", [0.5, 0.5], "three numbers"),
        ("std", [0, 1, 1], "three numbers above 0"),
        ("temperature", float("nan"), "a number above 0"),
        ("bias", [0.1], "a number for each class"),
        ("thresholds", {"Cat": 0.5}, "a number for each class"),
        ("thresholds", ["Female"], "a number for each class"),
        ("input_size", True, "a whole number"),
        ("golden", "x", "a list of up to 100 pictures"),
        ("golden", [{}] * 101, "a list of up to 100 pictures"),
        ("golden_tolerance", 2, "a number from 0 to 1"),
        ("recipe", [], "a table"),
        ("license", 7, "text"),
        ("flip", "yes", "true or false"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_it_wants(field: str, value: Any, wants: str) -> None:
    with pytest.raises(
        UserError, match=f"m.onnx: its batchgender metadata is damaged: the field {field} wants {wants}"
    ):
        ModelInfo.from_json(changed(**{field: value}), "m.onnx")


def test_a_field_that_is_missing_is_named() -> None:
    data = INFO.as_dict()
    del data["std"]
    with pytest.raises(UserError, match="the field std wants"):
        ModelInfo.from_json(json.dumps(data), "m.onnx")


def test_figures_that_are_none_are_left_out() -> None:
    stored = INFO.as_dict()["metrics"]
    wrong = ({"labelled": "many"}, {"labelled": None}, {"accuracy": 10**400}, {"accuracy": float("nan")})
    for metrics in ({}, {"accuracy": "x"}, {"classes": 5}, *(stored | each for each in wrong)):
        assert ModelInfo.from_json(changed(metrics=metrics), "m.onnx").metrics is None


def test_figures_of_a_version_that_had_fewer_are_read() -> None:
    stored = INFO.as_dict()["metrics"]
    del stored["auroc"], stored["ece"]
    metrics = ModelInfo.from_json(changed(metrics=stored), "m.onnx").metrics
    assert metrics and metrics.accuracy == 0.9 and metrics.auroc is None


def test_a_fit_or_a_compression_that_is_no_number_is_left_out() -> None:
    info = ModelInfo.from_json(changed(calibration={"photos": "x"}, compression={"rank": [16], "flips": 2}), "m.onnx")
    assert info.calibration is None and info.compression == Compression(flips=2)
