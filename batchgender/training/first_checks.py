"""What a training needs at its end, looked at before its first epoch: photos of each split, and room for its files."""

import shutil
from pathlib import Path

from torch import nn

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.decode import decode
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.splits import LabelledSource
from batchgender.training.recipe import Recipe

# Photos of a split, spread over it, that are tried first.
_TRIED = 50
# Numbers that an optimizer keeps for each weight.
_OPTIMIZER_NUMBERS = {"sgd": 1}
_ADAMS_NUMBERS = 2


def check_splits(source: LabelledSource) -> None:
    """Raise UserError where a split has no photo, or none that can be read."""
    for name, photos in (("train", source.train), ("val", source.val), ("test", source.test)):
        if not len(photos):
            raise UserError(f"{source.name}: its {name} split has no photo; add photos of each class")
        _check_readable(photos, name, source.name)


def _check_readable(photos: LabelledPhotos, split: str, source: str) -> None:
    reason = ""
    for index in (*photos.spread(_TRIED), *range(len(photos))):
        try:
            decode(photos.read(index))
            return
        except UnreadablePhoto as error:
            reason = reason or f"{photos.names[index]}: {error}"
    raise UserError(f"{source}: none of the {len(photos):,} photos of its {split} split can be read ({reason})")


def check_space(out: Path, files: tuple[str, str], network: nn.Module, recipe: Recipe) -> None:
    """Raise UserError where the disk of the folder `out` has no room for its checkpoints, `files`: best and last.

    The best one holds the weights, the last one what a resumed run needs, too; each is written beside the one before.
    """
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    kept = _OPTIMIZER_NUMBERS.get(recipe.optimizer, _ADAMS_NUMBERS) + bool(recipe.ema)
    best, last = weights, weights * (1 + kept)
    there = sum(file.stat().st_size for name in files if (file := out / name).exists())
    needed, free = best + 2 * last - there, shutil.disk_usage(out).free
    if needed > free:
        raise UserError(
            f"{out}: the checkpoints need {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free on its disk;"
            " make room, or choose another --out"
        )
