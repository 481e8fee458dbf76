"""The examples of exports/: each program, in its own runtime, gives the probabilities that classify gives."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

EXPORTS = Path(__file__).parent.parent / "exports"
# In probability, of float32 files.
CLOSE = 1e-3

Answers = dict[str, tuple[float, ...]]


def check_rows(printed: str, answers: Answers) -> float:
    """Hold the CSV that an example printed against classify's answers; return the largest difference."""
    rows = list(csv.DictReader(printed.splitlines()))
    assert [Path(row["path"]).name for row in rows] == sorted(answers)
    largest = 0.0
    for row in rows:
        found, expected = [float(row[name]) for name in ("p_female", "p_male")], answers[Path(row["path"]).name]
        assert row["prediction"] == ("Female", "Male")[found.index(max(found))]
        largest = max(largest, *(abs(a - b) for a, b in zip(found, expected, strict=True)))
    assert largest <= CLOSE
    return largest


def run(*line: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, line)), capture_output=True, text=True)


@pytest.fixture(scope="session")
def spoiled(embeddable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file with a promise that it can't keep: other probabilities for its own pictures."""
    model = onnx.load(embeddable / "batchgender.onnx")
    about = json.loads({p.key: p.value for p in model.metadata_props}["batchgender"])
    about["golden"][0]["probabilities"].reverse()
    onnx.helper.set_model_props(model, {"batchgender": json.dumps(about)})
    onnx.save_model(model, tmp_path_factory.mktemp("spoiled") / "spoiled.onnx")
    return tmp_path_factory.getbasetemp() / "spoiled0" / "spoiled.onnx"


def test_python_with_onnxruntime(embeddable: Path, fifty: Path, answers: Answers, spoiled: Path) -> None:
    script = EXPORTS / "python" / "classify.py"
    done = run(sys.executable, script, embeddable / "batchgender.onnx", *sorted(fifty.iterdir()))
    assert done.returncode == 0, done.stderr
    check_rows(done.stdout, answers)
    refused = run(sys.executable, script, spoiled, *sorted(fifty.iterdir()))
    assert refused.returncode == 1 and "answers its own pictures wrongly" in refused.stderr and not refused.stdout
