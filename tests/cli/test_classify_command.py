"""`batchgender classify` as a user runs it: the files, the streams and the exit codes."""

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from conftest import BLUE, one_line_error, write_picture

Cli = Callable[..., Result]
Command = Callable[..., "subprocess.Popen[str]"]


def test_results_report_and_table_come_out_of_a_labelled_folder(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    result = cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0
    table = pd.read_csv(tmp_path / "r.csv", keep_default_na=False)
    report = json.loads((tmp_path / "r.report.json").read_text())
    right = table.prediction == table.label
    assert len(table) == 80 and not right.all()
    assert report["accuracy"] == pytest.approx(right.mean())
    for name in ("Female", "Male"):
        assert report["classes"][name]["recall"] == pytest.approx(right[table.label == name].mean())
    assert f"{100 * right.mean():.1f} %" in result.stdout
    assert "not a person's identity" in result.stdout and "not a person's identity" in report["note"]
    assert str(tmp_path / "r.csv") in result.stderr
    assert not list(tmp_path.glob("*.part*"))


def test_photos_without_labels_give_no_report(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "a.jpg")
    result = cli("classify", tmp_path / "photos", "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0 and "accuracy" not in result.stdout
    assert not (tmp_path / "r.report.json").exists()


def test_out_dash_streams_csv_alone_to_stdout(cli: Cli, red_or_blue: Path, photos: Path) -> None:
    result = cli("classify", photos, "--model", red_or_blue, "--out", "-")
    lines = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(lines) == 80 and lines[0]["path"] == "female/00.jpg"
    assert "accuracy" in result.stderr


def test_library_and_command_give_the_same_rows(cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path) -> None:
    from batchgender import load_classifier
    from batchgender.results.formats import read_csv
    from batchgender.results.rows import RowLayout

    cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert list(load_classifier(red_or_blue).classify(photos)) == list(
        read_csv(str(tmp_path / "r.csv"), RowLayout(("Female", "Male")))
    )


def test_unreadable_photos_are_counted_last_and_strict_exits_with_3(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "female" / "empty.jpg").touch()
    (photos / "notes.txt").touch()
    arguments = ("classify", photos, "--model", red_or_blue, "--out")
    result = cli(*arguments, tmp_path / "r.csv")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1].startswith("1 of 81 photos could not be read")
    assert "left out, not photos: .txt 1" in result.stderr
    assert cli(*arguments, tmp_path / "s.csv", "--strict").exit_code == 3
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "r.csv").read_bytes()


def test_below_the_threshold_is_unsure_and_the_report_says_how_many(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    write_picture(photos / "male" / "gray.png", (128, 128, 128))
    cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv", "--threshold", 0.6)
    table = pd.read_csv(tmp_path / "r.csv").set_index("path")
    assert table.prediction["male/gray.png"] == "Unsure"
    assert json.loads((tmp_path / "r.report.json").read_text())["unsure"] == (table.prediction == "Unsure").sum() == 1


@pytest.fixture
def careful(red_or_blue: Path, tmp_path: Path) -> Path:
    """The model that calls red Female, with thresholds of its own: blue must be surer than it ever is."""
    import onnx

    model = onnx.load(red_or_blue)
    about = json.loads(model.metadata_props[0].value)
    onnx.helper.set_model_props(model, {"batchgender": json.dumps({**about, "thresholds": {"Female": 0.5, "Male": 1}})})
    onnx.save_model(model, tmp_path / "careful.onnx")
    return tmp_path / "careful.onnx"


def test_the_models_own_thresholds_apply_and_are_said_until_one_is_given(
    cli: Cli, careful: Path, photos: Path, tmp_path: Path
) -> None:
    from batchgender import load_classifier

    arguments = ("classify", photos, "--model", careful, "--out")
    result = cli(*arguments, tmp_path / "r.csv")
    assert "thresholds: Female 0.5, Male 1, stored in the model (--threshold 0: none)" in result.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    assert set(table.prediction[table.p_male > 0.5]) == {"Unsure"} and (table.confidence > 0.5).all()
    assert [row.prediction for row in load_classifier(careful).classify(photos)] == list(table.prediction)
    plain = cli(*arguments, tmp_path / "s.csv", "--threshold", 0)
    assert "stored in the model" not in plain.stderr
    assert set(pd.read_csv(tmp_path / "s.csv").prediction) == {"Female", "Male"}


def test_a_run_is_not_resumed_under_other_thresholds(
    command: Command, cli: Cli, careful: Path, photos: Path, tmp_path: Path
) -> None:
    def full_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_500, 2_500))

    arguments = ("classify", photos, "--model", careful, "--out", tmp_path / "r.csv")
    assert command(*arguments, preexec_fn=full_disk).wait() == 1
    assert "another threshold" in one_line_error(cli(*arguments, "--resume", "--threshold", 0))
    assert cli(*arguments, "--resume").exit_code == 0


