"""Model files that kill the runtime, never end, or name files elsewhere as their weights."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import RED, one_line_error, write_picture
from onnx import TensorProto, helper, numpy_helper

PICTURE = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])


def write_graph(
    path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], kind: int = TensorProto.FLOAT
) -> Path:
    """Write a file of the nodes, which take the constants by name, and give `probabilities`."""
    tensors = [
        value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.array(value), name)
        for name, value in constants.items()
    ]
    output = helper.make_tensor_value_info("probabilities", kind, None)
    graph = helper.make_graph(nodes, "g", [PICTURE], [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def division(path: Path) -> Path:
    """The smallest integer by -1: a signal, on processors of the kind x86."""
    node = helper.make_node("Div", ["a", "b"], ["probabilities"])
    return write_graph(
        path, [node], {"a": np.array([-(2**31)], np.int32), "b": np.array([-1], np.int32)}, TensorProto.INT32
    )


def normalisation(path: Path) -> Path:
    """The means of no pixels."""
    node = helper.make_node("InstanceNormalization", ["x", "s", "s"], ["probabilities"])
    return write_graph(path, [node], {"x": np.ones((1, 4, 0, 0), np.float32), "s": np.ones(4, np.float32)})


def loop(path: Path) -> Path:
    """A loop that ends in some thousand years."""
    values = [("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("x", TensorProto.FLOAT, [1])]
    again = [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["x"], ["y"])]
    outputs = [("go_on", TensorProto.BOOL, []), ("y", TensorProto.FLOAT, [1])]
    given, found = ([helper.make_tensor_value_info(*each) for each in some] for some in (values, outputs))
    body = helper.make_graph(again, "body", given, found)
    node = helper.make_node("Loop", ["n", "t", "x"], ["probabilities"], body=body)
    return write_graph(path, [node], {"n": np.int64(2**62), "t": np.bool_(True), "x": np.ones(1, np.float32)})


@pytest.mark.parametrize(
    ("write", "words"),
    [(normalisation, "crashes the runtime (SIGSEGV)"), (division, "crashes the runtime (SIGFPE)"), (loop, "more than")],
)
def test_a_model_that_kills_its_runtime_is_a_line(tmp_path: Path, write: Any, words: str) -> None:
    import platform

    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("files are tried on Linux, and the division is a signal on x86")
    file = write(tmp_path / "m.onnx")
    write_picture(tmp_path / "a.png", RED)
    program = "from batchgender.model import trial; trial._SECONDS = 1; from batchgender.cli import main; main()"
    classify = ("classify", "a.png", "--model", file, "--classes", "Female,Male", "--out", "r.csv")
    for line in (("inspect", file), classify):
        # In a process of its own: one with threads, as that of the tests may be, is not forked.
        command = [sys.executable, "-c", program, *map(str, line)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and words in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "location", ["../secret.bin", "link.bin", "{folder}/secret.bin", "/dev/zero", "x/../../secret.bin"]
)
def test_weights_outside_the_models_folder_are_not_read(cli: Any, tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    tensor = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location.format(folder=tmp_path)), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    node = helper.make_node("Identity", ["w"], ["probabilities"])
    file = write_graph(folder / "m.onnx", [node], {"w": tensor})
    assert "outside its folder" in one_line_error(cli("inspect", file))


def test_names_of_html_are_escaped_and_ten_thousand_classes_refused(
    cli: Any, red_or_blue: Path, tmp_path: Path
) -> None:
    import json

    model = onnx.load(red_or_blue)
    info = json.loads(model.metadata_props[0].value)
    names = ["<script>alert(1)</script>", "<b>bold"]
    for classes in (names, [*names, *map(str, range(9_998))]):
        model.metadata_props[0].value = json.dumps({**info, "classes": classes})
        onnx.save(model, tmp_path / f"{len(classes)}.onnx")
    write_picture(tmp_path / "a.png", RED)
    out, page = tmp_path / "r.csv", tmp_path / "r.html"
    line = ("classify", tmp_path / "a.png", "--out", out, "--report", page, "--faces", "off", "--no-isolate")
    assert "up to 1,000" in one_line_error(cli(*line, "--model", tmp_path / "10000.onnx"))
    assert cli(*line, "--model", tmp_path / "2.onnx").exit_code == 0
    assert out.read_text().splitlines()[1].startswith("a.png,<script>alert(1)</script>,")
    assert "<script>alert" not in page.read_text() and "<b>bold" not in page.read_text()
