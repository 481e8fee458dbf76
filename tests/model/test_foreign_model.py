"""`classify --model` with files as others export them: a torchvision network with ImageNet's preprocessing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from conftest import one_line_error, write_picture
from foreign_files import node, write_foreign
from onnxruntime.transformers.float16 import convert_float_to_float16
from torchvision import models

from batchgender import load_classifier
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.open_model import open_model
from batchgender.photos.decode import decode
from batchgender.photos.resize import resize
from batchgender.results.results_file import ResultsFile

Cli = Callable[..., Any]

WEIGHT = np.array([[1, -1], [0.5, 0.3], [-2, 1]], np.float32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalised(images: Sequence[np.ndarray]) -> torch.Tensor:
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@pytest.fixture(scope="module")
def network(fifty: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    network = models.resnet18(num_classes=2).eval()
    images = [resize(decode(file.read_bytes()), 224) for file in sorted(fifty.iterdir())[::5]]
    # Random weights answer all photos nearly alike: the last layer is set to tell one from another.
    with torch.inference_mode():
        margins = network(normalised(images)) @ torch.tensor([1.0, -1.0])
    with torch.no_grad():
        network.fc.weight.div_(margins.std())
        network.fc.bias.div_(margins.std()).sub_(torch.tensor([1.0, 0.0]) * margins.mean() / margins.std())
    return network


@pytest.fixture(scope="module")
def files(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One network in the forms that it is found in."""
    folder = tmp_path_factory.mktemp("foreign")
    found = {name: folder / f"{name}.onnx" for name in ("plain", "external", "fixed", "float16")}
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=256)}}
    torch.onnx.export(
        network, (torch.zeros(2, 3, 224, 224),), found["plain"], dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    # The exporter leaves the weights beside the file.
    onnx.save_model(onnx.load(found["plain"]), found["external"], save_as_external_data=True, location="weights.bin")
    one = onnx.load(found["plain"])
    for value in (*one.graph.input, *one.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del one.graph.value_info[:]
    onnx.save_model(one, found["fixed"])
    whole = onnx.load(found["plain"])
    del whole.graph.value_info[:]
    onnx.save_model(convert_float_to_float16(whole), found["float16"])
    return found


@pytest.mark.parametrize(("name", "close"), [("plain", 1e-4), ("external", 1e-4), ("fixed", 1e-4), ("float16", 0.02)])
def test_a_torchvision_export_gives_what_pytorch_gives(
    cli: Cli, files: dict[str, Path], network: torch.nn.Module, fifty: Path, tmp_path: Path, name: str, close: float
) -> None:
    line = ("classify", fifty, "--model", files[name], "--out", tmp_path / "r.csv")
    own = ("--classes", "female,male", "--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD)))
    result = cli(*line, *own)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    assert len(table) == 50 and table.error.isna().all()
    images = [resize(decode((fifty / path).read_bytes()), 224) for path in table.path]
    with torch.inference_mode():
        expected = network(normalised(images)).softmax(1)
    assert expected[:, 0].std() > 0.01
    # Large JPEGs are decoded at a lower scale.
    assert np.abs(table.p_female - expected[:, 0].numpy()).max() < close + 0.01
    assert np.median(np.abs(table.p_female - expected[:, 0].numpy())) < close


def test_external_weights_that_are_gone_are_said_in_a_line(cli: Cli, files: dict[str, Path], tmp_path: Path) -> None:
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(files["external"].read_bytes())
    own = ("--classes", "female,male", "--mean", "0,0,0", "--std", "1,1,1")
    line = ("classify", write_picture(tmp_path / "a.jpg"), "--model", alone, "--out", tmp_path / "r.csv", *own)
    message = one_line_error(cli(*line))
    assert f"{alone}: its weights are in another file, which is not beside it" in message


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (("--mean", "0,0,0", "--std", "0,0,0"), "--std above 0"),
        (("--mean", "nan,0,0", "--std", "1,1,1"), "--mean and --std are three numbers each"),
        (("--mean", "0.485,0.456,0.406", "--std", "58.395,57.12,57.375"), "give both over the same"),
        (("--mean", "0,0,0", "--std", "1,1,1", "--classes", "woman,female"), "two of them are the same class"),
        (("--mean", "0,0,0", "--std", "1,1,1", "--columns", "0"), None),
        (("--mean", "0,0,0", "--std", "1,1,1", "--columns", "0,2"), "--columns 0,2: output"),
        (("--mean", "0,0,0", "--std", "1,1,1", "--output", "none"), "has no output none, only "),
        (("--mean", "0,0,0"), "give --std N,N,N too"),
    ],
)
def test_what_is_told_of_a_foreign_model_is_checked(
    cli: Cli, files: dict[str, Path], tmp_path: Path, own: tuple[str, ...], words: str | None
) -> None:
    photo = write_picture(tmp_path / "a.jpg")
    line = ("classify", photo, "--model", files["plain"], "--out", tmp_path / "r.csv", "--classes", "female,male", *own)
    if words:
        assert words in one_line_error(cli(*line))
        assert not (tmp_path / "r.csv").exists()
    else:
        assert cli(*line).exit_code == 0


@pytest.mark.parametrize("columns", ["-1", "a,b", "0.5", ",", "0,,1"])
def test_columns_that_are_no_whole_numbers_are_wrong_usage(cli: Cli, tmp_path: Path, columns: str) -> None:
    result = cli("classify", tmp_path, "--out", "-", "--columns", columns)
    assert result.exit_code == 2 and "give whole numbers from 0" in result.stderr


PLAIN = ForeignOptions(["female", "male"], [0, 0, 0], [1, 1, 1])
ENDS = [node("Softmax", "logits", "y")]


def answers_of_means(images: np.ndarray) -> np.ndarray:
    """What `write_foreign` gives: the softmax of four times the mean red and the mean blue."""
    powers = np.exp((images / 255).mean((1, 2))[:, [0, 2]] * 4)
    return np.asarray(powers / powers.sum(1, keepdims=True))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        (["n", 3, 64, 48], (64, 48)),
        (["n", 48, 64, 3], (48, 64)),
        ([2, 3, 32, 80], (32, 80)),
        (["n", 3, 64, "w"], (64, 64)),
        (["n", "h", 48, 3], (48, 48)),
        (["n", 3, "h", "w"], (224, 224)),
        (["n", "c", "h", "w"], (224, 224)),
        (["n", 40, 56, "c"], (40, 56)),
    ],
)
def test_photos_are_resized_to_the_input_whatever_its_shape(
    cli: Cli, tmp_path: Path, shape: list[int | str], size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(3)
    for index in range(9):
        coarse = rng.integers(0, 256, (4, 3, 3), np.uint8)
        folder = tmp_path / "photos" / ("female", "male")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        sides = tuple(int(side) for side in rng.integers(20, 300, 2))
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(coarse, sides, interpolation=cv2.INTER_CUBIC))
    layout = [side if side != "c" or at == 1 else 3 for at, side in enumerate(shape)]
    file = write_foreign(tmp_path / "f.onnx", ENDS, {"y": [shape[0], 2]}, shape=layout)
    model = onnx.load(file)
    for axis, side in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        if isinstance(side, str):
            axis.dim_param = side
    onnx.save_model(model, file)
    own = ("--classes", "female,male", "--mean", "0,0,0", "--std", "1,1,1")
    result = cli("classify", tmp_path / "photos", "--model", file, "--out", tmp_path / "r.csv", *own)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    images = [resize(decode((tmp_path / "photos" / path).read_bytes()), size) for path in table.path]
    assert images[0].shape == (*size, 3)
    assert np.abs(table[["p_female", "p_male"]].to_numpy() - answers_of_means(np.stack(images))).max() < 1e-5
    free = any(isinstance(side, str) for side in (shape[1:3] if shape[3] in (3, "c") else shape[2:]))
    assert (f"photos become {size[1]} x {size[0]} pixels" in result.stderr) == free
    evaluated = cli("evaluate", file, "--data", tmp_path / "photos", "--split", "all", *own)
    assert evaluated.exit_code == 0, evaluated.stderr
    shown = next(line for line in result.stdout.splitlines() if "accuracy" in line)
    assert shown in evaluated.stdout


