"""Which class a value of a dataset's label column is."""

import math
from typing import Any

import pytest

from batchgender.errors import UserError
from batchgender.photos.label_columns import classes_of_values
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames


def classes(values: list[Any], names: LabelNames = DEFAULT_NAMES, declared: list[str] | None = None) -> Any:
    """The class of each value, None where it has none, and what was said."""
    said: list[str] = []
    found = classes_of_values(declared, values, "label", names, said.append)
    return [found.get(value) for value in values], said


@pytest.mark.parametrize(
    "pair",
    [
        (0, 1),
        (0.0, 1.0),
        (-1, 1),
        (False, True),
        ("0", "1"),
        ("0.0", "1.0"),
        ("-1", "1"),
        ("false", "TRUE"),
        ("f", "t"),
    ],
)
def test_numbers_and_booleans_are_female_and_male_and_that_is_said(pair: tuple[Any, Any]) -> None:
    low, high = pair
    found, said = classes([high, low, high])
    assert found == ["Male", "Female", "Male"]
    assert len(said) == 1 and f"taking {low} for Female and {high} for Male" in said[0]


@pytest.mark.parametrize("missing", [None, math.nan, "", "  "])
def test_a_value_that_is_none_has_no_class(missing: Any) -> None:
    assert classes(["male", missing, "female"])[0] == ["Male", None, "Female"]


@pytest.mark.parametrize("missing", ["-1", "nan", "None", "NULL", "N/A"])
@pytest.mark.parametrize("pair", [("0", "1"), ("f", "m"), ("Women", "MEN"), ("False", "True"), ("f", "t")])
def test_a_text_that_stands_for_no_label_is_none_beside_labels(pair: tuple[str, str], missing: str) -> None:
    assert classes([pair[0], missing, pair[1]])[0] == ["Female", None, "Male"]


def test_a_text_that_may_be_a_class_is_one_beside_other_classes() -> None:
    assert classes(["glasses", "none"])[0] == ["glasses", "none"]


def test_minus_one_beside_numbers_from_zero_is_no_label() -> None:
    assert classes([0, -1, 1])[0] == ["Female", None, "Male"]
    assert classes([0.0, -1.0, 1.0])[0] == ["Female", None, "Male"]
    assert classes([0, -1, 1, 2])[0] == ["0", None, "1", "2"]
    assert classes([0, -1, 1], declared=["men", "women"])[0] == ["Male", None, "Female"]
    assert classes([-1, 0, 1], LabelNames({"Female": ["-1"], "Male": ["1"], "other": ["0"]}))[0] == [
        *("Female", "other", "Male"),
    ]


@pytest.mark.parametrize("value", [-1, "-1", None, math.nan, "nan", ""])
def test_a_column_without_labels_has_no_class(value: Any) -> None:
    assert classes([value, value]) == ([None, None], [])


def test_minus_one_beside_one_is_female_and_a_gap_is_none() -> None:
    assert classes([-1.0, math.nan, 1.0])[0] == ["Female", None, "Male"]


@pytest.mark.parametrize("column", ["is_female", "isFemale", "Woman", "FEMALE"])
@pytest.mark.parametrize("pair", [(0, 1), (False, True), (-1, 1), ("no", "Yes")])
def test_a_column_that_asks_for_female_has_yes_for_female(column: str, pair: tuple[Any, Any]) -> None:
    said: list[str] = []
    found = classes_of_values(None, pair, column, DEFAULT_NAMES, said.append)
    assert found == {pair[0]: "Male", pair[1]: "Female"}
    assert f"taking {pair[0]} for Male and {pair[1]} for Female" in said[0]


@pytest.mark.parametrize("column", ["male", "is_male", "gender_f", "sex_female_male"])
def test_columns_of_other_names_have_zero_for_female(column: str) -> None:
    found = classes_of_values(None, [0, 1], column, DEFAULT_NAMES, lambda line: None)
    assert found == {0: "Female", 1: "Male"}


def test_names_that_are_given_decide() -> None:
    swapped = LabelNames({"Female": ["1"], "Male": ["0"]})
    for pair in ((0, 1), (0.0, 1.0), ("0", "1.0")):
        assert classes(list(pair), swapped) == (["Male", "Female"], [])
    assert classes([False, True], LabelNames({"Female": ["True"], "Male": ["false"]}))[0] == ["Male", "Female"]
    assert classes(["Mujer ", "HOMBRE"], LabelNames({"Female": ["mujer"], "Male": ["hombre"]}))[0] == ["Female", "Male"]


def test_names_that_are_given_the_other_way_round_stay_so() -> None:
    swapped = LabelNames({"Female": ["male"], "Male": ["female"]})
    assert classes(["male", "female"], swapped) == (["Female", "Male"], [])
    assert classes([0, 1], swapped, declared=["male", "female"]) == (["Female", "Male"], [])


@pytest.mark.parametrize("given", [{"Male": ["0"]}, {"Female": ["1"]}, {"Female": ["true"]}])
def test_one_name_of_two_says_which_the_other_is(given: dict[str, list[str]]) -> None:
    for pair in ((0, 1), (0.0, 1.0), (False, True)):
        found, said = classes(list(pair), LabelNames(given))
        assert found == ["Male", "Female"] and f"taking {pair[0]} for Male and {pair[1]} for Female" in said[0]


@pytest.mark.parametrize("pair", [(1, 2), ("cat", "dog"), (b"cat", b"dog"), ("yes", "no")])
def test_names_of_other_classes_stay_and_nothing_is_said(pair: tuple[Any, Any]) -> None:
    names = [each.decode() if isinstance(each, bytes) else str(each) for each in pair]
    assert classes(list(pair)) == (names, [])


def test_lists_are_no_labels() -> None:
    with pytest.raises(UserError, match="the column label holds lists"):
        classes_of_values(None, [["a"], ["b"]], "label", DEFAULT_NAMES, print)
