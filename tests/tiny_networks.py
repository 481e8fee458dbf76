"""Two tiny networks with all that an export meets, and photos that tell whether they still answer.

Photos differ widely in brightness, which says nothing, and a little in tint, which is the class.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from batchgender.io import silent
from batchgender.training import checkpoint as checkpoints
from batchgender.training.checkpoint import Checkpoint, RunState
from batchgender.training.data.batches import Batches
from batchgender.training.data.open_source import open_source
from batchgender.training.networks import registry
from batchgender.training.networks.deployed import Deployed
from batchgender.training.recipe import Recipe

CLASSES = ["Female", "Male"]
SIZE = 32


def tiny(classes: int = 2) -> nn.Module:
    """Convolutions and linear layers with batch normalisation, as in AlexNet's kind; 200 thousand weights."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=4, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(512, 256, bias=False),
        nn.BatchNorm1d(256),
        nn.ReLU(inplace=True),
        nn.Linear(256, 256),
        nn.ReLU(inplace=True),
        nn.Linear(256, classes),
    )


def fragile(classes: int = 2) -> nn.Module:
    """The tint beside a brightness a thousand times as large: more than rank 1, or a tensor of 8 bits, can hold."""
    mix, spread, head = nn.Conv2d(3, 2, 1, bias=False), nn.Linear(2, 8), nn.Linear(8, classes)
    with torch.no_grad():
        mix.weight.copy_(torch.tensor([[1000.0, 1000, 1000], [1, 0, -1]]).view(2, 3, 1, 1))
        spread.weight.copy_(torch.eye(2).repeat(4, 1))
        head.weight.copy_(torch.tensor([[0.0, 1], [0, -1]]).repeat(1, 4))
        for layer in (spread, head):
            layer.bias.zero_()
    return nn.Sequential(mix, nn.AdaptiveAvgPool2d(1), nn.Flatten(), spread, head)


NETWORKS = {"tiny": tiny, "fragile": fragile}


def write_tinted(folder: Path, count: int) -> Path:
    """Write `count` photos a class of `folder`/{train,val,test}: of any brightness, Female redder than Male."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name, sign in (("female", 1), ("male", -1)):
            (folder / split / name).mkdir(parents=True)
            for index in range(count if split == "train" else count // 2):
                color = rng.uniform(50, 200) + sign * np.array([6, 0, -6])
                image = (color + rng.normal(0, 2, (SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / split / name / f"{index:03}.png"), image[..., ::-1])
    return folder


def batches(source: Path, split: str = "train") -> list[np.ndarray]:
    """The photos of a split: uint8 [B, 32, 32, 3]."""
    photos = open_source(str(source), silent).split(split)
    return [images for images, _, _ in Batches(photos, SIZE, 32, silent)()]


def deployed(network: nn.Module, flip: bool = False) -> Deployed:
    """A network as a model file holds it, in evaluation mode."""
    return Deployed(network, SIZE, [0.5] * 3, [0.25] * 3, flip=flip).eval().requires_grad_(False)


def trained(source: Path) -> nn.Module:
    """`tiny`, trained until it tells the tints apart."""
    torch.manual_seed(0)
    network = tiny()
    photos = open_source(str(source), silent).train
    ((images, labels, _),) = Batches(photos, SIZE, len(photos), silent)()
    pixels: Tensor = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(pixels), torch.from_numpy(labels)).backward()
        optimizer.step()
    return network.eval()


def write_checkpoint(architecture: str, network: nn.Module, source: Path, folder: Path) -> Path:
    """Save a network as a run would; `register` makes its architecture known where it is loaded again."""
    recipe = Recipe(architecture=architecture, input_size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)
    folder.mkdir(parents=True, exist_ok=True)
    state = Checkpoint(network.state_dict(), CLASSES, recipe, str(source), RunState(epoch=1))
    checkpoints.save(state, folder / "best.pt")
    return folder / "best.pt"


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these architectures known by name, as our own are."""
    for name, make in NETWORKS.items():
        monkeypatch.setitem(registry.OURS, name, make)
