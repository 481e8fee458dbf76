"""`tools/pack_photos.py`: labelled photos made small, which a training takes as they are."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from pack_photos import pack_photos

from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.photos.decode import decode
from batchgender.training.data.open_source import open_source

TOOL = Path(__file__).parent.parent.parent / "tools" / "pack_photos.py"


def test_the_packed_photos_are_those_of_the_splits_made_small(portraits: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed.zip"
    count, quality = pack_photos(str(portraits), str(out), 48, 1, silent)
    before, after = open_source(str(portraits), silent), open_source(str(out), silent)
    assert count == 52 and quality == 95
    for split in ("train", "val", "test"):
        ours, packed = before.split(split), after.split(split)
        assert [Path(name).stem for name in ours.names] == [Path(name).stem for name in packed.names]
        assert (ours.labels == packed.labels).all() and ours.classes == packed.classes
        for index in range(0, len(ours), 7):
            image, small = decode(ours.read(index)), decode(packed.read(index))
            assert min(small.shape[:2]) == 48
            shrunk = cv2.resize(image, small.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(shrunk.astype(int) - small).mean() < 6


def test_the_zip_is_as_small_as_asked_or_one_line_says_that_it_can_t_be(portraits: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed.zip"
    line = [sys.executable, str(TOOL), str(portraits), str(out)]
    done = subprocess.run([*line, "--limit", "0.07"], capture_output=True, text=True)
    assert done.returncode == 0 and "52 photos" in done.stdout, done.stderr
    assert out.stat().st_size < 0.07 * 2**20
    assert len(zipfile.ZipFile(out).namelist()) == 52
    with pytest.raises(UserError, match="choose a --side below 96"):
        pack_photos(str(portraits), str(tmp_path / "none.zip"), 96, 0.01, silent)
    assert not (tmp_path / "none.zip").exists()
    refused = subprocess.run([*line[:2], str(tmp_path / "no"), str(out)], capture_output=True, text=True)
    assert refused.returncode == 1 and len(refused.stderr.strip().splitlines()) == 1


def test_what_webp_can_t_hold_is_left_out_and_any_name_is_packed(portraits: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(portraits, photos)
    cv2.imwrite(str(photos / "train" / "male" / "wide.png"), np.zeros((20, 20_000, 3), np.uint8))
    odd = os.fsencode(photos / "train" / "male") + b"/caf\xe9.jpg"
    shutil.copy(portraits / "train" / "male" / "0000.jpg", os.fsdecode(odd))
    lines: list[str] = []
    assert pack_photos(str(photos), str(tmp_path / "packed.zip"), 48, 1, lines.append)[0] == 53
    assert any("wide.png: too long or too wide for WebP; left out" in line for line in lines)
    assert any("caf" in name for name in zipfile.ZipFile(tmp_path / "packed.zip").namelist())
