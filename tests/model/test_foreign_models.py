"""`classify --model` with files as others export them: a torchvision network with ImageNet's preprocessing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16
from torchvision import models

from batchgender import UserError, load_classifier
from batchgender.photos.decode import decode
from batchgender.photos.resize import resize

Cli = Callable[..., Any]

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
    from conftest import one_line_error, write_picture

    alone = tmp_path / "alone.onnx"
    alone.write_bytes(files["external"].read_bytes())
    own = ("--classes", "female,male", "--mean", "0,0,0", "--std", "1,1,1")
    line = ("classify", write_picture(tmp_path / "a.jpg"), "--model", alone, "--out", tmp_path / "r.csv", *own)
    message = one_line_error(cli(*line))
    assert f"{alone}: its weights are in another file, which is not beside it" in message


@pytest.mark.parametrize(
    ("classes", "mean", "std", "words"),
    [
        (["female", "male"], MEAN, (0, 0, 0), "--std above 0"),
        (["female", "male"], MEAN, (0.5, -0.5, 0.5), "--std above 0"),
        (["female", "male"], (float("nan"), 0, 0), STD, "--mean and --std are three numbers"),
        (["female", "male"], MEAN, (0.5, float("inf"), 0.5), "--mean and --std are three numbers"),
        (["female", "woman"], MEAN, STD, "two of them are the same class (Female, Female)"),
    ],
)
def test_what_is_told_of_a_foreign_model_is_checked(
    files: dict[str, Path], classes: list[str], mean: tuple[float, ...], std: tuple[float, ...], words: str
) -> None:
    with pytest.raises(UserError) as refused:
        load_classifier(files["plain"], classes, mean, std)
    assert words in str(refused.value)


def test_a_model_whose_answers_are_no_numbers_ends_the_run_in_a_line(
    cli: Cli, files: dict[str, Path], tmp_path: Path
) -> None:
    from conftest import one_line_error, write_picture

    model = onnx.load(files["plain"])
    for tensor in model.graph.initializer:
        if tensor.name == "fc.bias":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(2, np.nan, np.float32), tensor.name))
    onnx.save_model(model, tmp_path / "nan.onnx")
    write_picture(tmp_path / "female" / "a.jpg")
    own = ("--classes", "female,male", "--mean", "0,0,0", "--std", "1,1,1")
    line = ("classify", tmp_path / "female", "--model", tmp_path / "nan.onnx", "--out", tmp_path / "r.csv", *own)
    assert "a.jpg: the model's answer to it is no number" in one_line_error(cli(*line))
