"""Other ways to export: float16, a newer opset, OpenVINO's files; the table of sizes; the gate in labels."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_networks
from conftest import one_line_error

from batchgender.export.load_any_model import load_any_model
from batchgender.model.open_model import open_model

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_networks.write_tinted(tmp_path_factory.mktemp("tinted") / "photos", 60)


@pytest.fixture(scope="module")
def checkpoint(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_networks.register(monkeypatch)
        network = tiny_networks.trained(source)
        yield tiny_networks.write_checkpoint("tiny", network, source, tmp_path_factory.mktemp("run"))


def told(file: Path) -> dict[str, Any]:
    return json.loads({p.key: p.value for p in onnx.load(file).metadata_props}["batchgender"])


@pytest.fixture(scope="module")
def float32(cli: Cli, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("float32") / "m.onnx"
    assert cli("export", checkpoint, "--format", "onnx", "--out", out).exit_code == 0
    return out


def test_float16_is_half_the_size_and_answers_the_same(
    cli: Cli, checkpoint: Path, float32: Path, source: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.onnx"
    result = cli("export", checkpoint, "--format", "onnx", "--quantize", "float16", "--out", half)
    assert result.exit_code == 0, result.stderr
    weights = [len(t.raw_data) for t in onnx.load(half).graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    whole = [len(t.raw_data) for t in onnx.load(float32).graph.initializer]
    assert 0.45 * sum(whole) < sum(weights) < 0.55 * sum(whole)
    for size in (1, 5):
        images = np.concatenate(tiny_networks.batches(source, "test"))[:size]
        assert np.abs(open_model(half).predict(images) - open_model(float32).predict(images)).max() < 0.02
    about = told(half)
    assert about["precision"] == "float16" and about["compression"]["flips"] == 0 and about["golden_tolerance"] == 0.01
    shown = json.loads(cli("inspect", half, "--json").stdout)
    assert shown["weights"] == "float16" and shown["golden_difference"] <= 0.01


def test_the_opset_is_as_asked_and_the_answers_stay(
    cli: Cli, checkpoint: Path, float32: Path, source: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "newer.onnx"
    assert cli("export", checkpoint, "--format", "onnx", "--opset", 23, "--out", newer).exit_code == 0
    assert [entry.version for entry in onnx.load(newer).opset_import if not entry.domain] == [23]
    assert [entry.version for entry in onnx.load(float32).opset_import if not entry.domain] == [18]
    (images, *_) = tiny_networks.batches(source, "test")
    assert np.abs(open_model(newer).predict(images) - open_model(float32).predict(images)).max() < 1e-5
    assert "18<=x<=23" in cli("export", checkpoint, "--format", "onnx", "--opset", 17).stderr


def test_openvino_files_are_evaluated_as_the_checkpoint_is(
    cli: Cli, checkpoint: Path, float32: Path, source: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    result = cli("export", checkpoint, "--format", "openvino", "--out", tmp_path / "x")
    assert result.exit_code == 0, result.stderr
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["batchgender.bin", "batchgender.xml"]
    # Photos larger than the model's input are shrunk by the same filter.
    predict = load_any_model(str(tmp_path / "x" / "batchgender.xml")).predict
    (small, *_) = tiny_networks.batches(source, "test")
    rng = np.random.default_rng(0)
    large = np.repeat(np.repeat(small[:4], 4, 1), 3, 2) ^ rng.integers(0, 64, (4, 128, 96, 3), np.uint8)
    assert np.abs(predict(large) - open_model(float32).predict(large)).max() < 1e-3
    shown = [
        cli("evaluate", file, "--data", source).stdout for file in (checkpoint, tmp_path / "x" / "batchgender.xml")
    ]
    assert shown[0] == shown[1] and "accuracy" in shown[0]
    assert "are for their own tools" in one_line_error(cli("inspect", tmp_path / "x" / "batchgender.xml"))
    (tmp_path / "x" / "batchgender.bin").unlink()
    message = one_line_error(cli("evaluate", tmp_path / "x" / "batchgender.xml", "--data", source))
    assert "damaged, or no OpenVINO file from batchgender" in message


def test_labels_are_compared_photo_by_photo_and_too_many_flips_keep_no_file(
    cli: Cli, checkpoint: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("export", checkpoint, "--format", "onnx", "--data", source, "--out", tmp_path / "m.onnx")
    result = cli(*line, "--max-flips", 0)
    assert result.exit_code == 0 and "0 of 60 photos change class" in result.stderr
    (tmp_path / "m.onnx").unlink()

    # A file that answers within its tolerance and yet has another decision threshold.
    from batchgender.export.formats import onnx as onnx_format
    from batchgender.model import tolerances

    write = onnx_format.write

    def moved(module: Any, info: Any, path: Path, opset: int) -> None:
        module = type(module)(module.network, module.input_size, [0.5] * 3, [0.25] * 3, bias=[0.0, 40.0]).eval()
        write(module, info, path, opset)

    monkeypatch.setattr(onnx_format, "write", moved)
    monkeypatch.setattr(tolerances, "ONNX", 1.0)
    result = cli(*line, "--max-flips", 3)
    message = one_line_error(result)
    assert "more than the 3 of --max-flips; not kept" in message and not (tmp_path / "m.onnx").exists()
    assert "Female to Male 30" in result.stderr and "PyTorch's margin" in result.stderr


def test_the_table_of_sizes_measures_what_can_be_exported_and_writes_nothing(
    cli: Cli, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("export", checkpoint, "--compare")
    assert result.exit_code == 0, result.stderr
    rows = result.stdout.splitlines()
    assert [row[:36].strip() for row in rows[1:7]] == [
        "(float32)",
        "--quantize float16",
        "--quantize int8",
        "--compress auto",
        "--compress auto --quantize float16",
        "--compress auto --quantize int8",
    ]
    sizes = [float(row[36:].split()[0]) for row in rows[1:7]]
    assert sizes[2] < sizes[1] < sizes[0] and sizes[3] < sizes[0]
    assert "over 60 validation photos" in rows[-1] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "give --format onnx"),
        (("--compare", "--format", "onnx"), "--compare measures all sizes and writes none"),
        (("--format", "pt2", "--quantize", "float16"), "--quantize is for --format onnx alone"),
    ],
)
def test_options_that_exclude_each_other_are_wrong_usage(
    cli: Cli, checkpoint: Path, options: tuple[str, ...], reason: str
) -> None:
    result = cli("export", checkpoint, *options)
    assert result.exit_code == 2 and reason in result.stderr


def test_a_core_ml_file_takes_a_picture_and_describes_itself(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools")
    file = tmp_path / "m.mlmodel"
    result = cli("export", checkpoint, "--format", "coreml", "--out", file)
    assert result.exit_code == 0, result.stderr
    assert f"{file}  0." in result.stderr and "not checked: Core ML runs on macOS alone" in result.stderr
    spec = coremltools.utils.load_spec(str(file))
    (given,) = spec.description.input
    assert given.name == "image" and given.type.imageType.width == tiny_networks.SIZE
    assert {value.name for value in spec.description.output} == {"probabilities", "logits"}
    about = json.loads(spec.description.metadata.userDefined["batchgender"])
    assert about["classes"] == tiny_networks.CLASSES and about["golden"]
    assert "Core ML runs on macOS alone" in one_line_error(cli("evaluate", file))


def test_a_litert_file_is_evaluated_as_the_checkpoint_is(
    cli: Cli, checkpoint: Path, source: Path, tmp_path: Path
) -> None:
    pytest.importorskip("litert_torch")
    file = tmp_path / "m.tflite"
    result = cli("export", checkpoint, "--format", "tflite", "--out", file)
    assert result.exit_code == 0, result.stderr
    shown = [cli("evaluate", model, "--data", source).stdout for model in (checkpoint, file)]
    assert shown[0] == shown[1] and "accuracy" in shown[0]
    told_by_inspect = json.loads(cli("inspect", file, "--json").stdout)["batchgender"]
    assert told_by_inspect["classes"] == tiny_networks.CLASSES


@pytest.mark.parametrize(
    ("name", "package"), [("coreml", "coremltools"), ("tflite", "litert_torch"), ("openvino", "openvino")]
)
def test_a_converter_that_is_not_there_is_named_with_its_extra(
    cli: Cli, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = one_line_error(cli("export", checkpoint, "--format", name, "--out", tmp_path / "x"))
    assert f"--format {name} needs the extra batchgender[{name}]" in message and not (tmp_path / "x").exists()