def test_channels_and_numbers_over_bytes_are_in_the_order_of_the_model(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    file = write_foreign(tmp_path / "f.onnx", [node("Identity", "logits", "y")], {"y": ["n", 2]}, weight=WEIGHT)
    options = ForeignOptions(["a", "b"], [104, 117, 123], [50, 60, 70], channels="bgr")
    said: list[str] = []
    found = open_model(file, options, notify=said.append).predict(images)
    logits = ((images[..., ::-1] - np.array([104, 117, 123])) / [50, 60, 70]).mean((1, 2)) @ WEIGHT
    powers = np.exp(logits)
    assert np.abs(found - powers / powers.sum(1, keepdims=True)).max() < 1e-4
    assert said == ["--mean and --std: taken as over pixels in 0..255, for one of them is above 1"]
    assert np.abs(open_model(file, replace(options, channels="rgb")).predict(images) - found).max() > 0.01


def test_the_library_takes_the_same_by_keyword(tmp_path: Path) -> None:
    file = write_foreign(tmp_path / "f.onnx", ENDS, {"y": ["n", 2]})
    red = np.full((50, 40, 3), (220, 30, 30), np.uint8)
    given: dict[str, Any] = {
        "classes": ["male", "female"],
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "output": "y",
        "columns": [1, 0],
    }
    rows = [next(iter(load_classifier(file, **given, channels=order).classify(red))) for order in ("rgb", "bgr")]
    assert [row.prediction for row in rows] == ["Female", "Male"]


def test_a_fixed_batch_hidden_in_the_graph_is_said_with_the_way_out(cli: Cli, tmp_path: Path) -> None:
    one = [node("Reshape", ["logits", "one"], "y")]
    file = write_foreign(tmp_path / "f.onnx", one, {"y": [1, "c"]}, constants={"one": np.array([1, -1])})
    for index in range(5):
        write_picture(tmp_path / "photos" / f"{index}.png")
    own = ("--classes", "female,male", "--mean", "0,0,0", "--std", "1,1,1")
    line = ("classify", tmp_path / "photos", "--model", file, "--out", tmp_path / "r.csv", *own)
    assert "gives values of shape [1, 4] for 2 photos; try --batch-size 1" in one_line_error(cli(*line))
    assert cli(*line, "--overwrite", "--batch-size", "1").exit_code == 0


def test_a_resumed_run_reads_the_model_as_the_run_before(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_foreign(tmp_path / "f.onnx", ENDS, {"y": ["n", 2]})
    write_picture(tmp_path / "photos" / "a.png")
    line = ("classify", tmp_path / "photos", "--model", file, "--out", tmp_path / "r.csv", "--classes", "a,b")
    pixels = ("--mean", "0,0,0", "--std", "1,1,1")

    def stop(self: ResultsFile) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ResultsFile, "finish", stop)
        assert cli(*line, *pixels).exit_code == 130
    assert "model" in one_line_error(cli(*line, *pixels, "--channels", "bgr", "--resume"))
    assert cli(*line, *pixels, "--resume").exit_code == 0


def test_a_model_whose_answers_are_no_numbers_ends_the_run_in_a_line(
    cli: Cli, files: dict[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(files["plain"])
    for tensor in model.graph.initializer:
        if tensor.name == "fc.bias":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(2, np.nan, np.float32), tensor.name))
    onnx.save_model(model, tmp_path / "nan.onnx")
    write_picture(tmp_path / "female" / "a.jpg")
    own = ("--classes", "female,male", "--mean", "0,0,0", "--std", "1,1,1")
    line = ("classify", tmp_path / "female", "--model", tmp_path / "nan.onnx", "--out", tmp_path / "r.csv", *own)
    assert "a.jpg: the model's answer to it is no number" in one_line_error(cli(*line))
