"""Explanations: maps that lie where the model looks, answers as `classify` gives them, files, and what can't be had."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tiny_networks
import torch
from conftest import BLUE, RED, one_line_error, picture, write_picture
from foreign_files import write_foreign
from numpy.typing import NDArray
from tiny_detectors import picture_of_cells
from torch import Tensor, nn

from batchgender import explain, load_classifier
from batchgender.classify.face_choice import FaceOptions
from batchgender.errors import UserError
from batchgender.explanation.explain import Explanation
from batchgender.explanation.picture import heat_map
from batchgender.export.formats import onnx as onnx_format
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.metadata import ModelInfo
from batchgender.training.networks import registry

Cli = Callable[..., Any]
Color = tuple[int, int, int]
BLACK = (0, 0, 0)
SIZE = tiny_networks.SIZE
# Pixels of a side of the part that the network below looks at.
PART = SIZE // 2


def corner(classes: int = 2) -> nn.Module:
    """Looks at the upper left quarter alone: there red speaks for the first class, blue for the second."""
    tint, head = nn.Conv2d(3, 2, 4, stride=4), nn.Linear(2 * 8 * 8, classes)
    with torch.no_grad():
        for layer in (tint, head):
            layer.weight.zero_()
        # Not alike: the exporter would make one of two that are.
        for bias, value in ((tint.bias, 1e-4), (head.bias, 2e-4)):
            assert bias is not None
            bias.fill_(value)
        tint.weight[0, 0] = tint.weight[1, 2] = 1 / 16
        seen = head.weight.view(classes, 2, 8, 8)[:, :, :4, :4]
        seen[0, 0] = seen[1, 1] = 0.1
    return nn.Sequential(tint, nn.ReLU(inplace=True), nn.Flatten(), head)


class Attention(nn.Module):
    """A convolution with attention behind it."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.patches, self.attention = nn.Conv2d(3, 8, 8, stride=8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


