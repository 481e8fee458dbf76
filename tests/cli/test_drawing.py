"""What is printed on a terminal and elsewhere: tables within its width, colours or none, plain text."""

import csv
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import BLUE, RED, write_picture

COLORS = re.compile(r"\x1b\[[\d;]*m")
# Prints the modules that were imported at the end, to a file.
PROGRAM = """
import atexit, sys
atexit.register(lambda: open("modules.txt", "w").write(" ".join(sys.modules)))
from batchgender.__main__ import run
run()
"""


def on_terminal(columns: int, *line: str, cwd: Path, **environment: str) -> str:
    """What a command line shows on a terminal of so many columns."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    plain = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *line],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        cwd=cwd,
        env={**plain, "TERM": "xterm-256color", **environment},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            read = os.read(ours, 10_000)
        except OSError:
            break  # The terminal's end.
        if not read:
            break
        shown += read
    os.close(ours)
    assert process.wait(60) == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of two labels, some of them labelled wrong, and groups with long names."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = [["path", "a group whose name is rather long", "light"]]
    for index in range(40):
        for name, color, other in (("female", RED, BLUE), ("male", BLUE, RED)):
            file = write_picture(folder / "photos" / name / f"{index:02}.png", other if index < 3 else color)
            group = ("\x1b[31mred\n日本", "one of the oldest people of all in this folder")[index % 2]
            rows.append([str(file.relative_to(folder / "photos")), group, f"{index % 3}"])
    write_picture(folder / "photos" / "female" / "gray.png", (128, 128, 128))
    with open(folder / "groups.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return folder


def classify(red_or_blue: Path) -> tuple[str, ...]:
    options = ("--faces", "off", "--threshold", "0.6", "--groups", "groups.csv", "--overwrite")
    return ("classify", "photos", "--model", str(red_or_blue), "--out", "r.csv", *options)


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_a_report_on_a_terminal_fits_it_and_has_all_figures(labelled: Path, red_or_blue: Path, columns: int) -> None:
    shown = on_terminal(columns, *classify(red_or_blue), cwd=labelled)
    lines = COLORS.sub("", shown).splitlines()
    assert COLORS.search(shown) and "\x1b" not in "".join(lines)
    # A character of these takes two columns.
    assert max(len(line.rstrip()) + len(re.findall("[日本]", line)) for line in lines) <= columns
    words = " ".join(" ".join(lines).split())
    report = json.loads((labelled / "r.report.json").read_text())
    shares = [report["accuracy"], *report["accuracy_interval_95"], report["coverage"][0]["accuracy"]]
    shares += [each[name] for each in report["classes"].values() for name in ("recall", "precision", "f1")]
    for column in report["groups"]["columns"].values():
        shares += [group["accuracy"] for group in column["groups"].values()]
    assert all(f"{100 * each:.1f}" in words for each in shares)
    for counts in report["confusion"].values():
        assert all(str(count) in words for count in counts.values())
    assert "not a person's identity" in words
    # The bars are drawn where there is room for them.
    assert ("●" in words) == (columns >= 80)
    assert "rich" in (labelled / "modules.txt").read_text().split()


def test_no_color_takes_the_colours_alone(labelled: Path, red_or_blue: Path) -> None:
    shown = on_terminal(80, *classify(red_or_blue), cwd=labelled, NO_COLOR="1")
    # Bold and dim are no colours.
    assert {code for found in COLORS.findall(shown) for code in found[2:-1].split(";")} <= {"", "0", "1", "2"}
    assert "├" in shown


def test_elsewhere_reports_are_plain_text_and_rich_is_not_imported(labelled: Path, red_or_blue: Path) -> None:
    line = [sys.executable, "-c", PROGRAM, *classify(red_or_blue)]
    piped = subprocess.run(line, capture_output=True, text=True, cwd=labelled, check=True).stdout
    assert "rich" not in (labelled / "modules.txt").read_text().split()
    assert "recall's 95 % interval" in piped and not re.search("[\x1b●━├]", piped)
    dumb = on_terminal(80, *classify(red_or_blue), cwd=labelled, TERM="dumb")
    assert dumb == piped and "rich" not in (labelled / "modules.txt").read_text().split()


def test_counts_of_sort_and_of_photos_without_labels_are_drawn(
    labelled: Path, red_or_blue: Path, tmp_path: Path
) -> None:
    model = ("--model", str(red_or_blue), "--faces", "off", "--threshold", "0.6")
    for line, names in (
        (("sort", str(labelled / "photos"), "--into", "sorted"), ("female/", "male/", "unsure/")),
        (("classify", str(labelled / "photos"), "--no-labels", "--out", "r.csv"), ("Female", "Male", "Unsure")),
    ):
        shown = COLORS.sub("", on_terminal(80, *line, *model, cwd=tmp_path))
        counts = {found[0]: found[1:] for found in map(str.split, shown.splitlines()) if found}
        assert [counts[name][:3] for name in names] == [["40", "49.4", "%"], ["40", "49.4", "%"], ["1", "1.2", "%"]]
        assert "━" in counts[names[0]][3] and all(len(each.rstrip()) <= 80 for each in shown.splitlines())


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_a_name_of_a_group_is_no_command_to_the_terminal(labelled: Path, red_or_blue: Path, terminal: str) -> None:
    shown = on_terminal(120, *classify(red_or_blue), cwd=labelled, TERM=terminal)
    assert "\\x1b[31mred" in shown and "\x1b[31mred" not in shown
