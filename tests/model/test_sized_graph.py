"""A graph without its resize: the answers of the whole file, to the last bit, for pictures of its size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from batchgender.classify import inference
from batchgender.classify.pipeline import load_classifier
from batchgender.errors import UserError
from batchgender.export.formats import onnx as onnx_format
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import PACKAGED_MODEL, open_model
from batchgender.model.session import Session, session_over
from batchgender.model.sized_graph import without_resize
from batchgender.photos.generated import generated_pictures
from batchgender.photos.resize import resize
from batchgender.training.networks.deployed import Deployed
from batchgender.training.networks.registry import build

Cli = Callable[..., Any]
OLD_MODEL = Path(__file__).parent.parent / "data" / "alexnet_bn512_int8.onnx"


@pytest.fixture
def float32(tmp_path: Path) -> Path:
    info = ModelInfo(["Female", "Male"], 64, [0.5] * 3, [0.25] * 3, architecture="alexnet_narrow")
    module = Deployed(build("alexnet_narrow", 2), 64, [0.5] * 3, [0.25] * 3).eval().requires_grad_(False)
    onnx_format.write(module, info, tmp_path / "float32.onnx")
    return tmp_path / "float32.onnx"


@pytest.mark.parametrize("name", ["packaged", "the one before it", "float32"])
def test_a_file_answers_the_same_without_its_resize(name: str, float32: Path) -> None:
    file = {"packaged": PACKAGED_MODEL, "float32": float32}.get(name, OLD_MODEL)
    model = open_model(file)
    graph = without_resize(str(file), model.info.input_size)
    assert graph and not {node.op_type for node in onnx.load_from_string(graph).graph.node} & {"Resize", "Round"}
    cut = model.at_its_size()
    assert cut.session is not model.session and cut.session.provider == model.session.provider
    pictures = np.stack([resize(picture, model.size) for picture in generated_pictures(12)])
    assert np.array_equal(cut.predict(pictures), model.predict(pictures))
    with pytest.raises(UserError):
        cut.predict(pictures[:, :-8])


def test_a_graph_with_another_preprocessing_is_left_alone(tmp_path: Path) -> None:
    # It resizes bytes, and rounds nothing.
    nodes = [
        onnx.helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        onnx.helper.make_node("Resize", ["planes", "", "", "size"], ["sized"], mode="linear"),
        onnx.helper.make_node("Identity", ["sized"], ["probabilities"]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None) for name in ("image", "probabilities")
    ]
    size = onnx.numpy_helper.from_array(np.array([1, 3, 8, 8]), "size")
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [size])
    onnx.save_model(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    assert without_resize(str(tmp_path / "other.onnx"), 8) is None


def test_a_model_whose_file_is_gone_goes_on_as_it_is(float32: Path) -> None:
    model = open_model(float32)
    float32.unlink()
    assert model.at_its_size() is model


def test_a_run_over_many_photos_has_the_same_rows(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("classify", photos, "--faces", "off", "--model", "packaged", "--provider", "cpu")
    assert cli(*line, "--out", tmp_path / "few.csv").exit_code == 0
    monkeypatch.setattr(inference, "_MANY_PIXELS", 40 * 96**2)
    cut: list[str] = []

    def counted(graph: bytes, file: str) -> Session:
        cut.append(file)
        return session_over(graph, file)

    monkeypatch.setattr("batchgender.model.open_model.session_over", counted)
    # On threads: what workers cut in their own process is not seen here.
    assert cli(*line, "--out", tmp_path / "many.csv", "--no-isolate").exit_code == 0
    # A model that is at hand goes on taking pictures of any size.
    classifier = load_classifier("packaged", provider="cpu")
    assert len(list(classifier.classify(photos))) == 80
    assert len(cut) == 2 and classifier.model.predict(np.zeros((1, 50, 70, 3), np.uint8)).shape == (1, 2)
    assert cut[0] == str(PACKAGED_MODEL) and (tmp_path / "many.csv").read_bytes() == (tmp_path / "few.csv").read_bytes()