def dense(classes: int = 2) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, classes))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, make in {"corner": corner, "attention": Attention, "dense": dense}.items():
        monkeypatch.setitem(registry.OURS, name, make)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tiny_networks.write_checkpoint("corner", corner(), tmp_path, tmp_path / "run")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Files of `corner`, by whether they look at the mirror image, too."""
    folder = tmp_path_factory.mktemp("models")
    for flip in (False, True):
        info = ModelInfo(["Female", "Male"], SIZE, [0.5] * 3, [0.25] * 3, architecture="corner", flip=flip)
        onnx_format.write(tiny_networks.deployed(corner(), flip), info, folder / f"{flip}.onnx")
    return {flip: folder / f"{flip}.onnx" for flip in (False, True)}


@pytest.fixture
def model(models: dict[bool, Path]) -> Path:
    return models[False]


def red_corner(rest: Color = BLUE) -> NDArray[np.uint8]:
    """A picture whose upper left quarter is red."""
    pixels = picture(rest, (SIZE, SIZE))
    pixels[:PART, :PART] = RED
    return pixels


def share_in_corner(found: NDArray[np.float32]) -> float:
    """How much of a map lies in the upper left quarter, and a little beyond: squares that cover overlap it."""
    return float(np.abs(found[: PART + 6, : PART + 6]).sum() / np.abs(found).sum())


def only(explanations: Any) -> Explanation:
    (one,) = explanations
    assert isinstance(one, Explanation)
    return one


# Grad-CAM sees what a model looks for, and not where a dense layer looks: nothing of it lies elsewhere.
@pytest.mark.parametrize(("method", "rest"), [("occlusion", BLUE), ("grad-cam", BLACK)])
def test_the_map_lies_where_the_model_looks(model: Path, method: str, rest: Color) -> None:
    female = only(explain(red_corner(rest), model=model, method=method))
    assert female.explained == female.row.prediction == "Female" and female.method.name == method
    assert female.map.shape == (SIZE, SIZE) and female.map.dtype == np.float32
    assert share_in_corner(female.map) > 0.95 and female.map[4, 4] > 0
    # What the gray covers there is missed.
    assert female.covered < female.probability - 0.01
    # Blue there is another class, whose colour is the other one.
    male = only(explain(red_corner(rest)[:, :, ::-1].copy(), model=model, method=method))
    assert male.explained == "Male" and male.map[4, 4] > 0
    assert heat_map(female)[20, 20, 2] > heat_map(female)[20, 20, 0]
    assert heat_map(male)[20, 20, 0] > heat_map(male)[20, 20, 2]


def test_what_speaks_against_the_class_is_below_zero(model: Path) -> None:
    pixels = red_corner()
    pixels[:8, :8] = BLUE
    for method in ("occlusion", "grad-cam"):
        found = only(explain(pixels, model=model, method=method))
        assert found.explained == "Female" and found.map[1, 1] < 0 < found.map[13, 13], method


def test_a_checkpoint_and_its_onnx_file_have_one_map(checkpoint: Path, model: Path) -> None:
    for method in ("occlusion", "grad-cam"):
        one, other = (only(explain(red_corner(), model=file, method=method)) for file in (checkpoint, model))
        assert np.allclose(one.map, other.map, atol=1e-4 * np.abs(other.map).max()), method
        assert one.row.probabilities == pytest.approx(other.row.probabilities, abs=2e-5)


def test_a_model_that_looks_at_the_mirror_image_too_is_explained_by_both(models: dict[bool, Path]) -> None:
    found = only(explain(red_corner(RED), model=models[True], method="occlusion"))
    assert found.map[4, 4] > 0 and found.map[4, 4] == pytest.approx(found.map[4, -5], rel=0.05)
    assert abs(found.map[-5, 4]) < 0.05 * found.map[4, 4]
    # The network that is rebuilt answers as the file does only with the mirror image.
    found = only(explain(red_corner(BLACK), model=models[True], method="grad-cam"))
    assert found.map[4, 4] > 0 and share_in_corner(found.map) > 0.95


def test_the_packaged_model_is_rebuilt_in_pytorch(portraits: Path) -> None:
    photos = sorted((portraits / "test").rglob("*.jpg"))[:2]
    found = list(explain(photos, model="packaged", method="grad-cam"))
    assert [each.row for each in found] == list(load_classifier("packaged").classify(photos))
    assert all(np.ptp(each.map) > 0 for each in found)


def test_any_onnx_file_is_explained_by_occlusion_and_no_foreign_one_by_grad_cam(tmp_path: Path) -> None:
    file = write_foreign(tmp_path / "foreign.onnx", [], {"logits": ("n", 2)}, weight=((4, 0), (0, 0), (0, 4)))
    foreign = ForeignOptions(["female", "male"], [0.5] * 3, [0.5] * 3)
    pixels = picture((128, 128, 128), (SIZE, SIZE))
    pixels[-8:, -8:] = RED
    found = only(explain(pixels, model=file, foreign=foreign))
    assert found.method.name == "occlusion" and found.map[-3, -3] > 10 * abs(found.map[3, 3])
    with pytest.raises(UserError, match="not from batchgender"):
        explain(pixels, model=file, foreign=foreign, method="grad-cam")


@pytest.mark.parametrize(("name", "network", "why"), [("attention", Attention, "transformer"), ("dense", dense, "no")])
def test_networks_without_maps_are_refused(tmp_path: Path, name: str, network: Any, why: str) -> None:
    file = tiny_networks.write_checkpoint(name, network(), tmp_path, tmp_path / "run")
    with pytest.raises(UserError, match=f"{why}.*--method occlusion"):
        explain(red_corner(), model=file, method="grad-cam")


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="torch.export file, which can't be explained"):
        explain(red_corner(), model=tmp_path / "model.pt2")


def test_faces_are_cut_and_answered_as_by_classify(model: Path, cell_detector: Path, tmp_path: Path) -> None:
    cells = {(0, 0): (255, 0, 0), (2, 2): (0, 0, 255)}
    cv2.imwrite(str(tmp_path / "two.png"), picture_of_cells(cells)[..., ::-1])
    write_picture(tmp_path / "none.png", (9, 9, 9), (128, 128))
    (tmp_path / "x.jpg").write_text("no photo")
    photos = [tmp_path / name for name in ("none.png", "two.png", "x.jpg")]
    faces = FaceOptions("all", str(cell_detector))
    found = list(explain(photos, model=model, method="occlusion", faces=faces))
    assert [each.row for each in found] == list(load_classifier(model).classify(photos, faces=faces))
    assert [each.row.error[:8] for each in found] == ["no face ", "", "", "no image"]
    assert [each.explained for each in found] == ["", "Female", "Male", ""]
    assert [each.photo.size > 0 for each in found] == [False, True, True, False]
    # The square around the red cell, larger than the model's size.
    assert found[1].photo.shape == (448, 448, 3) and found[1].photo[224, 224, 0] > 200


def test_the_photo_that_is_shown_keeps_its_shape(model: Path) -> None:
    found = only(explain(picture(RED, (50, 100)), model=model, method="occlusion"))
    assert found.photo.shape == (224, 448, 3) and heat_map(found).shape == found.photo.shape


def test_files_name_the_class_and_the_method(model: Path, tmp_path: Path, cli: Cli) -> None:
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / folder / "1.png"), red_corner()[..., ::-1])
    (tmp_path / "photos" / "x.jpg").write_text("no photo")
    out = tmp_path / "out"
    line = ("explain", tmp_path / "photos", "--model", model, "--faces", "off", "--method", "occlusion", "--out", out)
    done = cli(*line)
    assert done.exit_code == 0, done.output
    assert "x.jpg: not explained: no image" in done.stderr and "1 photos not explained" in done.stderr
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*.*")) == [
        *("a/1.png.json", "a/1.png.png"),
        *("b/1.png.json", "b/1.png.png"),
    ]
    assert done.stdout.splitlines() == [str(out / folder / "1.png.png") for folder in ("a", "b")]
    data = json.loads((out / "a" / "1.png.json").read_text())
    assert data["path"] == "a/1.png" and data["explained"] == data["prediction"] == "Female"
    assert data["method"] == "occlusion" and "Zeiler" in data["source"]
    assert data["colours"] == {"blue": "speaks for Female", "red": "speaks for Male"}
    assert data["map"]["strongest_for"]["x"] < 0.5 and data["map"]["strongest_for"]["y"] < 0.5
    assert data["probability_covered"] < data["probabilities"]["Female"]
    pixels = cv2.imread(str(out / "a" / "1.png.png"), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None and pixels.shape[0] > 500 and pixels.shape[1] > 2 * 448
    assert "is not empty" in one_line_error(cli(*line)) and cli(*line, "--overwrite").exit_code == 0


def test_photos_of_one_name_are_kept_apart(model: Path, tmp_path: Path, cli: Cli, monkeypatch: Any) -> None:
    # Both lie in no folder that the other does not: what is left of their paths is the same.
    monkeypatch.chdir(tmp_path)
    inside = tmp_path / str(tmp_path / "1.png").lstrip("/")
    for file in (tmp_path / "1.png", inside):
        write_picture(file)
    line = ("explain", tmp_path / "1.png", inside.relative_to(tmp_path), "--model", model, "--faces", "off")
    assert cli(*line, "--method", "occlusion", "--out", "out").exit_code == 0
    assert len(list((tmp_path / "out").rglob("*.json"))) == len(list((tmp_path / "out").rglob("*.png"))) == 2


def test_bad_input_is_answered_in_a_line(model: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "x.jpg").write_text("no photo")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    ours = ("--model", model, "--faces", "off", "--method", "occlusion", "--out")
    assert "none of the 1 photos" in one_line_error(cli("explain", tmp_path / "x.jpg", *ours, tmp_path / "out"))
    assert "is a file" in one_line_error(cli("explain", tmp_path / "x.jpg", *ours, tmp_path / "file"))
    assert "no photos found" in one_line_error(cli("explain", tmp_path / "empty", *ours, tmp_path / "out"))
    assert cli("explain", "--out", tmp_path / "out").exit_code == 2


def test_without_a_method_it_is_occlusion_and_grad_cam_names_its_extra(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("batchgender.extras.find_spec", lambda name: None if name == "captum" else find(name))
    assert only(explain(red_corner(), model=model)).method.name == "occlusion"
    with pytest.raises(UserError, match=r"batchgender\[explain\]"):
        explain(red_corner(), model=model, method="grad-cam")


def test_occlusion_imports_no_pytorch(portraits: Path) -> None:
    program = (
        "import sys\nfrom batchgender import explain\n"
        "[found] = explain(sys.argv[1], model='packaged', method='occlusion')\n"
        "print(found.map.shape, 'torch' in sys.modules)"
    )
    photo = next((portraits / "test" / "female").iterdir())
    done = subprocess.run([sys.executable, "-c", program, str(photo)], capture_output=True, text=True)
    assert done.stdout.strip() == "(96, 96) False", done.stderr
