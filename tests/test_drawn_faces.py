import subprocess
import sys
from pathlib import Path

import drawn_faces
from drawn_faces import write_portraits

from batchgender.photos.decode import decode


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.jpg")}


def test_the_same_seed_draws_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_portraits(tmp_path / name, {"train": 3}, seed)
    first, again, other = (files_of(tmp_path / name) for name in "abc")
    assert first == again and first.keys() == other.keys()
    assert not set(first.values()) & set(other.values())
    assert len(set(first.values())) == 6
    assert all(decode(data).shape == (224, 224, 3) for data in first.values())


def test_a_folder_that_can_not_be_made_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = [sys.executable, drawn_faces.__file__, str(tmp_path / "file")]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 1 and "can't write the drawn portraits" in done.stderr
    assert "Traceback" not in done.stderr
