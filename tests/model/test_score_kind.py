from pathlib import Path

import numpy as np
import onnx
import pytest
from foreign_files import Node, node, write_foreign
from onnx import helper

from batchgender.model.score_kind import ScoreKind, score_kind

PROBABILITIES, LOGITS, UNKNOWN = ScoreKind.PROBABILITIES, ScoreKind.LOGITS, ScoreKind.UNKNOWN
CONSTANTS = {
    **{name: np.array([at]) for name, at in (("from", 0), ("to", 1), ("axis", 1))},
    **{name: np.float32(value) for name, value in (("zero", 0), ("half", 0.5), ("one", 1), ("small", 1e-7))},
    "flat": np.array([-1, 2, 1, 1]),
    "sums": np.eye(2, dtype=np.float32),
}


@pytest.mark.parametrize(
    ("ends", "kind"),
    [
        ([node("Identity", "logits", "y")], LOGITS),
        ([node("Softmax", "logits", "y")], PROBABILITIES),
        ([node("Sigmoid", "logits", "y")], PROBABILITIES),
        ([node("LogSoftmax", "logits", "y")], LOGITS),
        ([node("Softmax", "logits", "p"), node("Reshape", ["p", "flat"], "y")], PROBABILITIES),
        ([node("Sigmoid", "logits", "p"), node("Slice", ["p", "from", "to", "axis"], "y")], PROBABILITIES),
        ([node("Softmax", "logits", "p"), node("Cast", "p", "h", to=10), node("Cast", "h", "y", to=1)], PROBABILITIES),
        ([node("Softmax", "logits", "p"), node("Squeeze", "p", "q"), node("Identity", "q", "y")], PROBABILITIES),
        ([node("Softmax", "logits", "p"), node("Mul", ["p", "p"], "y")], UNKNOWN),
        ([node("Exp", "logits", "y")], UNKNOWN),
        ([node("Add", ["logits", "half"], "b"), node("Div", ["b", "half"], "y")], LOGITS),
        # The share of one class is the sum of the shares of several, or the mean of those of two networks.
        ([node("Softmax", "logits", "p"), node("MatMul", ["p", "sums"], "y")], UNKNOWN),
        ([node("Softmax", "logits", "p"), node("Sigmoid", "logits", "q"), node("Add", ["p", "q"], "y")], UNKNOWN),
        # Keras' hard sigmoid, and a softmax kept from the very ends.
        ([node("Add", ["logits", "half"], "s"), node("Clip", ["s", "zero", "one"], "y")], PROBABILITIES),
        ([node("Softmax", "logits", "p"), node("Clip", ["p", "small", "one"], "y")], PROBABILITIES),
        ([node("Clip", ["logits", "small", "half"], "y")], LOGITS),
    ],
)
def test_the_last_nodes_tell_what_values_are(tmp_path: Path, ends: list[Node], kind: ScoreKind) -> None:
    file = write_foreign(tmp_path / "f.onnx", ends, {"y": ["n", "c"]}, constants=CONSTANTS)
    assert score_kind(str(file), "y", None) is kind


def test_bounds_of_older_opsets_are_attributes(tmp_path: Path) -> None:
    ends = [node("Clip", "logits", "y", min=0.0, max=1.0)]
    file = write_foreign(tmp_path / "f.onnx", ends, {"y": ["n", 2]}, opset=9)
    assert score_kind(str(file), "y", None) is PROBABILITIES


def test_of_values_put_side_by_side_each_has_its_own_kind(tmp_path: Path) -> None:
    """Gender after a softmax, and an age, in one output."""
    ends = [
        node("Softmax", "logits", "gender"),
        node("MatMul", ["means", "weight"], "ages"),
        node("Slice", ["ages", "from", "to", "axis"], "age"),
        node("Concat", ["age", "gender"], "y", axis=1),
    ]
    file = str(write_foreign(tmp_path / "f.onnx", ends, {"y": ["n", 3]}, constants=CONSTANTS))
    assert score_kind(file, "y", [1, 2]) is PROBABILITIES
    assert score_kind(file, "y", [0]) is LOGITS
    assert score_kind(file, "y", [0, 1]) is score_kind(file, "y", None) is UNKNOWN


def test_a_function_in_the_file_is_looked_into(tmp_path: Path) -> None:
    own = [helper.make_opsetid("", 13)]
    function = helper.make_function("own", "Ends", ["a"], ["b"], [node("Softmax", "a", "b")], own)
    call = helper.make_node("Ends", ["logits"], ["y"], domain="own")
    file = write_foreign(tmp_path / "f.onnx", [call], {"y": ["n", 2]})
    model = onnx.load(file)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    onnx.save_model(model, file)
    assert score_kind(str(file), "y", None) is PROBABILITIES


def test_a_graph_made_to_take_long_takes_none(tmp_path: Path) -> None:
    doubled = [node("Add", ["logits", "logits"], "0")]
    doubled += [node("Concat", [str(at), str(at)], str(at + 1), axis=0) for at in range(60)]
    deep = [node("MatMul", ["60" if at == 0 else f"d{at}", "sums"], f"d{at + 1}") for at in range(3000)]
    file = write_foreign(tmp_path / "f.onnx", [*doubled, *deep], {"d3000": ["n", 2]}, constants=CONSTANTS)
    assert score_kind(str(file), "60", None) is UNKNOWN
    assert score_kind(str(file), "d3000", None) is UNKNOWN
