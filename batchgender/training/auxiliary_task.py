"""An auxiliary task: numbers known of the training photos, ages for example, that the network learns, too."""

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from batchgender.errors import UserError
from batchgender.io import Notify, is_number
from batchgender.photos.path_table import join_by_path, read_path_table
from batchgender.training.data.labelled_photos import LabelledPhotos

# Marks on a number's scale: as many answers as the head has to choose from.
_MARKS = 20
# A larger number counts as unknown: differences of such numbers are infinite.
_LARGEST = 1e300


class AuxiliaryTask(nn.Module):
    """A second head on the network's last hidden layer, for the time of the training (Caruana 1997, multitask).

    It predicts where on its scale each number lies. Features that tell ages apart help to tell classes apart, and a
    photo teaches more by both than by its class alone. Nothing of it is exported.
    """

    def __init__(self, file: str, photos: LabelledPhotos, network: nn.Module, notify: Notify) -> None:
        """Read the numbers of the photos; raises UserError where they are none, or no path is a photo's."""
        super().__init__()
        targets = _targets(file, photos, notify)
        self.file = file
        self.targets = [torch.from_numpy(column) for column in targets]
        digest = hashlib.sha256(b"".join(column.tobytes() for column in targets)).digest()
        self.fingerprint = torch.tensor(list(digest), dtype=torch.uint8)
        features = last_linear(network).in_features
        self.head = nn.Linear(features, sum(column.shape[1] for column in self.targets))

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs of it."""
        return {**self.head.state_dict(), "fingerprint": self.fingerprint}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`; raises UserError where the numbers are not those that it was learnt from."""
        if not torch.equal(state["fingerprint"], self.fingerprint):
            raise UserError(f"{self.file}: its numbers have changed since this training was begun; start a new one")
        self.head.load_state_dict({name: value for name, value in state.items() if name != "fingerprint"})

    def loss(self, answers: Tensor, indices: list[int], blend: Tensor | None) -> Tensor:
        """Mean cross entropy of a batch, by the head's answers [B, marks]; a photo without a number adds none.

        `indices` are those of its photos, row i of `blend` [B, B] their shares in the picture i, where they are mixed.
        """
        total = answers.new_zeros(())
        for column in self.targets:
            own, answers = answers.split([column.shape[1], answers.shape[1] - column.shape[1]], 1)
            shares = column[indices].to(own.device)
            total = total + F.cross_entropy(own, shares if blend is None else blend @ shares)
        return total


class WithAuxiliaryTask(nn.Module):
    """A network and its second head as one module: normalised pixels to logits [B, classes] and answers [B, marks].

    Without an auxiliary task there are no answers [0].
    """

    def __init__(self, network: nn.Module, auxiliary: AuxiliaryTask | None) -> None:
        super().__init__()
        self.network, self.auxiliary = network, auxiliary

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and answers, float32."""
        if not self.auxiliary:
            return self.network(pixels).float(), pixels.new_empty(0)
        logits, features = _logits_and_features(self.network, pixels)
        with torch.autocast(pixels.device.type, enabled=False):
            return logits.float(), self.auxiliary.head(features.float())


def last_linear(network: nn.Module) -> nn.Linear:
    """The network's last linear layer, which turns features into logits; raises UserError where there is none."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise UserError("this network ends in no linear layer; choose another --arch, or leave out --also-learn")
    return layers[-1]


def _logits_and_features(network: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Run a network: logits [B, classes], and the features [B, width] that its last linear layer made them from."""
    seen: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])

    hook = last_linear(network).register_forward_pre_hook(keep)
    try:
        logits: Tensor = network(pixels)
    finally:
        hook.remove()
    return logits, seen[0]


def _targets(file: str, photos: LabelledPhotos, notify: Notify) -> list[NDArray[np.float32]]:
    """For each column float32 [photos, marks]: a photo's number as shares of the two marks it lies between.

    The marks lie closer where photos are many; the row of a photo without a number is zero.
    """
    table = join_by_path(read_path_table(file, "--also-learn"), lambda: photos.names, notify)
    rows = [tuple(cell.replace(table.decimal, ".") for cell in table.of(name)) for name in photos.names]
    targets = []
    for name, cells in zip(table.columns, zip(*rows, strict=True), strict=True):
        try:
            values = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError as error:
            wrong = next(cell for cell in cells if cell and not is_number(cell))
            raise UserError(f"{file}: the column {name} holds {wrong!r}; --also-learn wants numbers") from error
        known = np.abs(values) < _LARGEST  # No NaN is.
        marks = np.unique(np.quantile(values[known], np.linspace(0, 1, _MARKS))) if known.any() else np.empty(0)
        if len(marks) < 2:
            raise UserError(f"{file}: the column {name} has no two different numbers; leave it out")
        shares = np.zeros((len(values), len(marks)), np.float32)
        for index in np.flatnonzero(known):
            above = int(np.clip(np.searchsorted(marks, values[index]), 1, len(marks) - 1))
            share = (values[index] - marks[above - 1]) / (marks[above] - marks[above - 1])
            shares[index, above - 1 : above + 1] = 1 - share, share
        targets.append(shares)
    return targets
