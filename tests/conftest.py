"""Real photos, real files and a tiny real model that the tests share."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Tests that run side by side share the cores: threads that wait for each other would hold both up.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import fsspec.config
import numpy as np
import pytest
from click.testing import CliRunner, Result
from drawn_faces import draw_portrait, write_portraits
from numpy.typing import NDArray
from object_server import ObjectServer, serving
from PIL import ExifTags, Image
from tiny_detectors import write_cell_detector

from batchgender.cli import main
from batchgender.errors import UnreadablePhoto
from batchgender.io import silent
from batchgender.photos.decode import decode

FACES = Path(__file__).parent.parent.parent / "shared" / "data" / "faces"
YUNET = FACES.parent.parent / "models" / "face_detection_yunet_2026may.onnx"
RED, BLUE = (220, 30, 30), (30, 30, 220)
# What is started in the background ignores Ctrl-C, and so would the processes that tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def faces() -> Path:
    """Real face photos, where this checkout has them beside it."""
    if not FACES.is_dir():
        pytest.skip(f"no real face photos in {FACES}: only the project's own machines have them")
    return FACES


@pytest.fixture(scope="session", autouse=True)
def sees_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A detector that finds no face, for all tests: none is fetched, nor taken from the cache of who runs them."""
    file = write_cell_detector(tmp_path_factory.mktemp("detector") / "sees_nothing.onnx", sees=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHGENDER_DETECTOR", str(file))
        yield file


@pytest.fixture(scope="session")
def cell_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that calls bright cells faces."""
    return write_cell_detector(tmp_path_factory.mktemp("detector") / "cells.onnx")


@pytest.fixture(scope="session")
def yunet() -> Path:
    """The real detector, where this checkout has it beside it."""
    if not YUNET.is_file():
        pytest.skip(f"no {YUNET}: only the project's own machines have it")
    return YUNET


@pytest.fixture(scope="session")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn portraits {train,test}/{female,male}/*.jpg: 20 and 6 a class."""
    folder = tmp_path_factory.mktemp("portraits")
    write_portraits(folder, {"train": 20, "test": 6})
    return folder


def write_red_or_blue(path: Path, green: float = 0.0) -> Path:
    """Write a model file, by the real exporter, of a network that calls red photos Female and blue ones Male.

    `green` times a photo's green is added to both logits: it changes no answer, where numbers are precise.
    """
    import torch

    from batchgender.export.formats import onnx as onnx_format
    from batchgender.model.metadata import ModelInfo
    from batchgender.training.networks.deployed import Deployed

    mix, head = torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), mix, head)
    with torch.no_grad():
        mix.weight.copy_(torch.tensor([[2.0, green, 0], [0, green, 2.0]]))
        head.weight.copy_(torch.eye(2))
        mix.bias.zero_()
        head.bias.zero_()
    mean, std = [0.5] * 3, [0.25] * 3
    info = ModelInfo(["Female", "Male"], 224, mean, std, architecture="red or blue")
    onnx_format.write(Deployed(network, 224, mean, std).eval(), info, path)
    return path


@pytest.fixture(scope="session")
def red_or_blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a tiny real model file, see above."""
    return write_red_or_blue(tmp_path_factory.mktemp("model") / "red_or_blue.onnx")


@pytest.fixture(scope="session")
def trained(portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real run: one epoch over the portraits, by an AlexNet whose weights are soon written and read."""
    from batchgender.training.recipe import Recipe
    from batchgender.training.run_plan import RunPlan
    from batchgender.training.train import train

    out = tmp_path_factory.mktemp("runs") / "trained"
    train(RunPlan(Recipe(architecture="alexnet_bn512", epochs=1), str(portraits), out), "cpu", silent)
    return out


