"""int8 files: smaller, run by integer kernels, bound by accuracy on labelled photos."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny_networks
import torch
from conftest import one_line_error

from batchgender.export.agreement import Reference
from batchgender.export.export_checkpoint import export_checkpoint
from batchgender.export.low_rank import fold_batch_norm
from batchgender.export.quantization.int8 import write_int8
from batchgender.io import silent
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import open_model
from batchgender.photos.resize import resize
from batchgender.training.data.open_source import open_source
from batchgender.training.networks.deployed import probabilities_of

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_networks.write_tinted(tmp_path_factory.mktemp("tinted") / "photos", 60)


@pytest.fixture(scope="module")
def network(source: Path) -> torch.nn.Module:
    return tiny_networks.trained(source)


@pytest.fixture(scope="module")
def checkpoint(network: torch.nn.Module, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_networks.register(monkeypatch)
        yield tiny_networks.write_checkpoint("tiny", network, source, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def files(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same checkpoint in float32 and in int8, of low rank."""
    from batchgender.export.export_checkpoint import ExportOptions

    found = {}
    for name, options in (("float32", ExportOptions()), ("int8", ExportOptions("auto", "int8"))):
        out = tmp_path_factory.mktemp("exports") / f"{name}.onnx"
        (found[name],) = export_checkpoint(str(checkpoint), ["onnx"], str(out), None, lambda line: None, options)
    return found


def layers(file: Path, tmp_path: Path) -> list[str]:
    """The operators that onnxruntime makes of a file."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]


def test_integer_kernels_run_every_layer_but_the_last(files: dict[str, Path], tmp_path: Path) -> None:
    kinds = layers(files["int8"], tmp_path)
    assert kinds.count("QLinearConv") == 2 and kinds.count("QGemm") == 4 and kinds.count("Gemm") == 1
    assert not {"Conv", "FusedConv", "BatchNormalization"} & set(kinds)
    # Bytes are what the first of them takes.
    assert (
        kinds[kinds.index("QLinearConv") - 1] == "Cast" and "QuantizeLinear" not in kinds[: kinds.index("QLinearConv")]
    )


def test_the_file_is_smaller_and_keeps_the_contract(files: dict[str, Path], network: torch.nn.Module) -> None:
    assert files["int8"].stat().st_size < 0.3 * files["float32"].stat().st_size
    models = {name: onnx.load(file) for name, file in files.items()}
    for model in models.values():
        onnx.checker.check_model(model)
    faces = [
        [
            (v.name, v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
            for v in (*model.graph.input, *model.graph.output)
        ]
        for model in models.values()
    ]
    assert faces[0] == faces[1] and faces[0][0][2] == ["batch", "height", "width", 3]
    info = json.loads({p.key: p.value for p in models["int8"].metadata_props}["batchgender"])
    assert info["precision"] == "int8" and info["classes"] == tiny_networks.CLASSES
    found = info["compression"]
    assert found["int8_calibration"] in ("minmax", "moving average", "percentile") and found["int8_photos"] == 120
    assert found["rank"] >= 16 and found["rank_photos"] == 120 and found["validation_photos"] == 60
    assert found["validation_accuracy_float32"] - found["validation_accuracy_exported"] <= 0.005
    assert found["flips"] <= 1 and 0 < found["largest_difference"] < 0.2
    assert str(files["int8"].parent).encode() not in files["int8"].read_bytes()


def test_any_batch_and_size_is_answered_nearly_as_by_float32(files: dict[str, Path], source: Path) -> None:
    int8, float32 = (open_model(files[name]) for name in ("int8", "float32"))
    (first, *_) = tiny_networks.batches(source, "test")
    for images in (first[:1], first, np.repeat(np.repeat(first[:3], 2, 1), 3, 2)):
        answers = int8.predict(images)
        assert answers.dtype == np.float32 and np.abs(answers - float32.predict(images)).max() < 0.2


def test_its_own_resize_answers_as_classify_does(files: dict[str, Path], source: Path) -> None:
    model = open_model(files["int8"])
    (first, *_) = tiny_networks.batches(source, "test")
    noise = np.random.default_rng(0)
    for index, sides in enumerate(((40, 90), (200, 200), (131, 57), (500, 333))):
        photo = cv2.resize(first[index], sides[::-1], interpolation=cv2.INTER_CUBIC)
        photo = cv2.add(photo, noise.integers(0, 40, photo.shape, np.uint8))
        theirs, ours = model.predict(photo[None]), model.predict(resize(photo, tiny_networks.SIZE)[None])
        assert np.abs(theirs - ours).max() < 0.005


def test_logits_are_no_steps(files: dict[str, Path], source: Path) -> None:
    images = np.concatenate(tiny_networks.batches(source, "val"))
    (logits,) = ort.InferenceSession(files["int8"]).run(["logits"], {"image": images})
    assert len(np.unique(logits[:, 0])) > 0.9 * len(images)


def test_evaluate_gives_the_accuracy_that_the_file_names(
    cli: Cli, files: dict[str, Path], source: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    assert cli("evaluate", files["int8"], "--data", source, "--split", "val", "--report", report).exit_code == 0
    found = json.loads(cli("inspect", files["int8"], "--json").stdout)["batchgender"]["compression"]
    assert found["validation_accuracy_exported"] == pytest.approx(json.loads(report.read_text())["accuracy"], abs=1e-6)


def test_a_network_that_sees_the_mirror_image_too_keeps_its_last_layer_whole(
    network: torch.nn.Module, source: Path, tmp_path: Path
) -> None:
    module = tiny_networks.deployed(fold_batch_norm(network), flip=True)
    validation = open_source(str(source), lambda line: None).split("val")
    reference = Reference(probabilities_of(module), tiny_networks.CLASSES, validation, tiny_networks.SIZE, silent)
    info = ModelInfo(tiny_networks.CLASSES, tiny_networks.SIZE, [0.5] * 3, [0.25] * 3)
    write_int8(module, info, tmp_path / "flip.onnx", tiny_networks.batches(source), reference, silent, opset=18)
    kinds = layers(tmp_path / "flip.onnx", tmp_path)
    assert kinds.count("QLinearConv") >= 3 and kinds.count("QGemm") == 4 and kinds.count("Gemm") == 2
    # The pixels' normalisation is left, for two layers take them.
    assert kinds.count("BatchNormalization") == 1
    assert len(reference.compare(open_model(tmp_path / "flip.onnx").predict, "").flips) <= 1


def test_what_loses_accuracy_in_int8_is_refused_and_no_file_kept(
    cli: Cli, checkpoint: Path, source: Path, tmp_path: Path
) -> None:
    fragile = tiny_networks.write_checkpoint("fragile", tiny_networks.fragile(), source, tmp_path / "run")
    result = cli("export", fragile, "--format", "onnx", "--quantize", "int8", "--out", tmp_path / "x")
    message = one_line_error(result)
    assert "accuracy on 60 validation photos falls from 100.0 % to" in message and "not kept" in message
    assert not (tmp_path / "x").exists()
    assert result.stdout == ""


@pytest.mark.parametrize("formats", [("torchscript",), ("onnx", "pt2")])
def test_other_formats_have_no_int8(cli: Cli, checkpoint: Path, tmp_path: Path, formats: tuple[str, ...]) -> None:
    named = [part for name in formats for part in ("--format", name)]
    result = cli("export", checkpoint, *named, "--quantize", "int8", "--out", tmp_path / "x")
    assert result.exit_code == 2 and "--quantize is for --format onnx alone" in result.stderr
    assert not (tmp_path / "x").exists()