def test_odd_names_have_their_rows(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    names = ["with space.jpg", 'a,"b".jpg', "new\nline.jpg", "😀.jpg", "-dash.jpg", "=sum.jpg", "per%cent.jpg"]
    for name in names:
        write_picture(tmp_path / "photos" / name)
    raw = os.fsencode(tmp_path / "photos") + b"/caf\xe9.jpg"
    with open(raw, "wb") as stream:
        stream.write(write_picture(tmp_path / "blue.jpg", BLUE).read_bytes())
    cli("classify", tmp_path / "photos", "--model", red_or_blue, "--out", tmp_path / "r.csv")
    table = pd.read_csv(tmp_path / "r.csv").set_index("path")
    assert sorted(table.index) == sorted([*names, "caf\\xe9.jpg"])
    assert table.prediction["caf\\xe9.jpg"] == "Male" and table.error.isna().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "r.csv"], "nowhere: no such file or folder"),
        (["empty", "--out", "r.csv"], "no photos found in empty, only other files: .txt 1; photos end in"),
        (["photos", "--out", "photos/a.jpg/r.csv"], "can't write in this folder"),
        (["album.7z", "--out", "r.csv"], "album.7z: an archive, not a photo; unpack it"),
        (["list.txt", "--out", "r.csv"], "list.txt: a list, not a photo"),
        (["film.mp4", "--out", "r.csv"], "film.mp4: a video, not a photo"),
        (["photos", "--out", "r.csv", "--groups", "none.csv"], "none.csv: no such file; check --groups"),
        (["photos", "--out", "r.xlsx"], "unknown format"),
        (["photos", "--out", "r.csv", "--report", "r.txt"], "unknown report format"),
        (["photos", "--out", "r.csv", "--model", "none.onnx"], "none.onnx: no such model file"),
        (["photos", "--out", "r.csv", "--model", "photos"], "not a model file"),
        (["photos", "--out", "r.csv", "--classes", "a,b"], "describes itself"),
    ],
)
def test_what_can_not_be_done_ends_in_one_line_and_writes_nothing(
    cli: Cli, red_or_blue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "photos" / "a.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    for name in ("album.7z", "list.txt", "film.mp4"):
        (tmp_path / name).touch()
    before = sorted(tmp_path.rglob("*"))
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(red_or_blue)]
    assert message in one_line_error(cli("classify", *arguments))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_can_not_be_written_is_refused_at_once(cli: Cli, unprivileged: Path) -> None:
    photos = write_picture(unprivileged / "photos" / "a.jpg").parent
    photos.chmod(0o500)
    result = cli("classify", photos, "--model", unprivileged / "model.onnx", "--out", photos / "r.csv")
    assert "can't write in this folder" in one_line_error(result)
    assert [file.name for file in photos.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threshold", "2"],
        ["--threshold", "nan"],
        ["--resume", "--overwrite"],
        ["--mean", "1,2"],
        ["--classes", "a"],
        ["--nope"],
    ],
)
def test_wrong_usage_exits_with_2(cli: Cli, photos: Path, tmp_path: Path, arguments: list[str]) -> None:
    assert cli("classify", photos, "--out", tmp_path / "r.csv", *arguments).exit_code == 2