@pytest.fixture(scope="session")
def embeddable(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with batchgender.onnx, .pt and .pt2: a really trained AlexNet, its linear layers small, in float32."""
    from batchgender.export.export_checkpoint import ExportOptions, export_checkpoint
    from batchgender.training import checkpoint as checkpoints
    from batchgender.training.checkpoint import Calibration
    from batchgender.training.data.batches import Batches
    from batchgender.training.data.open_source import open_source
    from batchgender.training.networks.deployed import logits_of
    from batchgender.training.predictions import predict_split

    out = tmp_path_factory.mktemp("embeddable")
    run = checkpoints.load(trained / "best.pt")
    # One epoch leaves it unsure of everything; as confident as after a long training, it shows small differences.
    batches = Batches(open_source(run.source, silent).train, 224, 32, silent)
    logits = predict_split(logits_of(run.deployed()), batches, "train", silent).outputs
    margins = logits[:, 1] - logits[:, 0]
    bias = [0.0, -float(margins.mean() / margins.std() * 2)]
    confident = replace(run, calibration=Calibration(float(margins.std()) / 2, bias))
    checkpoints.save(confident, out / "confident.pt")
    options = ExportOptions(rank=32)
    export_checkpoint(str(out / "confident.pt"), ["onnx", "torchscript", "pt2"], str(out), None, silent, options)
    return out


@pytest.fixture(scope="session")
def spoiled(embeddable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file with a promise that it can't keep: other probabilities for its own pictures."""
    import onnx

    model = onnx.load(embeddable / "batchgender.onnx")
    about = json.loads({p.key: p.value for p in model.metadata_props}["batchgender"])
    about["golden"][0]["probabilities"].reverse()
    onnx.helper.set_model_props(model, {"batchgender": json.dumps(about)})
    file = tmp_path_factory.mktemp("spoiled") / "spoiled.onnx"
    onnx.save_model(model, file)
    return file


@pytest.fixture(scope="session")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 50 photos of many sizes: unseen faces where they are here, else drawn ones. Names end as formats.

    The last eight are seven cut-outs, partly and half transparent, and a gray photo of 16 bits.
    """
    folder = tmp_path_factory.mktemp("fifty")
    real = sorted(FACES.glob("test/*/web_*"))[::5] + sorted(FACES.glob("test/*/utk_*"))[::90]
    for index, file in enumerate([file for file in real if readable(file)][:42]):
        os.symlink(file, folder / f"{index:02}{file.suffix}")
    rng = np.random.default_rng(5)
    for index in range(len(list(folder.iterdir())), 42):
        size = tuple(int(side) for side in rng.integers(40, 900, 2))
        drawn = cv2.resize(draw_portrait(("female", "male")[index % 2], rng), size, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index:02}.{('jpg', 'png')[index % 2]}"), drawn[..., ::-1])
    _write_cut_outs(folder, rng)
    return folder


def _write_cut_outs(folder: Path, rng: np.random.Generator) -> None:
    """Write a drawn portrait that fades out from its middle, where green is hidden, in seven ways, and a gray one."""
    portrait = draw_portrait("female", rng)
    rows, columns = np.indices(portrait.shape[:2])
    alpha = (400 - 3.5 * np.hypot(rows - 110, columns - 90)).clip(0, 255).astype(np.uint8)
    portrait[alpha == 0] = (0, 160, 0)
    cut_out = Image.fromarray(np.dstack([portrait, alpha]))
    cut_out.save(folder / "cut_out_rgb.png")
    cut_out.convert("LA").save(folder / "cut_out_gray.png")
    cut_out.quantize(64).save(folder / "cut_out_palette.png")
    cut_out.save(folder / "cut_out_webp.webp", lossless=True, exact=True)
    Image.fromarray(portrait).save(folder / "cut_out_one_color.png", transparency=(0, 160, 0))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    cut_out.save(folder / "cut_out_turned.png", exif=turned)
    samples = np.asarray(cut_out).astype(np.uint16) * 257
    cv2.imwrite(str(folder / "cut_out_16_bits.png"), samples[..., [2, 1, 0, 3]])
    # Not transparent.
    cv2.imwrite(str(folder / "gray_16_bits.png"), samples[..., 1])


@pytest.fixture(scope="session")
def answers(embeddable: Path, fifty: Path) -> dict[str, tuple[float, ...]]:
    """What classify says of the fifty with the embeddable ONNX file: probabilities by the photo's name."""
    from batchgender.classify.pipeline import load_classifier

    rows = list(load_classifier(embeddable / "batchgender.onnx").classify(fifty))
    assert len(rows) == 50 and not any(row.error for row in rows)
    return {row.path: row.probabilities for row in rows}


def readable(file: Path) -> bool:
    """Whether the file is a whole photo; one or two of the web's are cut short."""
    try:
        decode(file.read_bytes())
    except UnreadablePhoto:
        return False
    return True


def picture(color: Sequence[int] = RED, size: tuple[int, int] = (60, 50)) -> NDArray[np.uint8]:
    """A picture of one colour: uint8 [height, width, 3] RGB."""
    return np.full((*size, 3), color, np.uint8)


def write_picture(path: Path, color: Sequence[int] = RED, size: tuple[int, int] = (60, 50)) -> Path:
    """Write a picture of one colour in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture(color, size)[..., ::-1])[1].tobytes())
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 80 photos, more than two batches: photos/{female,male}/NN.jpg, two of each labelled wrong."""
    for index in range(40):
        wrong = index < 2
        write_picture(tmp_path / "photos" / "female" / f"{index:02}.jpg", BLUE if wrong else RED)
        write_picture(tmp_path / "photos" / "male" / f"{index:02}.png", RED if wrong else BLUE)
    return tmp_path / "photos"


@pytest.fixture
def unprivileged(red_or_blue: Path) -> Iterator[Path]:
    """A folder of this process's while it is no more than a plain user: root would get past every permission."""
    folder = Path(tempfile.mkdtemp())
    Path(shutil.copy(red_or_blue, folder / "model.onnx")).chmod(0o644)
    root = os.geteuid() == 0
    if root:
        nobody = 65534
        os.chown(folder, nobody, nobody)
        os.seteuid(nobody)
    yield folder
    if root:
        os.seteuid(0)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def object_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ObjectServer]:
    """A server of photos on loopback, which all that this process asks of S3, Google and Azure goes to."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith(("AWS_", "AZURE_", "GOOGLE_", "FSSPEC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(ObjectServer()) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        # fsspec reads its variables once.
        monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        yield server


@pytest.fixture(scope="session")
def cli() -> Callable[..., Result]:
    """Run a command line in this process; the exception of a crash is raised, not swallowed."""

    def invoke(*arguments: Any) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def command() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command line in a process of its own."""
    started = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        line = [sys.executable, "-c", "from batchgender.cli import main; main()", *map(str, arguments)]
        started.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options))
        return started[-1]

    yield start
    for process in started:
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def one_line_error(result: Result) -> str:
    """The message of a run that failed as a user should see it: exit 1, one line, no traceback."""
    assert result.exit_code == 1, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1 and "Traceback" not in result.output
    assert result.stderr.splitlines()[-1] == lines[0]
    return lines[0]
