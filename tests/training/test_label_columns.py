"""Which class a value of a dataset's label column is."""

import math
from typing import Any

import pytest

from batchgender.errors import UserError
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.training.data.label_columns import classes_of_values


def classes(values: list[Any], names: LabelNames = DEFAULT_NAMES, declared: list[str] | None = None) -> Any:
    """The class of each value, None where it has none, and what was said."""
    said: list[str] = []
    found = classes_of_values(declared, values, "label", names, said.append)
    return [found.get(value) for value in values], said


@pytest.mark.parametrize(
    "pair", [(0, 1), (0.0, 1.0), (-1, 1), (False, True), ("0", "1"), ("0.0", "1.0"), ("-1", "1"), ("false", "TRUE")]
)
def test_numbers_and_booleans_are_female_and_male_and_that_is_said(pair: tuple[Any, Any]) -> None:
    low, high = pair
    found, said = classes([high, low, high])
    assert found == ["Male", "Female", "Male"]
    assert len(said) == 1 and f"taking {low} for Female and {high} for Male" in said[0]


@pytest.mark.parametrize("missing", [None, math.nan, "", "  "])
def test_a_value_that_is_none_has_no_class(missing: Any) -> None:
    assert classes(["male", missing, "female"])[0] == ["Male", None, "Female"]


def test_minus_one_beside_zero_and_one_is_no_label() -> None:
    assert classes([0, -1, 1])[0] == ["Female", None, "Male"]
    assert classes([0, -1, 1], declared=["men", "women"])[0] == ["Male", None, "Female"]


def test_names_that_are_given_decide() -> None:
    swapped = LabelNames({"Female": ["1"], "Male": ["0"]})
    for pair in ((0, 1), (0.0, 1.0), ("0", "1.0")):
        assert classes(list(pair), swapped) == (["Male", "Female"], [])
    assert classes([False, True], LabelNames({"Female": ["True"], "Male": ["false"]}))[0] == ["Male", "Female"]
    assert classes(["Mujer ", "HOMBRE"], LabelNames({"Female": ["mujer"], "Male": ["hombre"]}))[0] == ["Female", "Male"]


def test_other_numbers_keep_their_names_with_a_hint() -> None:
    found, said = classes([1, 2])
    assert found == ["1", "2"] and "--label-names female=1" in said[0]


def test_names_of_other_classes_stay_and_nothing_is_said() -> None:
    assert classes(["cat", "dog"]) == (["cat", "dog"], [])


def test_lists_are_no_labels() -> None:
    with pytest.raises(UserError, match="the column label holds lists"):
        classes_of_values(None, [["a"], ["b"]], "label", DEFAULT_NAMES, print)
