import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from batchgender.errors import UserError
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames, parse_label_names

CLASSES = ["Female", "Male"]


@pytest.mark.parametrize("folder", ["female", "Woman", "WOMEN", "girl", "girls", "f", "F"])
def test_an_alias_in_any_case_is_female(folder: str) -> None:
    assert DEFAULT_NAMES.label_of(f"set/{folder}/1.jpg", CLASSES) == "Female"


@pytest.mark.parametrize("folder", ["male", "Man", "MEN", "boy", "boys", "m", "M"])
def test_an_alias_in_any_case_is_male(folder: str) -> None:
    assert DEFAULT_NAMES.label_of(f"set/{folder}/1.jpg", CLASSES) == "Male"


def test_the_part_nearest_to_the_file_wins() -> None:
    assert DEFAULT_NAMES.label_of("women/men/1.jpg", CLASSES, root="female") == "Male"


def test_the_folder_given_labels_its_photos() -> None:
    assert DEFAULT_NAMES.label_of("1.jpg", CLASSES, root="female") == "Female"


def test_the_file_name_and_parts_of_names_are_no_labels() -> None:
    assert DEFAULT_NAMES.label_of("photos/male.jpg", CLASSES) == ""
    assert DEFAULT_NAMES.label_of("female_faces/1.jpg", CLASSES) == ""


def test_classes_of_another_model_are_found_by_their_names() -> None:
    assert DEFAULT_NAMES.label_of("Cats/1.jpg", ["cats", "dogs"]) == "cats"


def test_female_is_0_and_male_is_1_however_the_folders_are_called() -> None:
    assert DEFAULT_NAMES.canonical_classes(["men", "women"]) == CLASSES
    assert DEFAULT_NAMES.canonical_classes(["MALE", "FEMALE"]) == CLASSES


def test_names_that_are_given_go_before_those_that_are_known() -> None:
    names = LabelNames({"Female": ["mujer", "Weiblich", "1.0"], "Male": ["hombre", "f"]})
    for part, label in {
        "Mujer": "Female",
        " WEIBLICH ": "Female",
        "1": "Female",
        "F": "Male",
        "women": "Female",
    }.items():
        assert names.label_of(f"{part}/1.jpg", CLASSES) == label


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_the_same_in_either_spelling(form: Literal["NFC", "NFD"]) -> None:
    names = parse_label_names([unicodedata.normalize(form, "male=Männer")])
    forms: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
    for other in forms:
        assert names.label_of(unicodedata.normalize(other, "set/männer/1.jpg"), CLASSES) == "Male"


def test_names_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("# ours\n\nfemale = mujer, Frau\r\nmale=hombre\n", encoding="utf-8-sig")
    assert parse_label_names([str(file), "male=Mann"]).as_dict() == {
        "Female": ["mujer", "Frau"],
        "Male": ["hombre", "Mann"],
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["female"], "neither CLASS=NAME,NAME nor a file"),
        (["female="], "write CLASS=NAME,NAME"),
        (["=mujer"], "write CLASS=NAME,NAME"),
        (["female=a,,b"], "write CLASS=NAME,NAME"),
        (["female=a", "male= A"], "'A' stands for Female and Male"),
        (["female=1", "male=1.0"], "'1.0' stands for Female and Male"),
    ],
)
def test_what_names_no_class_is_said(texts: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_label_names(texts)
