"""What onnxruntime says of a file that it can't open, in words that a user can act on."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
from foreign_files import node, write_foreign
from onnx import helper

from batchgender.errors import UserError
from batchgender.model.session import open_session

END = node("Identity", "logits", "y")


def refusal(file: Path) -> str:
    with pytest.raises(UserError) as refused:
        open_session(str(file))
    (line,) = str(refused.value).splitlines()
    return line


@pytest.mark.parametrize("version", [99, 10_000])
def test_a_file_of_a_newer_ir_version_says_both_versions(tmp_path: Path, version: int) -> None:
    message = refusal(write_foreign(tmp_path / "f.onnx", [END], {"y": ["n", 2]}, ir_version=version))
    latest = int(message.partition("reads is ")[2].partition(";")[0])
    assert f"newer than onnxruntime {onnxruntime.__version__}: its IR version is {version}, the latest" in message
    assert "upgrade onnxruntime, or export the model for an older version" in message
    # What it says of itself is true.
    open_session(str(write_foreign(tmp_path / "f.onnx", [END], {"y": ["n", 2]}, ir_version=latest)))


@pytest.mark.parametrize("domain", ["", "ai.onnx.ml", "com.microsoft"])
def test_a_file_of_a_newer_opset_says_both_versions(tmp_path: Path, domain: str) -> None:
    file = write_foreign(tmp_path / "f.onnx", [END], {"y": ["n", 2]})
    model = onnx.load(file)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(name, 99 if name == domain else 13) for name in {"", domain})
    file.write_bytes(model.SerializeToString())
    message = refusal(file)
    assert "its opset is 99, the latest that this one reads is" in message
    assert int(message.partition("reads is ")[2].partition(";")[0]) < 99


@pytest.mark.parametrize("name", ["Made_up", "An_operator_with_a_very_long_name_" * 12])
def test_a_reason_is_said_in_whole_words_without_places_in_another_programs_source(tmp_path: Path, name: str) -> None:
    ends = [helper.make_node(name, ["logits"], ["y"], domain="of.nobody")]
    file = write_foreign(tmp_path / "f.onnx", ends, {"y": ["n", 2]})
    model = onnx.load(file)
    model.opset_import.append(helper.make_opsetid("of.nobody", 1))
    file.write_bytes(model.SerializeToString())
    message = refusal(file)
    assert "no ONNX model that onnxruntime can run" in message and "onnxruntime_src" not in message
    assert (f"of.nobody:{name}(-1) is not a registered" in message) or message.endswith(" ...)")
