import os
import shlex
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from batchgender.errors import UserError
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames, names_option, parse_label_names
from batchgender.photos.photo import printable

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
        "Female": ["frau", "mujer"],
        "Male": ["hombre", "mann"],
    }


def test_a_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "lang=es" / "names"
    file.parent.mkdir()
    file.write_text("female=mujer")
    assert parse_label_names([str(file)]).as_dict() == {"Female": ["mujer"]}


@pytest.mark.parametrize(
    ("content", "message"), [(b"\nmujer", "line 2: 'mujer': write"), (b"female=\xff", "not UTF-8")]
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        parse_label_names([str(file)])


def test_names_in_another_order_are_the_same() -> None:
    one, other = (parse_label_names(texts) for texts in (["a=x,y", "b=1"], ["b=1.0", "a=Y", "A=X, x"]))
    assert one.canonical_classes("xy1") == ["a", "b"] and one.as_dict() == other.as_dict()


@pytest.mark.parametrize("names", [{"Female": ["male"], "Male": ["female"]}, {"female": ["Male "], "MALE": ["Female"]}])
def test_names_may_be_the_other_way_round(names: dict[str, list[str]]) -> None:
    swapped = LabelNames(names)
    assert (swapped.canonical_name("male"), swapped.canonical_name("Female")) == ("Female", "Male")
    assert swapped.label_of("female/1.jpg", CLASSES) == "Male" and swapped.label_of("men/1.jpg", CLASSES) == "Male"


@pytest.mark.parametrize(("name", "others"), [("1", ["1.0", "01", " 1.00", "+1", "True"]), ("-1", ["-1.0"])])
def test_numbers_and_booleans_are_compared_by_value(name: str, others: list[str]) -> None:
    names = LabelNames({"Female": [name], "Male": ["0.0"]})
    assert {names.label_of(f"{other}/1.jpg", CLASSES) for other in others} == {"Female"}
    assert names.canonical_name("-0") == names.canonical_name("false") == "Male"
    assert names.canonical_name("1.5") == "1.5" and names.canonical_name("1000001") == "1000001"


def test_long_numbers_are_told_apart() -> None:
    names = LabelNames({"Female": ["12345678901234567"], "Male": ["12345678901234568"]})
    assert names.label_of("12345678901234568/1.jpg", CLASSES) == "Male"


def test_classes_that_are_called_like_other_names_of_one_are_told_apart() -> None:
    classes = ["boy", "girl", "man", "woman"]
    assert [DEFAULT_NAMES.label_of(f"{name}/1.jpg", classes) for name in classes] == classes


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_a_name_that_is_no_text_is_compared_as_rows_show_it() -> None:
    raw = os.fsdecode(b"fr\xe4ulein")
    names = parse_label_names([f"female={raw}"])
    assert names.label_of(f"{printable(raw)}/1.jpg", CLASSES) == names.canonical_name(raw) == "Female"


def test_names_for_a_class_that_a_model_has_not_are_refused() -> None:
    LabelNames({"female": ["mujer"], "Male": ["female"]}).check_classes(CLASSES)
    with pytest.raises(UserError, match="the model has no class femalle, only Female, Male"):
        LabelNames({"femalle": ["mujer"]}).check_classes(CLASSES)


@pytest.mark.parametrize("name", ["mujer", "Las Mujeres", "l'una", "a$b"])
def test_the_option_of_a_name_can_be_written_as_it_is_shown(name: str) -> None:
    option, text = shlex.split(names_option("Female", name))
    assert option == "--label-names" and parse_label_names([text]).given == {"Female": [name]}


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
