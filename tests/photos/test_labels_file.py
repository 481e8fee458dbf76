"""A labels file: which label it states of which photo."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from batchgender.errors import UserError
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames, parse_label_names
from batchgender.photos.labels_file import read_labels

CLASSES = ["Female", "Male"]
PHOTOS = ["female/a.jpg", "female/b.jpg", "male/c.jpg", "male/d.jpg"]


def stated(
    folder: Path,
    text: str,
    photos: Sequence[str] = PHOTOS,
    names: LabelNames = DEFAULT_NAMES,
    classes: Sequence[str] = CLASSES,
) -> tuple[dict[str, str], list[str]]:
    """What a file of this text says of the photos, and the notices."""
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    said: list[str] = []
    found = read_labels(str(folder / "labels.csv"), said.append, names)
    found.check_classes(classes, "the model")
    return found.labels_of(lambda: photos, classes, said.append), said


def test_the_new_label_counts_where_it_is_filled_in_and_drop_is_none(tmp_path: Path) -> None:
    sheet = (
        "path,label,new_label,prediction\nfemale/a.jpg,Female,male,Male\nfemale/b.jpg,Female,,Male\n"
        "male/c.jpg,Male, Drop ,Female\n"
    )
    found, said = stated(tmp_path, sheet)
    assert found == {"female/a.jpg": "Male", "female/b.jpg": "Female", "male/c.jpg": ""}
    assert said[-1].endswith("labels.csv: states the labels of 3 of 4 photos, of which 1 have none (drop)")


def test_any_csv_of_labels_will_do_and_an_empty_one_says_nothing(tmp_path: Path) -> None:
    assert stated(tmp_path, "path;label\nfemale/a.jpg;woman\nmale/c.jpg;\n")[0] == {"female/a.jpg": "Female"}
    found, said = stated(tmp_path, "path,label\nmale/c.jpg,0\nmale/d.jpg,1\n")
    assert found == {"male/c.jpg": "Female", "male/d.jpg": "Male"} and "taking 0 for Female" in said[0]
    names = parse_label_names(["female=mujer"])
    assert stated(tmp_path, "path,label\nmale/c.jpg,Mujer\n", names=names)[0] == {"male/c.jpg": "Female"}
    others = stated(tmp_path, "path,label\nmale/c.jpg,boy\n", classes=["boy", "man"])[0]
    assert others == {"male/c.jpg": "boy"}


def test_rows_are_joined_as_groups_are_and_those_of_no_photo_are_named(tmp_path: Path) -> None:
    found, said = stated(tmp_path, "path,label\nfaces\\female\\a.jpg,Male\nfaces/male/x.jpg,Male\n")
    assert found == {"female/a.jpg": "Male"}
    assert said[-1].endswith("1 of its 2 rows are of no photo here, or of several (faces/male/x.jpg)")
    # Of two photos that a row fits, it is neither's.
    found, said = stated(tmp_path, "path,label\na.jpg,Male\nc.jpg,Female\n", ["f/a.jpg", "m/a.jpg", "m/c.jpg"])
    assert found == {"m/c.jpg": "Female"} and "(a.jpg)" in said[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,age\na.jpg,1\n", "no column `label` in its first line"),
        (
            "path,label\nfemale/a.jpg,Femal\n",
            "'Femal', the label of 'female/a.jpg', is no class of the model",
        ),
        ("path,label\nfemale/a.jpg,Female\nfemale/a.jpg,Male\n", "'female/a.jpg' stands twice with different values"),
        ("path,new_label,label\nfemale/a.jpg,,\n", "no row of it has a label; fill in the column new_label"),
        ("path,label\nz.jpg,Female\n", "none of its paths is that of one photo"),
        ("label\nFemale\n", "no column `path`"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        stated(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_the_same_row_twice_is_one_whatever_else_stands_in_it(tmp_path: Path) -> None:
    # As the rows of two faces in one photo.
    text = "path,face,prediction,label\nfemale/a.jpg,1,Male,Male\nfemale/a.jpg,2,Female,Male\n"
    assert stated(tmp_path, text)[0] == {"female/a.jpg": "Male"}


def test_a_file_that_is_not_there_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; check --labels"):
        read_labels(str(tmp_path / "none.csv"), print)
