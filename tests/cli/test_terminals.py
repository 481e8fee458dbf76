"""Names that the locale, the terminal or UTF-8 itself has no characters for, on stdout and stderr."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from conftest import write_picture

from batchgender.model.open_model import PACKAGED_MODEL

LOCALES = [
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]
NAMES = [name.encode() for name in ("José.jpg", "日本.jpg", "😀.jpg", "Ωmega\n.jpg")] + [
    b"caf\xe9.jpg",
    b"\xff\xfe.jpg",
]
PROGRAM = "from batchgender.__main__ import run; run()"


def start(
    *arguments: str | bytes | Path, locale: dict[str, str], program: str = PROGRAM
) -> "subprocess.CompletedProcess[bytes]":
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))}
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, env={**plain, **locale})
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """Photos female/NAME, one of which can't be read."""
    folder = tmp_path / "names" / "female"
    folder.mkdir(parents=True)
    photo = write_picture(tmp_path / "red.jpg").read_bytes()
    for name in NAMES:
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(photo)
    (folder / "leer ø.jpg").touch()
    return folder.parent


@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_rows_reports_and_tables_on_stdout_are_utf8_in_every_locale(
    names: Path, red_or_blue: Path, tmp_path: Path, locale: dict[str, str]
) -> None:
    run = ("classify", names, "--model", red_or_blue, "-v", "--out")
    streamed = start(*run, "-", locale=locale).stdout
    paths = {row["path"] for row in csv.DictReader(streamed.decode("utf-8").splitlines(keepends=True))}
    shown = {f"female/{name.decode('utf-8', 'backslashreplace')}" for name in NAMES}
    assert paths == {*shown, "female/leer ø.jpg"}
    out = tmp_path / "Größe 日.csv"
    groups = tmp_path / "g.csv"
    groups.write_text(
        "path,Größe\n" + "".join(f"female/{name},日本\n" for name in ("José.jpg", "😀.jpg")), encoding="utf-8"
    )
    report = start(*run, out, "--groups", groups, locale=locale)
    assert report.returncode == 0 and "日本" in report.stdout.decode("utf-8")
    # Answers of another model, so that the table of changes has names.
    other = tmp_path / "other.csv"
    other.write_bytes(re.sub(rb"(?m)^(.*jpg),\w+,", rb"\1,Male,", out.read_bytes()))
    compared = start("compare", out, other, locale=locale)
    assert compared.returncode == 0 and "female/José.jpg" in compared.stdout.decode("utf-8")


@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_errors_and_notices_that_the_terminal_can_not_show_end_without_a_traceback(
    names: Path, red_or_blue: Path, tmp_path: Path, locale: dict[str, str]
) -> None:
    odd = "日é".encode() + b"\xe9"
    for code, arguments in (
        (1, (b"classify", odd, b"--out", b"-")),
        (1, (b"classify", bytes(names), b"--out", odd + b".txt")),
        (1, (b"classify", bytes(names), b"--out", bytes(tmp_path) + b"/r.csv", b"--model", odd + b".onnx")),
        (1, (b"compare", odd + b".csv", odd + b".csv")),
        (2, (b"classify", bytes(names), b"--out", b"-", b"--threshold", odd)),
        (2, (b"classify", bytes(names), b"--" + odd)),
        (2, (odd,)),
        (
            0,
            (
                b"classify",
                bytes(names),
                b"--model",
                bytes(red_or_blue),
                b"--out",
                bytes(tmp_path) + b"/" + odd + b".csv",
            ),
        ),
    ):
        done = start(*arguments, locale=locale)
        assert done.returncode == code and done.stderr.strip(), (arguments, done.stderr)
    # A byte that is no UTF-8 is shown as in the rows.
    assert rb"\xe9" in start(b"classify", odd + b".zip", b"--out", b"-", locale=locale).stderr


def test_where_the_system_turns_line_ends_around_rows_and_text_keep_theirs(names: Path, red_or_blue: Path) -> None:
    # As Python opens stdout on Windows.
    program = f"import sys; sys.stdout.reconfigure(newline='\\r\\n')\n{PROGRAM}"
    rows = start("classify", names, "--model", red_or_blue, "--out", "-", locale={}, program=program).stdout
    assert rows.count(b"\r\n") == len(NAMES) + 2 and b"\r\r" not in rows
    shown = start("inspect", red_or_blue, locale={}, program=program).stdout
    assert shown.count(b"\n") > 3 and b"\r" not in shown


def test_a_progress_bar_on_a_terminal_of_another_encoding_ends_well(
    names: Path, red_or_blue: Path, tmp_path: Path
) -> None:
    ours, terminal = pty.openpty()
    line = ["classify", str(names), "--model", str(red_or_blue), "-v", "--out", str(tmp_path / "日.csv")]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *line],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    os.close(terminal)
    shown = b""
    while process.poll() is None or not shown:
        try:
            shown += os.read(ours, 10_000)
        except OSError:
            break  # The terminal's end.
    os.close(ours)
    assert process.wait(60) == 0 and b"Traceback" not in shown and b"leer \xf8.jpg" in shown


def test_half_a_surrogate_pair_in_a_models_metadata_ends_in_a_line_or_is_shown(tmp_path: Path) -> None:
    model = onnx.load(PACKAGED_MODEL)
    about = json.loads({each.key: each.value for each in model.metadata_props}["batchgender"])
    for field, value, code in (("license", "\ud800", 0), ("classes", ["\udcff", "Male"], 1)):
        onnx.helper.set_model_props(model, {"batchgender": json.dumps({**about, field: value})})
        onnx.save_model(model, tmp_path / "odd.onnx")
        plain, as_json = (
            start("inspect", tmp_path / "odd.onnx", *options, locale={"PYTHONIOENCODING": "cp1252"})
            for options in ((), ("--json",))
        )
        assert plain.returncode == as_json.returncode == code
        if code:
            assert b"the field classes wants" in plain.stderr
        else:
            assert json.loads(as_json.stdout)["batchgender"]["license"] == value and b"\\ud800" in plain.stdout
