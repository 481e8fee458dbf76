"""What strangers name files, and what files may be in the place of those that commands read: a line each, at once."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import RED, one_line_error, write_picture

from batchgender import io

WHOLE = ("--faces", "off", "--no-isolate")


@pytest.fixture
def results(cli: Any, red_or_blue: Path, tmp_path: Path) -> Path:
    """The results of one labelled photo, in a folder `photos` beside them."""
    write_picture(tmp_path / "photos" / "female" / "a.png", RED)
    out = tmp_path / "results.csv"
    cli("classify", tmp_path / "photos", "--model", red_or_blue, "--out", out, *WHOLE)
    return out


@pytest.fixture(params=["pipe", "device"])
def endless(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is called as a CSV and would be waited for, or read, for ever."""
    monkeypatch.setattr(io, "_PIPE_WAIT", 0.1)
    file = tmp_path / "endless.csv"
    if request.param == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    return file


def test_no_command_waits_for_a_pipe_or_reads_a_device(
    cli: Any, red_or_blue: Path, results: Path, endless: Path, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "other.csv"
    classify = ("classify", photos, "--model", red_or_blue, "--out", out, *WHOLE)
    for line in (
        (*classify, "--groups", endless),
        (*classify, "--labels", endless),
        (*classify, "--measured-on", endless),
        ("classify", "--from-list", endless, "--model", red_or_blue, "--out", out, *WHOLE),
        ("prevalence", endless, "--measured-on", results),
        ("prevalence", results, "--measured-on", endless),
        ("compare", endless, results),
        ("compare", results, endless),
        ("sort", photos, "--into", tmp_path / "into", "--results", endless),
    ):
        assert str(endless) in one_line_error(cli(*line))
    assert "not a model file" in one_line_error(cli(*classify, "--model", endless))


def test_a_pipe_that_is_written_to_is_read(results: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    line = [sys.executable, "-m", "batchgender", "compare", results, pipe]
    with subprocess.Popen(["sh", "-c", 'sleep 0.2; cat "$0" > "$1"', results, pipe]):
        done = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=60)
    assert "1 photos in both" in done.stdout, done.stderr


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a photo, one more 1,100 folders down, and folders below it that no path reaches."""
    monkeypatch.chdir(tmp_path)
    data = write_picture(tmp_path / "photos" / "a.png", RED).read_bytes()
    for name in ("photos", *["d"] * 1100, *["d" * 200] * 12):
        os.makedirs(name, exist_ok=True)
        if len(name) == 200:
            Path("b.png").write_bytes(data)
        os.chdir(name)
    os.chdir(tmp_path)
    yield tmp_path / "photos"
    # Python's own way goes by calls.
    subprocess.run(["rm", "-rf", "photos"], cwd=tmp_path, check=True)


def test_folders_in_each_other_are_walked_as_deep_as_the_system_goes(
    cli: Any, red_or_blue: Path, deep: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.csv"
    done = cli("classify", "photos", "--model", red_or_blue, "--out", out, *WHOLE)
    assert "File name too long" in done.stderr
    paths = [line.partition(",")[0] for line in out.read_text().splitlines()[1:]]
    assert sorted(paths, key=len)[:2] == ["a.png", "d/" * 1100 + "b.png"]
    assert "give the folder itself" in one_line_error(
        cli("classify", "photos/**/*.png", "--model", red_or_blue, "--out", tmp_path / "other.csv", *WHOLE)
    )


def test_two_names_are_never_one_path(cli: Any, red_or_blue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    write_picture(folder / "a.png", RED)
    data = (folder / "a.png").read_bytes()
    for name in (b"\xff.png", rb"\xff.png", rb"\x5cxff.png", rb"a\b.png"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(data)
    out = tmp_path / "results.csv"
    cli("classify", folder, "--model", red_or_blue, "--out", out, *WHOLE)
    paths = {line.partition(",")[0] for line in out.read_text().splitlines()[1:]}
    assert paths == {"a.png", r"\xff.png", r"\x5cxff.png", r"\x5cx5cxff.png", r"a\b.png"}


@pytest.fixture
def escapes(tmp_path: Path) -> Path:
    """Photos whose names, and one that can't be read, hold what a terminal takes for commands."""
    folder = tmp_path / "\x1b]0;owned\x07"
    write_picture(folder / "\x1b[31mfemale\x9b2J.png", RED)
    (folder / "\x1b[2Jbroken.jpg").write_bytes(b"x")
    (folder / "\x1b[3Jtext.txt").write_text("x")
    return folder


def test_no_command_of_a_name_reaches_a_terminal(escapes: Path, red_or_blue: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "groups.csv"
    sheet.write_text("path,\x1b[31mage\nfemale.png,\x1b[2Jold\n")
    common = ["--model", red_or_blue, "--faces", "off", "--no-isolate"]
    for line in (
        ["classify", escapes, *common, "--out", "-", "-v"],
        ["classify", escapes, *common, "--out", "\x1b[5m.csv", "--groups", sheet],
        ["sort", escapes, *common, "--into", "\x1b[6minto"],
        ["explain", escapes, "--model", red_or_blue, "--out", "\x1b[7mout"],
        ["classify", "--\x1b[31m"],
    ):
        shown = _on_a_terminal(list(map(str, line)), tmp_path)
        own = shown.replace(b"\x1b[A", b"").replace(b"\x1b[0m", b"")
        for command in (b"\x1b]", b"\x1b[31m", b"\x1b[2J", b"\x1b[3J", b"\x1b[5m", b"\x1b[6m", b"\x1b[7m", b"\x9b2J"):
            assert command not in own, (line, own)


def _on_a_terminal(line: list[str], folder: Path) -> bytes:
    """What a command writes to a terminal that is its stdout and stderr."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "batchgender", *line],
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
    ):
        os.close(theirs)
        shown = b""
        # The end of a terminal is an error.
        try:
            while portion := os.read(ours, 65536):
                shown += portion
        except OSError:
            pass
    os.close(ours)
    return shown


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_notices_that_can_not_be_written_cost_no_run(red_or_blue: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "a.png", RED)
    program = f'"{sys.executable}" -m batchgender'
    line = f'{program} classify photos --model "{red_or_blue}" --faces off --out'
    for name, redirected in (("full.csv", "2>/dev/full"), ("closed.csv", ">&- 2>&-")):
        ended = subprocess.run(["sh", "-c", f"{line} {name} {redirected}"], cwd=tmp_path, timeout=60)
        assert ended.returncode == 0
        assert len((tmp_path / name).read_text().splitlines()) == 2
    done = subprocess.run(
        ["sh", "-c", f"{program} --help >/dev/full"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "Error: can't write to stdout (No space left on device)\n"


def test_a_recipe_or_a_row_nested_without_end_is_a_line(cli: Any, results: Path, tmp_path: Path) -> None:
    nested = "[" * 5000 + "]" * 5000
    rows = tmp_path / "rows.jsonl"
    rows.write_text(nested + "\n")
    assert "damaged" in one_line_error(cli("prevalence", rows, "--measured-on", results))
    for name, text in (("a.toml", f"lr = {nested}"), ("a.json", f'{{"lr": {nested}}}')):
        (tmp_path / name).write_text(text)
        assert "no valid" in one_line_error(cli("train", "--data", tmp_path, "--recipe", tmp_path / name))


def test_a_picture_bomb_in_a_self_check_is_refused(cli: Any, red_or_blue: Path, tmp_path: Path) -> None:
    import base64
    import json

    import onnx

    model = onnx.load(red_or_blue)
    bomb = base64.b64encode(cv2.imencode(".png", np.zeros((4000, 4000), np.uint8))[1].tobytes()).decode()
    data = json.loads(model.metadata_props[0].value)
    for pictures, words in (([bomb], "pictures of its self-check are damaged"), ([bomb] * 101, "up to 100 pictures")):
        data["golden"] = [{"png": picture, "probabilities": [0.5, 0.5]} for picture in pictures]
        model.metadata_props[0].value = json.dumps(data)
        onnx.save(model, tmp_path / "bomb.onnx")
        assert words in one_line_error(cli("inspect", tmp_path / "bomb.onnx"))


@pytest.mark.parametrize("calibration", [{"bias": [1e4, -1e4]}, {"bias": [1e308, 0]}, {"temperature": 1e308}])
def test_a_calibration_beyond_what_numbers_hold_gives_a_report(calibration: dict[str, Any]) -> None:
    from batchgender.report.counts import RowCounts
    from batchgender.results.rows import make_row

    counts = RowCounts(["Female", "Male"], **calibration)
    counts.add(make_row("a.jpg", [0.7, 0.3], ["Female", "Male"], "Female", {}))
    assert counts.figures().labelled == 1
