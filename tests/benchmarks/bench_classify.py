"""Compare `batchgender classify` with what a user would write instead, in turn, in one run.

    PYTHONPATH=tests python tests/benchmarks/bench_classify.py [FOLDER] [--runs 5] [--out RESULTS.md]

FOLDER holds one folder a class (by default drawn portraits of 200 pixels). The command's images/s are over its whole
wall time, start-up included; the others' are over their loop alone. All but the packaged model are AlexNet with random
weights: only the speed counts. The same is done for photos of 12 megapixels, made of the same ones.
"""

import argparse
import datetime
import importlib.metadata
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from drawn_faces import write_portraits

from batchgender.bench import processor
from batchgender.model.open_model import PACKAGED_MODEL
from batchgender.model.session import installed
from batchgender.photos.source import PhotoSource
from batchgender.threads import available_cores

HERE = Path(__file__).parent
SMALL, LARGE = 3000, 96
PACKAGES = ("onnxruntime", "opencv-python", "torch", "torchvision", "transformers", "timm", "pillow", "openvino")


@dataclass
class Contender:
    """One way to classify a folder: images/s, and the peak memory of those that are ours, in MiB."""

    name: str
    run: Callable[[Path], tuple[float, float]]
    rates: list[float] = field(default_factory=list)
    memory: float = 0.0


def write_random_model(path: Path) -> None:
    """Export AlexNet with random weights; in a process of its own, as its memory would count as its children's."""
    from batchgender.export.formats import onnx
    from batchgender.model.metadata import ModelInfo
    from batchgender.training.networks.deployed import Deployed
    from batchgender.training.networks.registry import build
    from batchgender.training.recipe import Recipe

    recipe = Recipe()
    module = Deployed(build("alexnet", 2), recipe.input_size, recipe.mean, recipe.std).eval()
    info = ModelInfo(["Female", "Male"], recipe.input_size, list(recipe.mean), list(recipe.std))
    onnx.write(module, info, path)


def repeated(files: Iterable[Path], count: int, folder: Path) -> Path:
    """A folder of `count` links to these files, in one folder a class."""
    for index, file in enumerate(itertools.islice(itertools.cycle(list(files)), count)):
        target = folder / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{index:05}{file.suffix}").symlink_to(file.resolve())
    return folder


def enlarged(files: Iterable[Path], count: int, folder: Path) -> Path:
    """A folder of `count` JPEGs of 4000 x 3000 pixels made of these, some linked several times."""
    made = []
    for file in itertools.islice(files, 12):
        image = cv2.resize(np.asarray(cv2.imread(str(file))), (4000, 3000), interpolation=cv2.INTER_CUBIC)
        path = folder / "made" / file.parent.name / f"{file.stem}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        # A camera's noise, without which a JPEG is small and soon decoded.
        noise = cv2.randn(image.astype("int16"), np.zeros(1), np.full(1, 6.0))
        cv2.imwrite(str(path), cv2.add(image, noise, dtype=cv2.CV_8U), [cv2.IMWRITE_JPEG_QUALITY, 92])
        made.append(path)
    return repeated(made, count, folder / "linked")


def classify(model: Path, provider: str = "cpu") -> Callable[[Path], tuple[float, float]]:
    """The command over a folder, in a process of its own."""

    def run(folder: Path) -> tuple[float, float]:
        count = sum(1 for _ in PhotoSource([str(folder)], print))
        with tempfile.TemporaryDirectory() as scratch:
            line = [sys.executable, "-m", "batchgender", "classify", str(folder), "--model", str(model)]
            line += ["--out", f"{scratch}/results.csv", "--provider", provider]
            started = time.perf_counter()
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
        if status:
            sys.exit(f"classify failed: {' '.join(line)}")
        return count / seconds, usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)

    return run


def script(name: str) -> Callable[[Path], tuple[float, float]]:
    """A baseline over a folder, in a process of its own."""

    def run(folder: Path) -> tuple[float, float]:
        done = subprocess.run([sys.executable, HERE / name, folder], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return float(done.stdout.splitlines()[-1]), 0.0

    return run


def compare(contenders: list[Contender], folder: Path, runs: int) -> list[str]:
    """Run all in turn, again and again; a table of medians, and of ratios to the first within each turn."""
    for one in contenders:
        one.rates, one.memory = [], 0.0
    for _ in range(runs):
        for one in contenders:
            rate, memory = one.run(folder)
            one.rates.append(rate)
            one.memory = max(one.memory, memory)
    lines = [
        f"| | images/s | times {contenders[0].name} | from, to | peak memory, MiB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for one in contenders:
        ratios = [own / base for own, base in zip(one.rates, contenders[0].rates, strict=True)]
        peak = f"{one.memory:.0f}" if one.memory else ""
        lines.append(
            f"| {one.name} | {statistics.median(one.rates):.1f} | {statistics.median(ratios):.2f} |"
            f" {min(ratios):.2f}, {max(ratios):.2f} | {peak} |"
        )
    return lines


def contenders(model: Path) -> list[Contender]:
    """The baselines that are installed, and ours."""
    found = [Contender("torchvision", script("baseline_torchvision.py"))]
    for package in ("transformers", "timm"):
        if _there(package):
            found.append(Contender(package, script(f"baseline_{package}.py")))
        else:
            print(f"{package} is not installed and left out: pip install 'batchgender[bench]'", file=sys.stderr)
    if "openvino" in installed():
        found.append(Contender("classify, AlexNet, provider openvino", classify(model, "openvino")))
    return [
        *found,
        Contender("classify, AlexNet float32", classify(model)),
        Contender("classify, packaged int8", classify(PACKAGED_MODEL)),
    ]


def main() -> None:
    """Compare, print, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(given.folder or f"{scratch}/faces/test")
        if not given.folder:
            write_portraits(Path(scratch) / "faces", {"test": 500})
        files = sorted(folder / photo.path for photo in PhotoSource([str(folder)], print))
        spread = files[:: max(1, len(files) // SMALL)]
        model = Path(scratch) / "random.onnx"
        writer = multiprocessing.get_context("spawn").Process(target=write_random_model, args=(model,))
        writer.start()
        writer.join()
        ways = contenders(model)
        small = repeated(spread, SMALL, Path(scratch) / "small")
        tables = [f"## {SMALL:,} photos as they are", "", *compare(ways, small, given.runs), ""]
        large = enlarged(spread[:: max(1, len(spread) // 12)], LARGE, Path(scratch) / "large")
        tables += [f"## {LARGE} JPEGs of 12 megapixels", "", *compare(ways, large, given.runs), ""]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES if _there(name))
    photos = "the photos of a folder" if given.folder else "drawn portraits"
    text = "\n".join(
        [
            "# classify beside what a user would write instead",
            "",
            f"`make bench` over {photos}, {given.runs} runs of each in turn, medians, on"
            f" {datetime.date.today():%Y-%m-%d}.",
            f"{processor()}, {available_cores()} cores; Python {sys.version.split()[0]}, {versions}.",
            "classify's images/s are over its whole wall time, start-up included; the others' over their loop alone.",
            "",
            *tables,
        ]
    )
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


def _there(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
