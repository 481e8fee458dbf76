"""The base install, in an environment of its own: what needs no PyTorch works, what needs it says so in a line."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_picture
from photo_files import encoded

ROOT = Path(__file__).parent.parent
# In MB, on the disk: what the base install may take.
LIMIT = 720
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with `pip install .` and nothing else."""
    folder = tmp_path_factory.mktemp("base")
    # A copy: building in the checkout leaves folders there.
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "batchgender", source / "batchgender", ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", source], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the packages can't be installed here: {done.stderr.strip().splitlines()[-1]}")
    return folder / "venv"


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Run:
    """Run a command of that environment in an empty folder."""

    def start(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [str(base / "bin" / "batchgender"), *map(str, arguments)]
        # Of this process's environment nothing but the path to programs: no PYTHONPATH leads to other packages.
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})

    return start


def test_it_is_small_and_has_no_torch(base: Path) -> None:
    size = sum(file.stat().st_size for file in base.rglob("*") if file.is_file() and not file.is_symlink())
    assert size < LIMIT * 1e6
    packages = {path.name for path in (base / "lib").glob("python*/site-packages/*")}
    assert "numpy" in packages and not packages & {"torch", "torchvision", "datasets", "matplotlib", "onnxscript"}


def test_the_quick_start_and_all_that_needs_no_torch_runs(run: Run, portraits: Path, tmp_path: Path) -> None:
    for name in ("before.csv", "after.jsonl"):
        done = run("classify", portraits / "test", "--out", name)
        assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
    assert run("classify", portraits / "test", "--out", "r.parquet").returncode == 0
    compared = run("compare", "before.csv", "after.jsonl")
    assert compared.returncode == 0 and "12" in compared.stdout, compared.stderr
    inspected = run("inspect", "packaged")
    assert inspected.returncode == 0 and "Female, Male" in inspected.stdout, inspected.stderr
    evaluated = run("evaluate", "packaged", "--data", portraits, "--report", "r.html")
    assert evaluated.returncode == 0 and "accuracy" in evaluated.stdout, evaluated.stderr
    assert (tmp_path / "r.html").stat().st_size


def test_photos_that_need_an_extra_are_rows_that_name_it(run: Run, tmp_path: Path) -> None:
    for name, format in (("a.heic", "HEIF"), ("b.jxl", "JXL"), ("c.jpg", "JPEG")):
        (tmp_path / name).write_bytes(encoded(format))
    done = run("classify", "a.heic", "b.jxl", "c.jpg", "--out", "-")
    assert done.returncode == 0, done.stderr
    _, heic, jxl, jpeg = done.stdout.splitlines()
    assert "pip install 'batchgender[heic]'" in heic and "pip install 'batchgender[jxl]'" in jxl and jpeg.endswith(",,")


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ("train", ["train", "--data", "faces"]),
        ("train", ["calibrate", "best.pt"]),
        ("train", ["export", "best.pt", "--format", "onnx"]),
        ("train", ["evaluate", "best.pt", "--data", "faces"]),
        ("train", ["inspect", "best.pt"]),
        ("train", ["evaluate", "packaged", "--data", "photos.parquet"]),
        ("train", ["tune", "--data", "faces"]),
        ("audit", ["audit", "faces"]),
        ("explain", ["explain", "faces", "--method", "grad-cam", "--out", "x"]),
        ("explain", ["explain", "faces", "--model", "best.pt", "--out", "x"]),
        ("ui", ["ui"]),
        ("openvino", ["classify", "faces", "--provider", "openvino", "--out", "x.csv"]),
        ("hub", ["classify", "faces", "--model", "hf:acme/one", "--out", "x.csv"]),
        ("remote", ["classify", "s3://bucket/photos/", "--out", "x.csv"]),
    ],
)
def test_a_missing_extra_is_named_in_one_line(run: Run, tmp_path: Path, extra: str, line: list[str]) -> None:
    write_picture(tmp_path / "faces" / "female" / "a.jpg")
    # As much as tells the kinds of files: a checkpoint is an archive with pickled data in it.
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", b"")
    (tmp_path / "photos.parquet").write_bytes(b"PAR1")
    done = run(*line)
    assert done.returncode == 1, done.stderr
    (message,) = done.stderr.strip().splitlines()[-1:]
    assert message.startswith("Error: ") and f"batchgender[{extra}]" in message and "Traceback" not in done.stderr
