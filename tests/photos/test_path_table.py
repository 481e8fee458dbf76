import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from batchgender.errors import UserError
from batchgender.photos.path_table import join_by_path, read_path_table


def groups_file(folder: Path, text: str | bytes) -> str:
    path = folder / "groups.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def joined_rows(folder: Path, paths: Sequence[str], photos: Sequence[str]) -> dict[str, str]:
    """Which row each photo is joined with, by the row's own path as its group."""
    file = groups_file(folder, "path,row\n" + "".join(f"{path},{path}\n" for path in paths))
    return {
        photo: row
        for photo, (row,) in join_by_path(read_path_table(file), lambda: photos, lambda line: None).rows.items()
    }


def test_columns_rows_and_empty_cells_are_read(tmp_path: Path) -> None:
    text = '\ufeffpath, age band ,place\r\n"a, b.jpg",0-12,\r\nc.jpg, 13-60 ,"Rio\nde Janeiro"\r\n\r\n'
    groups = read_path_table(groups_file(tmp_path, text))
    assert groups.columns == ["age band", "place"]
    assert groups.rows == {"a, b.jpg": ("0-12", ""), "c.jpg": ("13-60", "Rio de Janeiro")}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("path;age;place\r\nå/é.jpg;3,5;Köln\r\n", "utf-8-sig"),
        ("sep=;\r\npath;age;place\r\nå/é.jpg;3,5;Köln\r\n", "utf-8"),
        ("path\tage\tplace\r\nå/é.jpg\t3,5\tKöln\r\n", "utf-16"),
        ('age;path;place;;\r\n3,5;"å/é.jpg";Köln;;\r\n;;;;\r\n', "utf-8-sig"),
        ("\r\n;;\r\npath;age;place\r\nå/é.jpg;3,5;Köln\r\n", "utf-8-sig"),
        ("path;age;place\r\nå\\é.jpg;3,5;Köln\r\nå/other.jpg;;\r\n", "utf-8"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_spreadsheets_write_is_read_and_joined_in_either_spelling(
    tmp_path: Path, text: str, encoding: str, form: Literal["NFC", "NFD"]
) -> None:
    other: Literal["NFC", "NFD"] = "NFD" if form == "NFC" else "NFC"
    file = groups_file(tmp_path, unicodedata.normalize(form, text).encode(encoding))
    photo = unicodedata.normalize(other, "å/é.jpg")
    for photos in ([photo], [photo, "other.jpg"], [f"photos/{photo}"]):
        groups = join_by_path(read_path_table(file), photos.copy, lambda line: None)
        assert list(groups.of(photos[0])) == ["3,5", unicodedata.normalize(form, "Köln")]


def both_forms(path: str) -> tuple[str, str]:
    """The path with letters composed, and with letters and accents apart."""
    return unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)


def test_one_name_in_two_spellings_with_different_groups_is_said(tmp_path: Path) -> None:
    composed, apart = both_forms("é.jpg")
    for photos in ([composed], [apart], ["a.jpg"]):
        with pytest.raises(UserError, match="'é.jpg' stands twice, in two spellings, with different values"):
            joined_rows(tmp_path, ["a.jpg", composed, apart], photos)
    groups = read_path_table(groups_file(tmp_path, f"path,age\n{composed},1\n{apart},1\n"))
    assert join_by_path(groups, lambda: [apart], print).of(apart) == ("1",)


def test_a_row_is_first_the_photos_whose_name_it_is_exactly(tmp_path: Path) -> None:
    # A system that tells them apart may have both.
    composed, apart = both_forms("é.jpg")
    assert joined_rows(tmp_path, [apart, composed], [composed, apart]) == {composed: composed, apart: apart}
    said: list[str] = []
    for row, other in ((composed, apart), (apart, composed)):
        groups = read_path_table(groups_file(tmp_path, f"path,age\n{row},1\n"))
        joined = join_by_path(groups, lambda: (composed, apart), said.append)
        assert (joined.of(row), joined.of(other)) == (("1",), ("",))
    assert len(said) == 2 and "1 of 2 photos have no row of their own" in said[0]


def test_paths_of_windows_are_joined_and_bytes_shown_escaped_are_no_folders(tmp_path: Path) -> None:
    paths = ["photos/f\\1.jpg", r"C:\data\photos\f\2.jpg", r"caf\xe9.jpg"]
    assert joined_rows(tmp_path, paths[:2], ["f/1.jpg", "f/2.jpg"]) == {"f/1.jpg": paths[0], "f/2.jpg": paths[1]}
    for photo in (r"caf\xe9.jpg", r"photos/caf\xe9.jpg"):
        assert joined_rows(tmp_path, paths[2:], [photo])[photo] == paths[2]


