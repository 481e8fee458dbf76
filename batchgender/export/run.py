"""One run of `export`: write each format, check it against PyTorch, give it its name."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.export.formats import FORMATS
from batchgender.export.load import open_any
from batchgender.export.verify import largest_difference, verify_photos
from batchgender.training import checkpoint as checkpoints
from batchgender.training.data import Log
from batchgender.training.evaluate import predictor

NAME = "batchgender"


def export(checkpoint_file: str, formats: Sequence[str], out: str, data: str | None, log: Log) -> list[Path]:
    """Export a checkpoint to `out`, a folder, or a file where there is one format; return what was written.

    Each file is checked against PyTorch on the test photos of `data` (by default of the training source, where
    it is a folder here; else on drawn portraits). Raises UserError where a file can't be written, or lies
    farther from PyTorch than its format may: that file is not kept.
    """
    targets = _targets(formats, out)
    checkpoint = checkpoints.load(checkpoint_file)
    module, info = checkpoint.deployed(), checkpoint.info()
    # A Hub id is not asked again: an export must work without a network.
    fallback = checkpoint.source if Path(checkpoint.source).exists() else None
    photos = verify_photos(data, fallback)
    for name, path in targets.items():
        form = FORMATS[name]
        part = path.with_name(f"{path.stem}.part{form.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                form.write(module, info, part)
            predict, _ = open_any(str(part))
            difference = largest_difference(predictor(module), predict, photos.images)
            if not difference <= form.tolerance:
                raise UserError(
                    f"{path}: differs from PyTorch by {difference:.1e} in probability, more than {form.tolerance:.0e};"
                    " not kept"
                )
            os.replace(part, path)
        except OSError as error:
            raise UserError(f"{path}: can't write ({os_reason(error)})") from None
        finally:
            part.unlink(missing_ok=True)
        log(
            f"{path}  {path.stat().st_size / 1e6:.0f} MB  largest difference from PyTorch {difference:.1e}"
            f" over {len(photos.images)} {photos.source}"
        )
    return list(targets.values())


def _targets(formats: Sequence[str], out: str) -> dict[str, Path]:
    names = list(dict.fromkeys(formats))
    path = Path(out)
    if path.suffix not in {form.suffix for form in FORMATS.values()}:
        if path.exists() and not path.is_dir():
            raise UserError(f"{out}: is a file; give a folder, or a name that ends as the format does")
        return {name: path / f"{NAME}{FORMATS[name].suffix}" for name in names}
    if len(names) > 1 or path.suffix != FORMATS[names[0]].suffix:
        raise UserError(f"{out}: name a folder for {', '.join(names)}")
    return {names[0]: path}
