"""Which output of several is read, and how its values become probabilities."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_files import Node, node, write_foreign
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.foreign_options import ForeignOptions
from batchgender.model.foreign_output import ForeignOutput
from batchgender.model.open_model import open_model
from batchgender.model.score_kind import ScoreKind

PLAIN = ForeignOptions(["a", "b"], [0, 0, 0], [1, 1, 1])
SHAPES = {
    "flat": np.array([-1, 2, 1, 1]),
    **{name: np.array([at]) for name, at in (("from", 0), ("to", 1), ("axis", 1))},
    "both": np.array([True, True]),
}
LOGITS, PROBABILITIES = node("Identity", "logits", "scores"), node("Softmax", "logits", "shares")
AGE = node("Slice", ["logits", "from", "to", "axis"], "age")
KEPT = node("Compress", ["logits", "both"], "kept", axis=1)
HIDDEN = node("Identity", "means", "hidden")


@pytest.fixture
def photos() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)


def expected(photos: NDArray[np.uint8], weight: Any = ((4, 0), (0, 0), (0, 4))) -> NDArray[np.float64]:
    powers = np.exp((photos / 255).mean((1, 2)) @ np.array(weight, float))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("ends", "outputs", "options"),
    [
        ([LOGITS, AGE], {"age": ["n", 1], "scores": ["n", 2]}, PLAIN),
        ([LOGITS, AGE], {"scores": ["n", 2], "age": ["n"]}, PLAIN),
        ([LOGITS, HIDDEN], {"hidden": ["n", 3], "scores": ["n", "c"]}, PLAIN),
        ([LOGITS, PROBABILITIES], {"scores": ["n", 2], "shares": ["n", 2]}, replace(PLAIN, output="shares")),
        ([LOGITS, PROBABILITIES], {"scores": ["n", 2], "shares": ["n", 2]}, replace(PLAIN, output="scores")),
        ([PROBABILITIES, node("Reshape", ["shares", "flat"], "y")], {"y": ["n", 2, 1, 1]}, PLAIN),
        ([PROBABILITIES, node("ArgMax", "shares", "whole")], {"whole": ["n", 1], "shares": ["n", 2]}, PLAIN),
        ([node("LogSoftmax", "logits", "y")], {"y": ["n", 2]}, PLAIN),
        ([node("Concat", ["means", "logits"], "y", axis=1)], {"y": ["n", 5]}, replace(PLAIN, columns=[3, 4])),
    ],
)
def test_the_output_that_can_hold_the_classes_is_read(
    tmp_path: Path,
    photos: NDArray[np.uint8],
    ends: list[Node],
    outputs: dict[str, list[int | str]],
    options: ForeignOptions,
) -> None:
    file = write_foreign(tmp_path / "f.onnx", ends, outputs, constants=SHAPES)
    said: list[str] = []
    model = open_model(file, options, notify=said.append)
    assert np.abs(model.predict(photos) - expected(photos)).max() < 1e-5
    assert bool(said) == (len(outputs) > 1 and options.output is None)
    assert all("the classes are read from its output s" in line for line in said)


TWO = {"scores": ["n", 2], "shares": ["n", 2]}
FOUR = replace(PLAIN, classes=["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("outputs", "options", "words"),
    [
        (TWO, PLAIN, "several of its outputs could hold the classes, scores [n, 2], shares [n, 2]; give --output"),
        (TWO, replace(PLAIN, columns=[1]), "scores [n, 2], shares [n, 2]; give --output"),
        # The graph does not tell how many values the second has.
        ({"age": ["n", 1], "kept": ["n", "c"]}, PLAIN, "age [n, 1], kept [n, c]; give --output"),
        (TWO, replace(PLAIN, output="prob"), "no output prob, only scores [n, 2], shares [n, 2]"),
        ({"hidden": ["n", 3]}, PLAIN, "output hidden has 3 values a photo for 2 classes; check --classes, or name"),
        ({"hidden": ["n", 3]}, PLAIN, "the classes, 0 to 2, with --columns"),
        ({"hidden": ["n", 3]}, replace(PLAIN, columns=[1, 3]), "--columns 1,3: output hidden has 3 values a photo"),
        ({"hidden": ["n", 3], "age": ["n", 1]}, FOUR, "none of its outputs, hidden [n, 3], age [n, 1], holds values"),
        ({"whole": ["n", 1]}, PLAIN, "none of its outputs, whole [n, 1], holds values for 2 classes"),
    ],
)
def test_an_output_that_can_not_be_told_is_said_with_those_that_are_there(
    tmp_path: Path, outputs: dict[str, list[int | str]], options: ForeignOptions, words: str
) -> None:
    ends = [LOGITS, PROBABILITIES, AGE, HIDDEN, KEPT, node("ArgMax", "logits", "whole", axis=1)]
    file = write_foreign(tmp_path / "f.onnx", ends, outputs, constants=SHAPES)
    with pytest.raises(UserError) as refused:
        open_model(file, options)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_how_many_values_there_are_may_show_at_the_first_photo_alone(tmp_path: Path, photos: NDArray[np.uint8]) -> None:
    file = write_foreign(tmp_path / "f.onnx", [KEPT], {"kept": ["n", "c"]}, constants=SHAPES)
    assert np.abs(open_model(file, PLAIN).predict(photos) - expected(photos)).max() < 1e-5
    for options, words in ((FOUR, "2 values a photo for 4 classes"), (replace(PLAIN, columns=[0, 2]), "has 2 values")):
        with pytest.raises(UserError, match=words):
            open_model(file, options).predict(photos)


@pytest.mark.parametrize("columns", [None, [0]])
@pytest.mark.parametrize("end", ["Sigmoid", "Identity"])
@pytest.mark.parametrize("shape", [["n", 1], ["n"], ["n", 1, 1, 1]])
def test_one_value_is_the_second_class(
    tmp_path: Path, photos: NDArray[np.uint8], columns: list[int] | None, end: str, shape: list[int | str]
) -> None:
    sides = np.array([-1, *[1] * (len(shape) - 1)])
    ends = [node(end, "logits", "ended"), node("Reshape", ["ended", "sides"], "y")]
    file = write_foreign(tmp_path / "f.onnx", ends, {"y": shape}, weight=[[9], [-4], [-4]], constants={"sides": sides})
    said: list[str] = []
    model = open_model(file, replace(PLAIN, columns=columns), notify=said.append)
    wanted = expected(photos, [[0, 9], [0, -4], [0, -4]])
    assert np.abs(model.predict(photos) - wanted).max() < 1e-5 and wanted.std() > 0.01
    assert said == [f"{file}: its one value is read as the {'probability' if end == 'Sigmoid' else 'logit'} of b"]


def test_a_photos_answer_does_not_depend_on_those_beside_it(tmp_path: Path) -> None:
    """Values that may be probabilities or logits, as the graph does not tell."""
    doubled = [node("Mul", ["means", "ones"], "y")]
    constants = {"ones": np.ones(3, np.float32)}
    file = write_foreign(tmp_path / "f.onnx", doubled, {"y": ["n", 3]}, constants=constants)
    model = open_model(file, replace(PLAIN, classes=["a", "b", "c"]))
    shares, others = ([51, 102, 102], [200, 30, 90])
    images = np.stack([np.full((32, 32, 3), color, np.uint8) for color in (shares, others)])
    alone, together = model.predict(images[:1]), model.predict(images)
    assert np.allclose(alone[0], [0.2, 0.4, 0.4], atol=1e-6) and (alone[0] == together[0]).all()
    assert np.allclose(together.sum(1), 1)


def test_columns_of_more_probabilities_are_divided_by_their_sum() -> None:
    output = ForeignOutput("y", [2, 0], ScoreKind.PROBABILITIES)
    values = np.array([[0.1, 0.6, 0.3], [0, 1, 0], [np.nan, 0, 0]], np.float32)
    found = output.probabilities(values, 2)
    assert np.allclose(found[0], [0.75, 0.25])
    # Both rounded to nothing: neither is more probable. What is no number stays none, and is said as such.
    assert found[1].tolist() == [0.5, 0.5] and np.isnan(found[2]).all()


def test_large_logits_do_not_overflow() -> None:
    values = np.array([[1000], [-1000]], np.float32)
    found = ForeignOutput("y", None, ScoreKind.LOGITS).probabilities(values, 2)
    assert found.tolist() == [[0, 1], [1, 0]]
    assert np.isnan(
        ForeignOutput("y", None, ScoreKind.LOGITS).probabilities(np.full((1, 1), np.inf, np.float32), 2)
    ).all()
