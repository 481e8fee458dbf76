"""What kind of file a model is in."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from conftest import one_line_error

from batchgender.model.file_kind import FileKind, kind_of_file
from batchgender.model.open_model import PACKAGED_MODEL


def test_exported_files_and_a_checkpoint_are_told_apart(embeddable: Path, trained: Path) -> None:
    kinds = {file.name: kind_of_file(str(file)) for file in embeddable.iterdir()}
    assert kinds == {
        "batchgender.onnx": FileKind.ONNX,
        "batchgender.pt": FileKind.TORCHSCRIPT,
        "batchgender.pt2": FileKind.TORCH_EXPORT,
        "confident.pt": FileKind.CHECKPOINT,
    }
    assert kind_of_file(str(trained / "best.pt")) is FileKind.CHECKPOINT
    assert kind_of_file(str(PACKAGED_MODEL)) is FileKind.ONNX


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("m.xml", FileKind.OPENVINO),
        ("m.mlmodel", FileKind.COREML),
        ("m.pt2", FileKind.TORCH_EXPORT),
        ("m.tflite", FileKind.LITERT),
        ("m.onnx", FileKind.ONNX),
        ("m", FileKind.CHECKPOINT),
    ],
)
def test_a_file_need_not_be_there_nor_be_sound(tmp_path: Path, name: str, kind: FileKind) -> None:
    assert kind_of_file(str(tmp_path / name)) is kind
    (tmp_path / name).write_bytes(b"no model")
    assert kind_of_file(str(tmp_path / name)) is kind


def test_an_archive_without_metadata_is_no_exported_model(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"")
    assert kind_of_file(str(tmp_path / "m.pt")) is FileKind.CHECKPOINT


@pytest.mark.parametrize("name", ["m.pt2", "m.tflite"])
def test_an_archive_that_is_missing_or_not_ours_ends_in_a_line(
    cli: Callable[..., Result], tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    assert f"{file}: no such model file" in one_line_error(cli("inspect", file))
    if name == "m.pt2":
        assert f"{file}: no such model file" in one_line_error(cli("evaluate", file, "--data", tmp_path))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/model", b"")
    assert "not from batchgender" in one_line_error(cli("inspect", file))
