"""`inspect`: what a file is made of, whatever its origin, and whether it keeps its own promises."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import one_line_error, write_picture
from foreign_files import node, write_foreign

from batchgender.model.metadata import METADATA_KEY
from batchgender.model.open_model import open_model
from batchgender.model.self_check import run_self_check
from batchgender.photos.decode import decode

Cli = Callable[..., Any]


def inspected(cli: Cli, file: Path) -> dict[str, Any]:
    result = cli("inspect", file, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def told(file: Path) -> dict[str, Any]:
    return json.loads({p.key: p.value for p in onnx.load(file).metadata_props}[METADATA_KEY])


def write_told(source: Path, target: Path, about: dict[str, Any]) -> Path:
    model = onnx.load(source)
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(about)})
    onnx.save_model(model, target)
    return target


def test_parameters_and_multiplications_are_those_of_the_network(cli: Cli, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.Flatten()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(8 * 16 * 16, 2)).eval()
    file = tmp_path / "foreign.onnx"
    torch.onnx.export(network, (torch.zeros(1, 3, 32, 32),), file, dynamo=True, verbose=False, external_data=False)
    found = inspected(cli, file)
    assert found["parameters"] == sum(p.numel() for p in network.parameters())
    assert found["multiply_adds"] == 8 * 16 * 16 * 27 + 2 * 8 * 16 * 16
    assert found["weights"] == "float32" and found["batchgender"] is None and found["golden_difference"] is None
    assert (
        found["classify"].startswith("no: not from batchgender")
        and "--classes A,B --mean N,N,N --std" in found["classify"]
    )


@pytest.mark.parametrize(
    ("outputs", "asked"),
    [
        ({"y": ["n", 2]}, ""),
        ({"hidden": ["n", 3]}, " --columns I,J"),
        ({"y": ["n", 2], "age": ["n", 1]}, " --output y"),
        ({"y": ["n", 2], "shares": ["n", 2]}, " --output NAME"),
        ({"hidden": ["n", 3], "age of all": ["n", 4]}, " --output NAME --columns I,J"),
    ],
)
def test_all_that_a_foreign_file_needs_is_a_line_to_fill_in(
    cli: Cli, tmp_path: Path, outputs: dict[str, list[int | str]], asked: str
) -> None:
    ends = [
        node("Identity", "logits", "y"),
        node("Identity", "logits", "shares"),
        node("Identity", "means", "hidden"),
        node("ReduceMax", "means", "age", axes=[1]),
        node("Concat", ["logits", "logits"], "age of all", axis=1),
    ]
    file = write_foreign(tmp_path / "a file.onnx", ends, outputs)
    needs = inspected(cli, file)["classify"]
    line = f"batchgender classify PHOTOS --out FILE --model '{file}' --classes A,B --mean N,N,N --std N,N,N{asked}"
    assert f"fill in: {line}; --channels bgr" in needs
    assert all(f"{name} [{', '.join(map(str, shape))}]" in needs for name, shape in outputs.items())
    assert " ".join(cli("inspect", file).stdout.split()).count(line) == 1


def test_a_file_without_floats_is_said_to_be_no_classifier(cli: Cli, tmp_path: Path) -> None:
    file = write_foreign(tmp_path / "f.onnx", [node("ArgMax", "logits", "whole", axis=1)], {"whole": ["n", 1]})
    assert "no: no image classifier: no output of floats, only whole [n, 1]" in inspected(cli, file)["classify"]


def test_a_file_of_ours_is_told_in_words(cli: Cli, embeddable: Path) -> None:
    shown = cli("inspect", embeddable / "batchgender.onnx").stdout
    lines = dict(line.split("  ", 1) for line in shown.splitlines())
    assert lines["classes"].strip() == "Female, Male" and lines["precision"].strip() == "float32"
    assert lines["opset"].strip() == "18" and "MIT" in shown and "self-check    passed" in shown
    assert lines["classify"].strip() == "ready"
    assert "it takes ONNX" in cli("inspect", embeddable / "batchgender.pt").stdout


def test_the_pictures_in_a_file_tell_swapped_colours_and_another_resize(embeddable: Path) -> None:
    model = open_model(embeddable / "batchgender.onnx")
    checked = run_self_check(model)
    assert checked is not None and checked <= 1e-5 and len(model.info.self_check) == 2
    for one in model.info.self_check:
        image = decode(base64.b64decode(one["png"]))
        swapped = np.ascontiguousarray(image[..., ::-1])
        rough = np.asarray(cv2.resize(image, (224, 224), interpolation=cv2.INTER_NEAREST), np.uint8)
        for wrong in (swapped, rough):
            apart = np.abs(model.predict(wrong[None])[0] - one["probabilities"]).max()
            assert apart > model.info.self_check_tolerance


def test_a_file_that_answers_otherwise_than_it_promises_is_refused_by_inspect_and_classify(
    cli: Cli, embeddable: Path, tmp_path: Path
) -> None:
    about = told(embeddable / "batchgender.onnx")
    about["golden"][0]["probabilities"].reverse()
    file = write_told(embeddable / "batchgender.onnx", tmp_path / "spoiled.onnx", about)
    write_picture(tmp_path / "a.jpg")
    classify = ("classify", tmp_path / "a.jpg", "--model", file, "--out", tmp_path / "r.csv")
    for line in (("inspect", file), classify):
        assert "failed its self-check" in one_line_error(cli(*line))
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize("carried", [[{"png": "no base64", "probabilities": [0, 1]}], [{}], ["text"]])
def test_damaged_pictures_are_said_in_a_line(cli: Cli, embeddable: Path, tmp_path: Path, carried: list[Any]) -> None:
    about = {**told(embeddable / "batchgender.onnx"), "golden": carried}
    file = write_told(embeddable / "batchgender.onnx", tmp_path / "damaged.onnx", about)
    assert "pictures of its self-check are damaged" in one_line_error(cli("inspect", file))


def test_a_file_cut_short_is_said_in_a_line(cli: Cli, embeddable: Path, tmp_path: Path) -> None:
    data = (embeddable / "batchgender.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: len(data) // 2])
    assert "damaged, cut short" in one_line_error(cli("inspect", tmp_path / "cut.onnx"))
    assert "no such model file" in one_line_error(cli("inspect", tmp_path / "none.onnx"))


def test_answers_that_are_no_numbers_are_not_what_was_promised(cli: Cli, embeddable: Path, tmp_path: Path) -> None:
    model = onnx.load(embeddable / "batchgender.onnx")
    floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and list(t.dims) == [2]]
    bias = floats[-1]
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(2, np.nan, np.float32), bias.name))
    onnx.save_model(model, tmp_path / "nan.onnx")
    assert "failed its self-check" in one_line_error(cli("inspect", tmp_path / "nan.onnx"))


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 5},
        {"classes": ["Female", "Female"]},
        {"classes": "FM"},
        {"classes": ["a", "b", "c"]},
        {"input_size": 224.5},
        {"input_size": 0},
        {"mean": "x"},
        {"std": [0, 1, 1]},
        {"temperature": float("nan")},
        {"thresholds": {"Female": float("nan")}},
        {"thresholds": "x"},
        {"golden": None},
        {"golden_tolerance": float("inf")},
        {"license": 7},
        {"schema": float("inf")},
    ],
)
def test_metadata_of_the_wrong_kind_is_said_in_a_line(
    cli: Cli, red_or_blue: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    file = write_told(red_or_blue, tmp_path / "changed.onnx", told(red_or_blue) | changes)
    line = ("classify", write_picture(tmp_path / "a.jpg"), "--model", file, "--out", tmp_path / "r.csv")
    for command in (("inspect", file), line):
        message = one_line_error(cli(*command))
        assert "metadata is damaged" in message or "names 3 classes and answers for 2" in message


def test_what_a_file_says_can_not_speak_to_the_terminal(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    about = told(red_or_blue) | {"license": "free\x1b[31m\nclassify: ready", "metrics": {"accuracy": "x"}}
    shown = cli("inspect", write_told(red_or_blue, tmp_path / "loud.onnx", about)).stdout
    assert "\x1b" not in shown and "free\\x1b[31m\\nclassify: ready" in shown
