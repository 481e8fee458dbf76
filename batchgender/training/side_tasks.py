"""Learning more of a photo than its class: the columns of a groups file, by outputs that are dropped in the end.

What tells ages apart is of use for what tells the classes apart, and every photo then teaches more (Caruana 1997,
"Multitask Learning", Machine Learning 28).
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.group_file import joined, read_groups
from batchgender.training.data import LabelledPhotos, Log

# A column of more is no grouping: dates, names of files.
_MOST_GROUPS = 1000
_NONE = -100


class SideTasks:
    """The columns' groups as targets int64 [photos, columns], -100 where a photo has none.

    `sizes` is the number of groups of each column, `outputs` that of all together.
    """

    def __init__(self, targets: NDArray[np.int64], sizes: list[int]) -> None:
        self.targets, self.sizes, self.outputs = torch.from_numpy(targets), sizes, sum(sizes)

    def loss(self, logits: Tensor, indices: list[int]) -> Tensor:
        """Cross entropy, summed over columns, of logits [B, outputs] for the photos at `indices`: a mean."""
        targets = self.targets[indices].to(logits.device)
        total = logits.new_zeros(())
        for column, part in enumerate(logits.split(self.sizes, 1)):
            target = targets[:, column]
            known = (target != _NONE).sum().clamp(min=1)
            total = total + F.cross_entropy(part, target, ignore_index=_NONE, reduction="sum") / known
        return total


def side_tasks(file: str, photos: LabelledPhotos, log: Log) -> SideTasks:
    """The columns of a groups file for these photos; says which, and which teach nothing.

    Raises UserError where the file is no groups file, fits no photo, or has no column that teaches anything.
    """
    table = joined(read_groups(file), lambda: photos.names, log)
    nothing = ("",) * len(table.columns)
    rows = [table.rows.get(name, nothing) for name in photos.names]
    targets, sizes, said = [], [], []
    for column, cells in zip(table.columns, zip(*rows, strict=True), strict=True):
        groups = sorted(set(cells) - {""})
        if len(groups) > _MOST_GROUPS:
            raise UserError(f"{file}: column {column} has {len(groups):,} groups; leave it out, or make bands of it")
        if len(groups) < 2:
            log(f"{file}: column {column} is the same for all photos: nothing to learn from it")
            continue
        number = {"": _NONE} | {name: index for index, name in enumerate(groups)}
        targets.append([number[cell] for cell in cells])
        sizes.append(len(groups))
        said.append(f"{column} ({len(groups)})")
    if not sizes:
        raise UserError(f"{file}: no column tells photos apart; leave --groups out")
    log(f"learnt beside the classes, from {file}: {', '.join(said)}")
    return SideTasks(np.array(targets, np.int64).T.copy(), sizes)


def first_outputs(state: dict[str, Tensor], network: nn.Module, count: int) -> dict[str, Tensor]:
    """The state of a network as it were built with its first `count` outputs alone."""
    last = [name for name, layer in network.named_modules() if list(layer.parameters(recurse=False))][-1]
    return {name: value[:count].clone() if name.startswith(f"{last}.") else value for name, value in state.items()}


def all_outputs(first: dict[str, Tensor], whole: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `first_outputs` left, with the other outputs of another state of the same network."""
    return {
        name: value if value.shape == whole[name].shape else torch.cat([value, whole[name][len(value) :]])
        for name, value in first.items()
    }
