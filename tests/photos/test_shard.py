"""Shards of sources: disjoint, complete, the same on every machine."""

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from archive_files import pack
from conftest import write_picture

from batchgender.photos.places.named import NamedPhotos
from batchgender.photos.places.path_list import open_path_list
from batchgender.photos.shard import Shard, ShardWalk, positions
from batchgender.photos.source import PhotoSource

OF = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "all"
    for index in range(30):
        write_picture(folder / "ab"[index % 2] / f"{index}.png", (index, 0, 0), (8, 8))
    (folder / "notes.txt").write_text("no photo")
    return folder


def sources(folder: Path, kind: str) -> PhotoSource:
    """The same photos, in the place of this kind."""
    files = sorted(folder.rglob("*.png"), reverse=True)
    if kind == "folder":
        return PhotoSource([str(folder)])
    if kind == "folders and files":
        return PhotoSource([str(folder / "a"), *map(str, sorted((folder / "b").iterdir()))])
    if kind == "list":
        (folder.parent / "list.txt").write_text("\n".join(map(str, files)))
        return PhotoSource([], opened=[open_path_list(str(folder.parent / "list.txt"), print)])
    if kind == "named":
        named = [(str(file.relative_to(folder)), file.read_bytes()) for file in files]
        return PhotoSource([], opened=[NamedPhotos(named, "named", "named")])
    (folder / "notes.txt").unlink(missing_ok=True)
    return PhotoSource([str(pack(folder, folder.parent / f"photos{kind}"))])


KINDS = ["folder", "folders and files", "list", "named", ".zip", ".tar", ".tar.gz", ".parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_photo_is_in_one_shard_whatever_it_comes_from(kind: str, folder: Path) -> None:
    photos = [photo.path for photo in sources(folder, kind)]
    assert len(photos) == 30
    places: dict[int, str] = {}
    digests = set()
    for number in range(1, OF + 1):
        source = sources(folder, kind)
        source.take_shard(Shard(number, OF))
        # What is looked at before a run is the same for all shards.
        assert source.count_up_to(20) == 20
        assert [photo.path for photo in source.first(4)] == photos[:4]
        taken = [photo.path for photo in source]
        walk = source.shard_walk
        assert walk and walk.photos == 30
        digests.add(walk.digest)
        at = list(positions(bytes(walk.before)))
        places |= dict(zip(at, taken, strict=True))
        assert [photo.path for photo in source.again()] == taken == [photo.path for photo in source]
        assert abs(source.total() - len(taken)) <= (6 if source.sequential else 0)
    assert [places[at] for at in range(30)] == photos and len(digests) == 1


@pytest.mark.skipif(not shutil.which("b2sum"), reason="no b2sum on this machine")
def test_a_shard_is_what_other_programs_compute_of_the_path() -> None:
    for path in ("a.jpg", "female/anna.jpg", "s3://bucket/x y.png", "caf\\xe9.jpg", "emoji 😀.jpg"):
        ran = subprocess.run(["b2sum", "--length", "64"], input=path.encode(), capture_output=True, check=True)
        number = int(ran.stdout.split()[0], 16) % 16 + 1
        assert [each for each in range(1, 17) if Shard(each, 16).holds(path)] == [number]


def test_a_video_is_in_one_shard_with_all_its_frames_and_only_there_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        film = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*"mp4v"), 5, (64, 64))
        for _ in range(10):
            film.write(np.zeros((64, 64, 3), np.uint8))
        film.release()
    write_picture(tmp_path / "still.png")
    found: dict[str, int] = {}
    opened: list[str] = []
    capture = cv2.VideoCapture

    def noted(file: str) -> cv2.VideoCapture:
        opened.append(Path(file).name)
        return capture(file)

    monkeypatch.setattr(cv2, "VideoCapture", noted)
    for number in range(1, 4):
        source = PhotoSource([str(tmp_path)], fps=2)
        source.take_shard(Shard(number, 3))
        taken = [photo.path for photo in source]
        assert source.shard_walk and source.shard_walk.photos == 5
        assert len(list(positions(bytes(source.shard_walk.before)))) == len(set(taken))
        assert not set(taken) & set(found)
        found |= {path: taken.count(path) for path in taken}
    assert found == {"a.mp4": 4, "b.mp4": 4, "c.mp4": 4, "d.mp4": 4, "still.png": 1}
    assert sorted(opened) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


def test_places_far_apart_come_back() -> None:
    shard = Shard(1, 1000)
    walk = ShardWalk(shard)
    paths = [f"{index}.jpg" for index in range(60_000)]
    expected = [at for at, path in enumerate(paths) if walk.takes(path)]
    assert list(positions(bytes(walk.before))) == expected and 20 < len(expected) < 120
    assert max(np.diff(expected)) > 2 * 128
