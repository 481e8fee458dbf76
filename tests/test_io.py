"""Tables, lines for a terminal, and files that are written whole or not at all."""

from pathlib import Path

import pytest

from batchgender.io import first_line, one_line, text_table, written_whole


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.txt"
    with written_whole(file) as stream:
        stream.write("one")
        assert not file.exists()
    assert file.read_text() == "one" and [p.name for p in file.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_file_of_before(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(ValueError, match="broken"), written_whole(file) as stream:
        stream.write("half")
        raise ValueError("broken")
    assert file.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = text_table([["name", "n"], ["a", "1"], ["long name", "1,000", "note"]], "<>")
    assert lines == ["name           n", "a              1", "long name  1,000  note"]
    assert text_table([]) == []


def test_an_exception_without_a_message_has_a_first_line() -> None:
    assert first_line(ValueError()) == "ValueError" and first_line(ValueError("a.\nb")) == "a"


def test_a_name_can_not_speak_to_the_terminal() -> None:
    assert one_line("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
