"""Compare `batchgender classify` with what a user would write instead, in turn, in one run.

    python bench_classify.py [FOLDER] [RUNS]

FOLDER holds one folder a class (by default the drawn portraits of `make demo`). The command's images/s are over its
whole wall time, start-up included; the baseline's are over its loop alone.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batchgender.photos import PhotoFinder
from batchgender.portraits import write_portraits

BASELINE = Path(__file__).with_name("baseline_torchvision.py")


def write_random_model(path: Path) -> None:
    """Export AlexNet with random weights; in a process of its own, as its memory would count as its children's."""
    from batchgender.export.formats import write_onnx
    from batchgender.model_file import ModelInfo
    from batchgender.training.models import Deployed, build
    from batchgender.training.recipe import Recipe

    recipe = Recipe()
    module = Deployed(build("alexnet", 2), recipe.input_size, recipe.mean, recipe.std).eval()
    write_onnx(module, ModelInfo(["Female", "Male"], recipe.input_size, list(recipe.mean), list(recipe.std)), path)


def classify(folder: str, model: Path, out: Path) -> tuple[float, float]:
    """Seconds of wall time and peak memory in MiB of one run."""
    line = [sys.executable, "-m", "batchgender.cli", "classify", folder, "--model", str(model), "--out", str(out)]
    started = time.perf_counter()
    process = subprocess.Popen([*line, "--overwrite"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"classify failed: {' '.join(line)}")
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return seconds, usage.ru_maxrss / unit


def main() -> None:
    """Run both in turn and print the medians and their ratio."""
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as scratch:
        folder = sys.argv[1] if len(sys.argv) > 1 else f"{scratch}/faces/test"
        if len(sys.argv) < 2:
            write_portraits(Path(scratch) / "faces", {"test": 500})
        count = sum(1 for _ in PhotoFinder([folder], print))
        model = Path(scratch) / "random.onnx"
        writer = multiprocessing.get_context("spawn").Process(target=write_random_model, args=(model,))
        writer.start()
        writer.join()
        ours, theirs, memory = [], [], 0.0
        for _ in range(runs):
            done = subprocess.run([sys.executable, BASELINE, folder], capture_output=True, text=True, check=True)
            theirs.append(float(done.stdout))
            seconds, peak = classify(folder, model, Path(scratch) / "results.csv")
            ours.append(count / seconds)
            memory = max(memory, peak)
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    print(f"{count:,} photos, {runs} runs of each in turn, medians")
    print(f"torchvision loop  {statistics.median(theirs):7.1f} images/s")
    print(f"classify          {statistics.median(ours):7.1f} images/s   peak memory {memory:.0f} MiB")
    print(f"ratio             {statistics.median(ratios):7.2f}   from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
