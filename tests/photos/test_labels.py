import pytest

from batchgender.photos.labels import DEFAULT_NAMES

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
