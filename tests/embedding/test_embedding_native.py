"""The examples of exports/ in other runtimes: Node.js, libtorch, OpenVINO, torch.export and OpenCV's DNN module."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from test_embedding import EXPORTS, Answers, check_rows, run

NODE = EXPORTS / "node"
Line = list[object]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of torch, whose threads wait for each other on a busy machine ten times longer than they compute."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def node() -> Line:
    """What runs the Node.js example, its packages installed."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    installed, lock = NODE / "node_modules" / ".package-lock.json", NODE / "package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = run("npm", "ci", "--prefix", NODE, "--ignore-scripts", "--prefer-offline", "--fetch-retries=1")
        if done.returncode:
            pytest.skip(f"npm ci failed: {done.stderr.strip()[-200:]}")
    return ["node", NODE / "classify.mjs"]


def built(folder: str, package: str, setting: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C++ example, built against a Python package; skips where what it needs isn't there."""
    spec = importlib.util.find_spec(package)
    if not (spec and spec.submodule_search_locations and shutil.which("cmake") and shutil.which("c++")):
        pytest.skip(f"needs cmake, a C++ compiler and the Python package {package}")
    build = tmp_path_factory.mktemp(folder)
    setting = setting.format(spec.submodule_search_locations[0])
    configured = run("cmake", "-S", EXPORTS / folder, "-B", build, setting)
    if "apt install libopencv-dev nlohmann-json3-dev" in configured.stderr:
        pytest.skip("needs libopencv-dev and nlohmann-json3-dev")
    assert configured.returncode == 0, configured.stderr
    made = run("cmake", "--build", build)
    assert made.returncode == 0, made.stdout + made.stderr
    return build / "classify"


@pytest.fixture(scope="module")
def cpp_torchscript(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return [built("cpp-torchscript", "torch", "-DTORCH_ROOT={}", tmp_path_factory)]


@pytest.fixture(scope="module")
def cpp_openvino(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return [built("cpp-openvino", "openvino", "-DOpenVINO_DIR={}/cmake", tmp_path_factory)]


@pytest.fixture(scope="module")
def torch_export() -> Line:
    return [sys.executable, EXPORTS / "python" / "torch_export.py"]


@pytest.fixture(scope="module")
def python_openvino() -> Line:
    if not importlib.util.find_spec("openvino"):
        pytest.skip("needs the Python package openvino")
    return [sys.executable, EXPORTS / "python" / "openvino_classify.py"]


@pytest.fixture(scope="module")
def opencv_dnn() -> Line:
    import cv2

    if not hasattr(cv2.dnn, "ENGINE_NEW"):
        pytest.skip("needs OpenCV 5")
    return [sys.executable, EXPORTS / "python" / "opencv_dnn.py"]


OF_ONNX = ["node", "cpp_openvino", "python_openvino", "opencv_dnn"]
OTHERS = [("cpp_torchscript", ".pt"), ("torch_export", ".pt2")]


@pytest.mark.parametrize(("example", "suffix"), [*((name, ".onnx") for name in OF_ONNX), *OTHERS])
def test_an_example_gives_classifys_answers(
    example: str, suffix: str, embeddable: Path, fifty: Path, answers: Answers, request: pytest.FixtureRequest
) -> None:
    line: Line = request.getfixturevalue(example)
    done = run(*line, embeddable / f"batchgender{suffix}", *sorted(fifty.iterdir()))
    assert done.returncode == 0, done.stderr
    print(f"{example}: at most {check_rows(done.stdout, answers):.6f} apart")


@pytest.mark.parametrize("example", OF_ONNX)
def test_an_example_refuses_a_file_that_answers_wrongly(
    example: str,
    fifty: Path,
    spoiled: Path,
    request: pytest.FixtureRequest,
) -> None:
    line: Line = request.getfixturevalue(example)
    done = run(*line, spoiled, *sorted(fifty.iterdir()))
    assert done.returncode == 1 and not done.stdout
    [said] = done.stderr.splitlines()
    assert "self-check failed" in said