def test_a_path_may_stand_twice_with_the_same_groups(tmp_path: Path) -> None:
    assert len(read_path_table(groups_file(tmp_path, "path,age\na.jpg,1\na.jpg,1\n")).rows) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column `path`"),
        ("file,age\na.jpg,1\n", "no column `path`"),
        ("path\na.jpg\n", "no column beside `path`"),
        ("path,age,age\na.jpg,1,2\n", "a column without a name or with that of another"),
        (",path,age\n0,a.jpg,1\n", "a column without a name or with that of another"),
        ("path,age\na.jpg,1\nb.jpg\n", "line 3 has 1 cells, the first line 2"),
        ("sep=;\r\n\r\npath;age\r\na.jpg;1\r\nb.jpg\r\n", "line 5 has 1 cells, the first line 2"),
        ("path,age\na.jpg,1\na.jpg,2\n", "'a.jpg' stands twice with different values"),
        ("path,age\ncafé.jpg,1\n".encode("latin-1"), "not UTF-8"),
        ("path,age\na.jpg," + "x" * 200_000, "damaged or no CSV"),
    ],
)
def test_a_file_that_is_no_groups_file_is_said_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read_path_table(groups_file(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; check --groups"):
        read_path_table(str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="Is a directory"):
        read_path_table(str(tmp_path))


def test_paths_that_are_the_same_are_joined_and_the_other_photos_counted(tmp_path: Path) -> None:
    said: list[str] = []
    groups = read_path_table(groups_file(tmp_path, "path,age\nf/1.jpg,1\nf/9.jpg,2\n1.jpg,3\n"))
    rows = join_by_path(groups, lambda: ["f/1.jpg", "f/2.jpg", "g/1.jpg"], said.append).rows
    # Where one path is the same, no other is guessed: g/1.jpg is not 1.jpg.
    assert rows["f/1.jpg"] == ("1",) and "g/1.jpg" not in rows
    assert len(said) == 1 and "groups.csv: 2 of 3 photos have no row of their own in it" in said[0]


def test_a_row_is_the_photos_whose_path_ends_as_it_does(tmp_path: Path) -> None:
    rows = joined_rows(tmp_path, ["f/1.jpg", "m/1.jpg", "2.jpg"], ["train/f/1.jpg", "train/m/1.jpg", "train/f/2.jpg"])
    assert rows == {"train/f/1.jpg": "f/1.jpg", "train/m/1.jpg": "m/1.jpg", "train/f/2.jpg": "2.jpg"}


def test_a_row_with_more_folders_is_the_photos_that_its_path_ends_with(tmp_path: Path) -> None:
    paths = ["/data/train/f/1.jpg", "./m/1.jpg", "z/f/11.jpg"]
    assert joined_rows(tmp_path, paths, ["f/1.jpg", "m/1.jpg"]) == {
        "f/1.jpg": "/data/train/f/1.jpg",
        "m/1.jpg": "./m/1.jpg",
    }


def test_the_longest_ending_wins(tmp_path: Path) -> None:
    assert joined_rows(tmp_path, ["1.jpg", "f/1.jpg"], ["train/f/1.jpg"]) == {"train/f/1.jpg": "f/1.jpg"}


def test_an_ending_that_fits_twice_joins_neither(tmp_path: Path) -> None:
    # Two rows for one photo, two photos for one row; the third of each is plain.
    assert joined_rows(tmp_path, ["train/f/1.jpg", "test/f/1.jpg", "a/f/3.jpg"], ["f/1.jpg", "f/3.jpg"]) == {
        "f/3.jpg": "a/f/3.jpg"
    }
    assert joined_rows(tmp_path, ["1.jpg", "2.jpg"], ["f/1.jpg", "m/1.jpg", "x/1.jpg", "m/2.jpg"]) == {
        "m/2.jpg": "2.jpg"
    }


def test_a_name_is_not_joined_by_a_part_of_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none of its paths is that of one photo \('1.jpg' there, 'f/11.jpg' here\)"):
        joined_rows(tmp_path, ["1.jpg"], ["f/11.jpg"])
    with pytest.raises(UserError, match=r"no rows there, 'a.jpg' here"):
        joined_rows(tmp_path, [], ["a.jpg"])
