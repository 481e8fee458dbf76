"""The lines of docs/use-another-model.md, on files of the same shapes: each answers as its maker's own code would."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from public_models import PUBLIC_MODELS, PublicModel

from batchgender.photos.decode import decode
from batchgender.photos.labels import DEFAULT_NAMES
from batchgender.photos.resize import resize

Cli = Callable[..., Any]
PAGE = Path(__file__).parent.parent.parent / "docs" / "use-another-model.md"
LINES = re.findall(r"^batchgender (classify .*)", PAGE.read_text(encoding="utf-8"), re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of many sizes and colours: photos/NN.png."""
    folder = tmp_path_factory.mktemp("public")
    rng = np.random.default_rng(7)
    (folder / "photos").mkdir()
    for index in range(40):
        tint, coarse = rng.integers(0, 256, 3), rng.integers(0, 256, (5, 4, 3))
        sides = tuple(int(side) for side in rng.integers(40, 300, 2))
        pixels = cv2.resize(((coarse + tint) / 2).astype(np.uint8), sides, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "photos" / f"{index:02}.png"), pixels)
    return folder


@pytest.mark.parametrize("model", PUBLIC_MODELS, ids=lambda model: model.file)
def test_the_line_of_a_public_model_answers_as_its_maker_does(
    cli: Cli, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: PublicModel
) -> None:
    monkeypatch.chdir(folder)
    model.write(folder)
    (line,) = (each for each in LINES if f"--model {model.file} " in each)
    result = cli(*shlex.split(line.replace("results.csv", str(tmp_path / "r.csv"))))
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    photos = [resize(decode((folder / "photos" / path).read_bytes()), model.size) for path in table.path]
    expected = model.answers(photos)
    columns = [f"p_{DEFAULT_NAMES.canonical_name(name).lower()}" for name in model.classes]
    assert np.abs(table[columns].to_numpy() - expected).max() < 1e-4
    # Answers that are all alike, or the same in another order of colours, would show nothing.
    swapped = model.answers([photo[..., ::-1] for photo in photos])
    assert expected[:, 0].std() > 0.05 and np.abs(swapped - expected).max() > 0.05


def test_every_line_names_a_model_that_is_tried() -> None:
    assert len(LINES) == len(PUBLIC_MODELS)
