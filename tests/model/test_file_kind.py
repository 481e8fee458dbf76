"""What kind of file a model is in."""

import zipfile
from pathlib import Path

import pytest

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