def rows_in(part: Path) -> int:
    return max(part.read_bytes().count(b"\r\n") - 1, 0) if part.exists() else 0


@pytest.fixture
def many(photos: Path) -> Path:
    """2,000 photos: hard links to the 80, so that a run can be stopped in the middle."""
    for folder, ending in (("female", "jpg"), ("male", "png")):
        for index in range(40, 1000):
            os.link(photos / folder / f"{index % 40:02}.{ending}", photos / folder / f"{index:04}.{ending}")
    return photos


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_goes_on_to_the_same_file(
    command: Command, red_or_blue: Path, many: Path, tmp_path: Path, sent: int, expected: int
) -> None:
    arguments = ("classify", many, "--model", red_or_blue, "--out")
    assert command(*arguments, tmp_path / "whole.csv").wait() == 0
    out, part = tmp_path / "r.csv", tmp_path / "r.csv.part"
    process = command(*arguments, out)
    while rows_in(part) < 200 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(sent)
    _, errors = process.communicate()
    assert process.returncode == expected and "Traceback" not in errors
    assert not out.exists()
    kept = rows_in(part)
    assert 200 <= kept < 2000
    refused = command(*arguments, out)
    assert "--resume" in refused.communicate()[1] and refused.returncode == 1
    assert rows_in(part) == kept
    assert command(*arguments, out, "--resume").wait() == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    whole, resumed = (json.loads((tmp_path / f"{name}.report.json").read_text()) for name in ("whole", "r"))
    assert resumed == whole


def test_a_full_disk_ends_in_one_line_and_keeps_the_rows(
    command: Command, red_or_blue: Path, many: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        # What a full disk gives, a write that is refused, without filling the machine's.
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    arguments = ("classify", many, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    process = command(*arguments, preexec_fn=limit)
    errors = process.communicate()[1].splitlines()
    assert process.returncode == 1
    assert errors[-1].startswith("Error: ") and "can't write (File too large); the rows so far are kept" in errors[-1]
    assert not any("Traceback" in line for line in errors)
    assert rows_in(tmp_path / "r.csv.part") > 100
    assert command(*arguments, "--resume").wait() == 0
    assert rows_in(tmp_path / "r.csv") == 2000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_stdout_ends_in_one_line(red_or_blue: Path, photos: Path) -> None:
    line = [sys.executable, "-c", "from batchgender.cli import main; main()", "classify", str(photos)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*line, "--model", str(red_or_blue), "--out", "-"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1 and "Error: can't write the rows (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


def test_classify_never_imports_torch_and_is_quiet_without_a_terminal(
    red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    program = (
        "import sys; from batchgender.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'torchvision', 'datasets', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    arguments = ["classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv"]
    line = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "images/s" not in done.stderr and "%|" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_report_that_stdout_does_not_take_is_one_line_and_the_results_are_kept(
    red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.csv"
    line = [sys.executable, "-m", "batchgender", "classify", str(photos), "--model", str(red_or_blue)]
    with open("/dev/full", "w") as full:
        done = subprocess.run([*line, "--out", str(out)], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "can't write to stdout (No space left on device)" in done.stderr
    assert len(pd.read_csv(out)) == 80 and (tmp_path / "r.report.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not UTF-8")
def test_a_folder_whose_name_is_no_utf8_has_its_report_too(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    folder = os.fsdecode(bytes(tmp_path / "n") + b"\xff")
    write_picture(Path(folder) / "female" / "a.jpg")
    result = cli("classify", folder, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "r.report.json").read_text())["photos_from"] == [str(tmp_path / "n\\xff")]


def test_a_report_may_not_take_the_place_of_what_resuming_needs(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    line = ("classify", write_picture(tmp_path / "a.jpg"), "--model", red_or_blue, "--out", tmp_path / "r.csv")
    message = one_line_error(cli(*line, "--report", tmp_path / "r.csv.part.json"))
    assert "choose another --report" in message
