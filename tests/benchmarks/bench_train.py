"""What decoding and augmentation cost a training epoch: the trainer beside the bare passes, in turn.

    python tests/benchmarks/bench_train.py PHOTOS [--recipe strong] [--size 224] [--float32] [--rounds 5]

PHOTOS is a folder SPLIT/CLASS/* or CLASS/*. `bare` is forward and backward over one ready batch, without decoding,
augmentation, optimizer or average; `epoch` is all of it, as `train --recipe R` does it. The last lines compare
the augmentation of one photo on one core with the same steps in torchvision.transforms.v2.
"""

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms import v2

from batchgender.errors import UserError
from batchgender.photos.decode import decode
from batchgender.training.augmentation import augment
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.open_source import open_source
from batchgender.training.processes import Processes
from batchgender.training.recipe import find_recipe
from batchgender.training.trainer import Trainer

STRONG = find_recipe("strong")


def bare(trainer: Trainer, size: int, seconds: float) -> float:
    """Images a second of forward and backward over one ready batch."""
    batch = trainer.recipe.batch_size
    pixels = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (batch,))
    trainer.network.train()
    steps, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        with torch.autocast("cpu", torch.bfloat16, enabled=trainer.bfloat16):
            logits = trainer.network(pixels)
        F.cross_entropy(logits.float(), labels).backward()
        trainer.optimizer.zero_grad(set_to_none=True)
        steps += 1
    return steps * batch / passed


def augmentation(photos: LabelledPhotos, size: int) -> tuple[float, float]:
    """Milliseconds a photo of ours and of torchvision's transforms, each on one core, decoding left out."""
    torch.set_num_threads(1)
    images = [decode(photos.read(i)) for i in range(0, len(photos), max(1, len(photos) // 100))]
    tensors = [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images]
    color = v2.ColorJitter(STRONG.color, STRONG.color, STRONG.color, STRONG.color / 8)
    theirs = v2.Compose(
        [
            v2.RandomResizedCrop(size, (STRONG.crop[0] ** 2, 1), antialias=True),
            v2.RandomHorizontalFlip(STRONG.flip),
            v2.RandomAffine(STRONG.rotate, shear=STRONG.shear, interpolation=v2.InterpolationMode.BILINEAR),
            color,
            v2.RandomGrayscale(STRONG.grayscale),
            v2.RandomApply([v2.GaussianBlur(9)], STRONG.blur),
            v2.RandomApply([v2.JPEG((12, 80))], STRONG.compress),
            v2.RandomErasing(STRONG.erase),
        ]
    )
    started = time.perf_counter()
    for index, image in enumerate(images):
        augment(image, size, STRONG, np.random.default_rng(index))
    middle = time.perf_counter()
    for tensor in tensors:
        theirs(tensor)
    ended = time.perf_counter()
    return 1e3 * (middle - started) / len(images), 1e3 * (ended - middle) / len(images)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("--recipe", default="strong")
    parser.add_argument("--size", type=int, help="Of the training pictures.  [default: 224, or the recipe's]")
    parser.add_argument("--float32", action="store_true", help="Without bfloat16, as on most processors.")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    source = open_source(given.photos, print)
    photos, validation = source.train, source.val
    chosen = np.random.default_rng(0).permutation(len(photos))[:640].tolist()
    recipe = find_recipe(given.recipe)
    size = given.size or (224 if given.recipe == "strong" else recipe.input_size)
    recipe = replace(recipe, input_size=size, start_size=0, end_size=0, weights="", teacher=())
    few = validation.subset(range(0, len(validation), max(1, len(validation) // 32)))
    trainer = Trainer(recipe, photos.subset(chosen), few, given.photos, Processes(torch.device("cpu")), print)
    trainer.bfloat16 = trainer.bfloat16 and not given.float32
    bare(trainer, size, 2)
    precision = "bfloat16" if trainer.bfloat16 else "float32"
    pairs = []
    for number in range(1, given.rounds + 1):
        ready = bare(trainer, size, 5)
        pairs.append((ready, trainer.epoch(number, Path())["images_per_second"]))
    print(f"{trainer.recipe.architecture} at {size} pixels, {precision}, {given.rounds} pairs, medians")
    whole = len(photos) / statistics.median(e for _, e in pairs)
    print(f"an epoch of all {len(photos):,} training photos would take {whole:,.0f} s")
    print(f"bare passes  {statistics.median(b for b, _ in pairs):7.1f} images/s")
    print(f"epoch        {statistics.median(e for _, e in pairs):7.1f} images/s")
    ratios = sorted(b / e for b, e in pairs)
    print(f"an epoch costs {statistics.median(ratios):.2f} times the bare passes ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    ours, theirs = augmentation(photos, size)
    print(f"augmentation {ours:.2f} ms a photo of one core; the steps in torchvision.transforms.v2 {theirs:.2f} ms")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
