"""The examples of exports/: each program, in its own runtime, gives the probabilities that classify gives."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from batchgender import load_classifier
from batchgender.model.open_model import PACKAGED_MODEL
from batchgender.photos.generated import generated_pictures

EXPORTS = Path(__file__).parent.parent.parent / "exports"
# In probability, of float32 files; and of cut-outs, whose blend with white each program rounds in its own way.
CLOSE, CLOSE_BLENDED = 1e-3, 5e-3

Answers = dict[str, tuple[float, ...]]


def check_rows(printed: str, answers: Answers) -> float:
    """Hold the CSV that an example printed against classify's answers; return the largest difference."""
    rows = list(csv.DictReader(printed.splitlines()))
    assert [Path(row["path"]).name for row in rows] == sorted(answers)
    largest = 0.0
    for row in rows:
        name = Path(row["path"]).name
        found, expected = [float(row[column]) for column in ("p_female", "p_male")], answers[name]
        assert row["prediction"] == ("Female", "Male")[found.index(max(found))]
        apart = max(abs(a - b) for a, b in zip(found, expected, strict=True))
        assert apart <= (CLOSE_BLENDED if name.startswith("cut_out") else CLOSE), name
        largest = max(largest, apart)
    return largest


def run(*line: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, line)), capture_output=True, text=True)


def test_python_with_onnxruntime(embeddable: Path, fifty: Path, answers: Answers, spoiled: Path) -> None:
    script = EXPORTS / "python" / "classify.py"
    done = run(sys.executable, script, embeddable / "batchgender.onnx", *sorted(fifty.iterdir()))
    assert done.returncode == 0, done.stderr
    print(f"Python: at most {check_rows(done.stdout, answers):.6f} apart")
    refused = run(sys.executable, script, spoiled, *sorted(fifty.iterdir()))
    assert refused.returncode == 1 and "self-check failed" in refused.stderr and not refused.stdout


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated picture as a photo."""
    file = tmp_path_factory.mktemp("picture") / "photo.png"
    cv2.imwrite(str(file), generated_pictures(1)[0])
    return file


@pytest.mark.parametrize("script", ["classify.py", "openvino_classify.py"])
def test_the_packaged_file_works_as_it_is(script: str, picture: Path) -> None:
    if script.startswith("openvino") and not importlib.util.find_spec("openvino"):
        pytest.skip("needs the Python package openvino")
    done = run(sys.executable, EXPORTS / "python" / script, PACKAGED_MODEL, picture)
    assert done.returncode == 0, done.stderr
    (row,) = load_classifier("packaged").classify(picture)
    (line,) = csv.DictReader(done.stdout.splitlines())
    # int8, which runtimes round in their own ways.
    assert float(line["p_female"]) == pytest.approx(row.probabilities[0], abs=0.06)


def test_opencvs_module_refuses_an_int8_file_in_a_line(picture: Path) -> None:
    done = run(sys.executable, EXPORTS / "python" / "opencv_dnn.py", PACKAGED_MODEL, picture)
    assert done.returncode == 1 and "an int8 file" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("script", ["classify.py", "openvino_classify.py", "opencv_dnn.py", "torch_export.py"])
def test_wrong_arguments_end_in_one_line(script: str, picture: Path, tmp_path: Path) -> None:
    if script.startswith("openvino") and not importlib.util.find_spec("openvino"):
        pytest.skip("needs the Python package openvino")
    suffix = ".pt2" if script == "torch_export.py" else ".onnx"
    text = tmp_path / f"text{suffix}"
    text.write_text("no model")
    program = EXPORTS / "python" / script
    lines: list[list[object]] = [[], [tmp_path / f"none{suffix}", picture], [text, picture]]
    if script == "classify.py":
        lines.append([PACKAGED_MODEL, text])
    for line in lines:
        done = run(sys.executable, program, *line)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
