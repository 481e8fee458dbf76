from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import BLUE, RED, picture

from batchgender.classify.pipeline import load_classifier
from batchgender.errors import UserError
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.metadata import METADATA_KEY
from batchgender.model.open_model import open_model
from batchgender.model.self_check import run_self_check

FOREIGN = ForeignOptions(["female", "male"], [0.5] * 3, [0.25] * 3)


def foreign_model(path: Path, shape: list[int | str], softmax: bool) -> Path:
    """A file as others write it: float input, channels first or last, logits or probabilities, no metadata."""
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    weight = onnx.numpy_helper.from_array(np.array([[2, 0], [0, 0], [0, 2]], np.float32), "weight")
    nodes = [
        onnx.helper.make_node("ReduceMean", ["x"], ["mean"], axes=axes, keepdims=0),
        onnx.helper.make_node("MatMul", ["mean", "weight"], ["logits"]),
        onnx.helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["y"]),
    ]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)
        for name, dims in (("x", shape), ("y", [shape[0], 2]))
    ]
    graph = onnx.helper.make_graph(nodes, "foreign", values[:1], values[1:], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, path)
    return path


def test_the_file_of_an_older_release_is_read_and_answers_as_it_did() -> None:
    """Never written anew: files that users have must go on working."""
    old = load_classifier(Path(__file__).parent.parent / "data" / "model_of_0.1.0.onnx")
    checked = run_self_check(old.model)
    assert checked is not None and checked <= 1e-5
    assert old.info.classes == ["Female", "Male"] and old.info.package_version == "0.1.0" and old.info.input_size == 224
    probabilities = old.model.predict(np.stack([picture(RED), picture(BLUE)]))
    assert probabilities.argmax(1).tolist() == [0, 1]


def test_the_packaged_model_that_another_has_replaced_goes_on_working() -> None:
    """In 8 bits, 192 pixels: it was in the package until 2026-11-27."""
    old = load_classifier(Path(__file__).parent.parent / "data" / "alexnet_bn512_int8.onnx")
    assert old.info.architecture == "alexnet_bn512" and old.info.input_size == 192
    checked = run_self_check(old.model)
    # Processors round 8-bit sums in their own ways.
    assert checked is not None and checked <= 0.05


def test_our_file_describes_itself_and_takes_any_size(red_or_blue: Path) -> None:
    model = open_model(red_or_blue)
    assert model.info.classes == ["Female", "Male"] and model.info.architecture == "red or blue"
    for size in ((224, 224), (1, 1), (50, 300)):
        probabilities = model.predict(np.stack([picture(RED, size), picture(BLUE, size)]))
        assert probabilities.argmax(1).tolist() == [0, 1]
        assert np.allclose(probabilities.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("shape", [["n", 3, 224, 224], ["n", 224, 224, 3], [2, 3, 224, 224], ["n", 3, "h", "w"]])
def test_a_foreign_file_gives_the_same_as_ours(
    tmp_path: Path, red_or_blue: Path, shape: list[Any], softmax: bool
) -> None:
    model = open_model(foreign_model(tmp_path / "foreign.onnx", shape, softmax), FOREIGN)
    assert model.info.classes == ["Female", "Male"]
    images = np.stack([picture(color, (224, 224)) for color in (RED, BLUE, RED)])
    assert np.allclose(model.predict(images), open_model(red_or_blue).predict(images), atol=1e-5)


def test_a_foreign_file_says_what_is_missing(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "foreign.onnx", ["n", 3, 224, 224], True)
    with pytest.raises(UserError, match="give --classes A,B --mean N,N,N --std N,N,N too"):
        open_model(path)
    with pytest.raises(UserError, match="give --std N,N,N too"):
        open_model(path, ForeignOptions(["a", "b"], [0, 0, 0]))


def test_a_foreign_file_with_other_classes_than_named_is_refused(tmp_path: Path) -> None:
    path = foreign_model(tmp_path / "foreign.onnx", ["n", 3, 224, 224], True)
    with pytest.raises(UserError, match="output y has 2 values a photo for 3 classes"):
        open_model(path, replace(FOREIGN, classes=["a", "b", "c"]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none.onnx: no such model file"):
        open_model(tmp_path / "none.onnx")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, red_or_blue: Path, share: float) -> None:
    data = red_or_blue.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match="empty file|damaged, cut short"):
        open_model(tmp_path / "cut.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model at all")
    with pytest.raises(UserError, match="damaged, cut short, or no ONNX model"):
        open_model(tmp_path / "text.onnx")


def test_a_model_of_something_else_is_no_image_classifier(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 10])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 10])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, tmp_path / "other.onnx")
    with pytest.raises(UserError, match="no image classifier"):
        open_model(tmp_path / "other.onnx", FOREIGN)


@pytest.mark.parametrize(
    ("metadata", "message"), [('{"schema": 2}', "newer batchgender"), ("{", "damaged"), ('{"schema": 1}', "damaged")]
)
def test_metadata_of_a_newer_schema_or_damaged_is_refused(
    tmp_path: Path, red_or_blue: Path, metadata: str, message: str
) -> None:
    model = onnx.load(red_or_blue)
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata})
    onnx.save_model(model, tmp_path / "changed.onnx")
    with pytest.raises(UserError, match=message):
        open_model(tmp_path / "changed.onnx")


def test_without_a_model_named_the_export_is_taken_or_the_way_to_one_said(
    tmp_path: Path, red_or_blue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("batchgender.model.open_model.PACKAGED_MODEL", tmp_path / "none.onnx")
    with pytest.raises(UserError, match="train and export one"):
        open_model()
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "batchgender.onnx").write_bytes(red_or_blue.read_bytes())
    assert open_model().info.architecture == "red or blue"
