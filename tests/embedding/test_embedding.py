"""The examples of exports/: each program, in its own runtime, gives the probabilities that classify gives."""

import csv
import subprocess
import sys
from pathlib import Path

EXPORTS = Path(__file__).parent.parent.parent / "exports"
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


def test_python_with_onnxruntime(embeddable: Path, fifty: Path, answers: Answers, spoiled: Path) -> None:
    script = EXPORTS / "python" / "classify.py"
    done = run(sys.executable, script, embeddable / "batchgender.onnx", *sorted(fifty.iterdir()))
    assert done.returncode == 0, done.stderr
    print(f"Python: at most {check_rows(done.stdout, answers):.6f} apart")
    refused = run(sys.executable, script, spoiled, *sorted(fifty.iterdir()))
    assert refused.returncode == 1 and "answers its own pictures wrongly" in refused.stderr and not refused.stdout
