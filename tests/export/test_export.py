"""Exports of a really trained AlexNet: they say and give what PyTorch gives."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from conftest import one_line_error
from drawn_faces import draw_portrait
from numpy.typing import NDArray

from batchgender.export.export_checkpoint import export_checkpoint
from batchgender.io import silent
from batchgender.lock import locked
from batchgender.model.metadata import ModelInfo
from batchgender.model.open_model import default_model, open_model
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data.batches import Batches
from batchgender.training.data.open_source import open_source
from batchgender.training.networks.deployed import Deployed

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:

    out = tmp_path_factory.mktemp("exports")
    lines: list[str] = []
    export_checkpoint(str(trained / "best.pt"), ["onnx", "torchscript", "pt2"], str(out), None, lines.append)
    assert len(lines) == 3 and all("largest difference from PyTorch" in line for line in lines)
    return out


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Pictures of several sizes, one of them the model's own."""
    rng = np.random.default_rng(1)
    drawn = [draw_portrait("female", rng), draw_portrait("male", rng)]
    return [drawn[0], drawn[1][:200, :170], np.repeat(np.repeat(drawn[0], 3, 0), 2, 1)]


@pytest.fixture(scope="module")
def expected(trained: Path, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    module = checkpoints.load(trained / "best.pt").deployed()
    with torch.inference_mode():
        return [tuple(t.numpy() for t in module(torch.from_numpy(image[None]))) for image in images]


def test_onnx_gives_pytorchs_probabilities_and_logits(exported: Path, images: NDArray[np.uint8], expected: Any) -> None:
    session = ort.InferenceSession(exported / "batchgender.onnx")
    for image, (probabilities, logits) in zip(images, expected, strict=True):
        got = session.run(["probabilities", "logits"], {"image": image[None]})
        assert np.abs(got[0] - probabilities).max() <= 1e-4
        assert np.abs(got[1] - logits).max() <= 1e-3


@pytest.mark.parametrize("name", ["batchgender.pt", "batchgender.pt2"])
def test_torch_formats_give_pytorchs_probabilities(
    exported: Path, images: NDArray[np.uint8], expected: Any, name: str
) -> None:
    file = exported / name
    module = torch.export.load(file).module() if name.endswith("pt2") else torch.jit.load(file)
    for image, (probabilities, _) in zip(images, expected, strict=True):
        with torch.inference_mode():
            got = module(torch.from_numpy(np.stack([image, image])))[0].numpy()
        assert np.abs(got - probabilities).max() <= 1e-5


def test_the_onnx_file_keeps_the_contract(exported: Path) -> None:
    model = onnx.load(exported / "batchgender.onnx")
    onnx.checker.check_model(model)
    (given,) = model.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert given.name == "image" and dims == ["batch", "height", "width", 3]
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [value.name for value in model.graph.output] == ["probabilities", "logits"]
    info = json.loads({p.key: p.value for p in model.metadata_props}["batchgender"])
    assert info["schema"] == 1 and info["classes"] == ["Female", "Male"] and info["input_size"] == 224
    assert info["architecture"] == "alexnet_bn512" and info["precision"] == "float32"
    assert info["mean"] == [0.485, 0.456, 0.406] and info["std"] == [0.229, 0.224, 0.225]
    assert info["metrics"]["labelled"] == 12 and info["metrics"]["classes"]["Male"]["support"] == 6
    assert info["dataset"] and info["created"] and info["package_version"] and info["license"]


def test_no_path_of_this_machine_is_in_the_onnx_file(exported: Path) -> None:
    data = (exported / "batchgender.onnx").read_bytes()
    for text in (str(Path(__file__).parent.parent.parent), str(exported), str(Path.home()) + "/", "site-packages"):
        assert text.encode() not in data


def test_every_format_carries_the_same_metadata_and_inspect_prints_it(cli: Cli, exported: Path, trained: Path) -> None:
    printed = {}
    for name in ("batchgender.onnx", "batchgender.pt", "batchgender.pt2"):
        result = cli("inspect", exported / name, "--json")
        assert result.exit_code == 0
        printed[name] = json.loads(result.stdout)["batchgender"]
    assert printed["batchgender.onnx"] == printed["batchgender.pt"] == printed["batchgender.pt2"]
    assert json.loads(cli("inspect", trained / "best.pt", "--json").stdout)["batchgender"]["classes"] == [
        "Female",
        "Male",
    ]
    assert any("extra/batchgender.json" in name for name in zipfile.ZipFile(exported / "batchgender.pt").namelist())


def test_evaluate_gives_the_same_figures_for_checkpoint_and_exports(
    cli: Cli, exported: Path, trained: Path, portraits: Path, tmp_path: Path
) -> None:
    printed, reports = set(), []
    for file in (trained / "best.pt", *(exported / f"batchgender.{ending}" for ending in ("onnx", "pt", "pt2"))):
        trust = ("--trust",) if file.name in ("batchgender.pt", "batchgender.pt2") else ()
        result = cli("evaluate", file, "--data", portraits, "--report", tmp_path / "r.json", *trust)
        assert result.exit_code == 0, result.stderr
        printed.add(result.stdout)
        report = json.loads((tmp_path / "r.json").read_text())
        reports.append((report["accuracy"], report["confusion"], report["classes"]))
    assert len(printed) == 1 and all(report == reports[0] for report in reports)
    metrics = checkpoints.load(trained / "best.pt").metrics
    assert metrics and reports[0][0] == metrics.accuracy


def test_classify_reports_what_evaluate_reports(cli: Cli, exported: Path, portraits: Path, tmp_path: Path) -> None:
    model = exported / "batchgender.onnx"
    evaluated = cli("evaluate", model, "--data", portraits).stdout
    classified = cli("classify", portraits / "test", "--model", model, "--out", tmp_path / "r.csv").stdout
    assert classified == evaluated


def test_alexnet_of_low_rank_in_int8_is_a_tenth_and_answers_the_same(
    cli: Cli, exported: Path, trained: Path, portraits: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.onnx"
    options = ("--compress", "auto", "--quantize", "int8", "--out", small)
    result = cli("export", trained / "best.pt", "--format", "onnx", *options)
    assert result.exit_code == 0, result.output
    size = small.stat().st_size
    assert f"{small}  {size / 1e6:.1f} MB" in result.stderr
    whole = open_model(exported / "batchgender.onnx")
    assert size < (exported / "batchgender.onnx").stat().st_size / 10
    assert whole.info.compression is None and open_model(small).info.precision == "int8"
    photos = open_source(str(portraits), lambda line: None).split("test")
    (images, _, _), *_ = Batches(photos, 224, 32, lambda line: None)(range(len(photos)))
    assert np.abs(open_model(small).predict(images) - whole.predict(images)).max() < 0.1


def test_the_packaged_model_is_taken_where_there_is_no_export(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "assets" / "default.onnx"
    packaged.parent.mkdir()
    packaged.write_bytes(red_or_blue.read_bytes())
    monkeypatch.setattr("batchgender.model.open_model.PACKAGED_MODEL", packaged)
    monkeypatch.chdir(tmp_path)
    result = cli("classify", photos, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0 and "model: packaged model" in result.stderr
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "batchgender.onnx").write_bytes(red_or_blue.read_bytes())
    assert default_model() == Path("exports/batchgender.onnx")


def test_a_wheel_carries_the_packaged_model_and_its_card(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    project, copy = Path(__file__).parent.parent.parent, tmp_path / "copy"
    without = shutil.ignore_patterns("__pycache__", "assets")
    shutil.copytree(project / "batchgender", copy / "batchgender", ignore=without)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project / name, copy)
    (copy / "batchgender" / "assets").mkdir()
    for name in ("default.onnx", "MODEL_CARD.md"):
        (copy / "batchgender" / "assets" / name).write_bytes(b"x")
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert {"batchgender/assets/default.onnx", "batchgender/assets/MODEL_CARD.md"} <= set(
        zipfile.ZipFile(wheel).namelist()
    )


def test_a_file_that_differs_from_pytorch_is_not_kept(
    cli: Cli, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batchgender.export.formats import onnx as onnx_format

    write = onnx_format.write

    def spoiled(module: Deployed, info: ModelInfo, path: Path, opset: int) -> None:
        module = checkpoints.load(trained / "best.pt").deployed()
        module.temperature = 50.0
        write(module, info, path)

    monkeypatch.setattr(onnx_format, "write", spoiled)
    message = one_line_error(cli("export", trained / "best.pt", "--format", "onnx", "--out", tmp_path / "x"))
    assert "differs from PyTorch by" in message and "more than 1e-04; not kept" in message
    assert not (tmp_path / "x").exists()


def test_one_format_may_have_a_file_name_and_two_may_not(cli: Cli, trained: Path, tmp_path: Path) -> None:
    both = ("--format", "onnx", "--format", "pt2")
    message = one_line_error(cli("export", trained / "best.pt", *both, "--out", tmp_path / "a.onnx"))
    assert "name a folder for onnx, pt2" in message
    assert cli("export", trained / "best.pt", "--format", "onnx", "--out", tmp_path / "a.onnx").exit_code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize("ending", ["onnx", "pt", "pt2"])
def test_an_export_cut_short_is_refused_by_evaluate(
    cli: Cli, exported: Path, portraits: Path, tmp_path: Path, ending: str
) -> None:
    data = (exported / f"batchgender.{ending}").read_bytes()
    (tmp_path / f"cut.{ending}").write_bytes(data[: len(data) // 2])
    message = one_line_error(cli("evaluate", tmp_path / f"cut.{ending}", "--data", portraits))
    assert "damaged" in message


def test_evaluate_refuses_photos_of_classes_that_the_model_does_not_know(
    cli: Cli, red_or_blue: Path, tmp_path: Path
) -> None:
    from conftest import write_picture

    for label in ("cats", "dogs"):
        write_picture(tmp_path / "test" / label / "a.jpg")
    message = one_line_error(cli("evaluate", red_or_blue, "--data", tmp_path))
    assert "classes that the model does not know: cats, dogs" in message


def test_a_file_that_another_export_is_writing_is_refused(cli: Cli, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    with locked([out], silent):
        result = cli("export", trained / "best.pt", "--format", "onnx", "--out", out)
        assert "model.onnx: another run" in one_line_error(result)
    assert list(tmp_path.iterdir()) == []
