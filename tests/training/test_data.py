"""Sources of labelled photos, each in the format that `datasets` or a user writes it."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from click.testing import Result
from conftest import one_line_error, write_picture
from photo_files import PORTRAIT, encoded
from PIL import Image

from batchgender.errors import UserError
from batchgender.training.data.batches import Batches
from batchgender.training.data.labelled_photos import LabelledPhotos, check_trainable
from batchgender.training.data.open_source import open_source


def load(source: Path | str, split: str, log: list[str] | None = None) -> LabelledPhotos:
    return open_source(str(source), ([] if log is None else log).append).split(split)


def as_dataset(folder: Path, names: list[str]) -> datasets.Dataset:
    """The photos of folder/{female,male} as a Hub dataset holds them, with class names in this order."""
    files = sorted(folder.rglob("*.jpg"))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    labels = [[n.lower() for n in names].index(file.parent.name) for file in files]
    rows = {"image": [{"bytes": f.read_bytes(), "path": f.name} for f in files], "label": labels}
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.fixture(params=["saved", "saved, classes the other way", "parquet", "folder"])
def source(request: pytest.FixtureRequest, portraits: Path, tmp_path: Path) -> Path:
    if request.param == "folder":
        return portraits
    names = ["male", "female"] if "other way" in request.param else ["Female", "Male"]
    splits = {split: as_dataset(portraits / split, names) for split in ("train", "test")}
    if request.param == "parquet":
        (tmp_path / "data").mkdir()
        for split, rows in splits.items():
            rows.to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    else:
        datasets.DatasetDict(splits).save_to_disk(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN", "lost+found", ".cache"])
def test_folders_that_systems_make_are_no_class_and_hold_no_photo(
    source: Path, portraits: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    before = load(source, "all")
    copy = Path(shutil.copytree(source, tmp_path_factory.mktemp("copy") / "source"))
    for folder in (copy, *(each for each in copy.rglob("*") if each.is_dir())):
        shutil.copytree(portraits / "test" / "male", folder / name)
        as_dataset(portraits / "test", ["female", "male"]).to_parquet(folder / name / "train.parquet")
    # What macOS leaves beside each file on a disk that is not its own.
    (copy / "._train.parquet").write_bytes(b"no parquet")
    after = load(copy, "all")
    assert (after.classes, after.counts(), len(after)) == (before.classes, before.counts(), len(before))


def test_every_kind_of_source_gives_the_same_photos_and_labels(source: Path, portraits: Path) -> None:
    test = load(source, "test")
    assert test.classes == ["Female", "Male"] and test.counts() == {"Female": 6, "Male": 6}
    found = {(test.read(i), test.classes[test.labels[i]]) for i in range(len(test))}
    files = (portraits / "test").rglob("*.jpg")
    assert found == {(file.read_bytes(), file.parent.name.capitalize()) for file in files}
    train, validation = load(source, "train"), load(source, "val")
    assert len(train) + len(validation) == 40 and min(validation.counts().values()) >= 1
    assert len(load(source, "all")) == 52


def test_heic_and_jpeg_xl_are_trained_on(tmp_path: Path) -> None:
    for label, picture in (("female", PORTRAIT), ("male", PORTRAIT[:, ::-1])):
        (tmp_path / label).mkdir()
        for ending, format in ((".heic", "HEIF"), (".jxl", "JXL"), (".png", "PNG")):
            turned = Image.fromarray(np.ascontiguousarray(picture))
            (tmp_path / label / f"a{ending}").write_bytes(encoded(format, turned, quality=95))
    batches = Batches(load(tmp_path, "all"), 64, 6, print)
    ((images, labels, _),) = batches()
    assert sorted(labels) == [0, 0, 0, 1, 1, 1] and not batches.unreadable
    for index in (0, 1):
        heic, jxl, png = images[labels == index].astype(int)
        assert max(np.abs(heic - png).mean(), np.abs(jxl - png).mean()) < 2


def test_a_folder_without_splits_is_split_by_a_hash_that_stays(tmp_path: Path, portraits: Path) -> None:
    for label in ("female", "male"):
        shutil.copytree(portraits / "train" / label, tmp_path / label)
    splits = {split: set(load(tmp_path, split).names) for split in ("train", "val", "test")}
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == 40
    assert all(splits.values())
    for index in range(30):
        shutil.copy(portraits / "test" / "male" / "0000.jpg", tmp_path / "male" / f"new{index}.jpg")
    for split, names in splits.items():
        now = {name for name in load(tmp_path, split).names if "new" not in name}
        # A split too small for its share borrowed a photo; beyond that nothing moves.
        assert len(now ^ names) <= 2


def test_parquet_that_others_wrote_with_plain_bytes_and_numbers_is_read(tmp_path: Path, portraits: Path) -> None:
    import pandas as pd

    files = sorted((portraits / "test").rglob("*.jpg"))
    cells = [{"bytes": file.read_bytes(), "path": None} for file in files]
    labels = [int(file.parent.name == "male") for file in files]
    pd.DataFrame({"image": cells, "gender": labels}).to_parquet(tmp_path / "train.parquet")
    log: list[str] = []
    photos = load(tmp_path, "all", log)
    assert photos.classes == ["Female", "Male"] and photos.counts() == {"Female": 6, "Male": 6}
    assert any("taking 0 for Female and 1 for Male" in line for line in log)


def test_a_corrupt_photo_is_said_once_and_left_out(tmp_path: Path) -> None:
    for label in ("female", "male"):
        for index in range(5):
            write_picture(tmp_path / "train" / label / f"{index}.png")
    (tmp_path / "train" / "male" / "2.png").write_bytes(b"no picture")
    log: list[str] = []
    photos = load(tmp_path, "all")
    batches = Batches(photos, 32, 4, log.append)
    for _ in range(2):
        assert sum(len(labels) for _, labels, _ in batches(range(10))) == 9
    (line,) = log
    assert "male/2.png" in line and "left out" in line


def test_batches_keep_their_order_and_shapes(portraits: Path) -> None:
    photos = load(portraits, "test")
    order = list(np.random.default_rng(0).permutation(12))
    got = list(Batches(photos, 64, 5, print)(order))
    assert [images.shape for images, _, _ in got] == [(5, 64, 64, 3), (5, 64, 64, 3), (2, 64, 64, 3)]
    assert [i for _, _, indices in got for i in indices] == order
    assert all((photos.labels[indices] == labels).all() for _, labels, indices in got)


def test_one_class_or_an_empty_one_can_not_be_trained_on(tmp_path: Path, cli: Callable[..., Any]) -> None:
    write_picture(tmp_path / "train" / "female" / "a.jpg")
    write_picture(tmp_path / "train" / "female" / "b.jpg")
    message = one_line_error(cli("train", "--data", tmp_path, "--out", tmp_path / "run"))
    assert "has only one class (Female)" in message
    (tmp_path / "train" / "male").mkdir()
    message = one_line_error(cli("train", "--data", tmp_path, "--out", tmp_path / "run"))
    assert "class Male has no photo in the training split" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "no folders in it"),
        (lambda root: (root / "train").mkdir(), "no class folders in it"),
        (lambda root: (root / "dataset_dict.json").write_text("{"), "can't load this saved dataset"),
        (lambda root: (root / "a.parquet").write_text("no parquet"), "can't load these parquet files"),
    ],
)
def test_a_source_of_the_wrong_form_is_named(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        load(tmp_path, "train")


def copied(portraits: Path, folder: Path, split: str, name: str, photos: int = 6) -> None:
    """Some portraits of a split as SPLIT/CLASS/* under another name of the split."""
    for kind in ("female", "male"):
        (folder / name / kind).mkdir(parents=True)
        for file in sorted((portraits / split / kind).iterdir())[:photos]:
            shutil.copy(file, folder / name / kind / f"{name}-{file.name}")


@pytest.mark.parametrize("names", [("train", "training"), ("Train", "train"), ("train", "val", "Validation")])
def test_folders_of_one_split_are_taken_together_and_said(
    portraits: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        copied(portraits, tmp_path, "train", name)
    log: list[str] = []
    assert len(load(tmp_path, "all", log)) == 12 * len(names)
    assert [line for line in log if "taken together as its" in line]


def test_splits_of_a_dataset_that_are_one_are_taken_together(portraits: Path, tmp_path: Path) -> None:
    whole = as_dataset(portraits / "train", ["female", "male"])
    datasets.DatasetDict({"train": whole, "valid": whole, "validation": whole}).save_to_disk(tmp_path / "saved")
    log: list[str] = []
    assert len(load(tmp_path / "saved", "val", log)) == 2 * len(whole)
    assert any("valid, validation are taken together as val" in line for line in log)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_photos_of_a_split_that_lie_in_no_class_folder_are_refused_with_the_folder(
    portraits: Path, tmp_path: Path, split: str
) -> None:
    for name in {"train", "test"} - {split}:
        copied(portraits, tmp_path, "train", name)
    write_picture(tmp_path / split / "a.jpg")
    with pytest.raises(UserError, match=f"{split}: photos lie in it, and no class folders"):
        load(tmp_path, "train")


@pytest.mark.parametrize("inside", ["", "female", "@eaDir"])
def test_a_split_without_photos_is_left_out_said_and_made_from_the_others(
    portraits: Path, tmp_path: Path, inside: str
) -> None:
    copied(portraits, tmp_path, "train", "train", 10)
    (tmp_path / "test" / inside).mkdir(parents=True)
    log: list[str] = []
    source = open_source(str(tmp_path), log.append)
    assert len(source.test) and len(source.val) and len(source.train) + len(source.val) + len(source.test) == 20
    assert any("its test split has no labelled photo, and is left out" in line for line in log)


def test_photos_beside_the_class_folders_and_folders_beside_the_splits_are_said(
    portraits: Path, tmp_path: Path
) -> None:
    copied(portraits, tmp_path, "train", "train")
    write_picture(tmp_path / "train" / "loose.jpg")
    (tmp_path / "more").mkdir()
    log: list[str] = []
    assert len(load(tmp_path, "all", log)) == 12
    assert any("left out, for they are no split: more" in line for line in log)
    assert any("photos beside the class folders are left out: 1" in line for line in log)


def test_what_systems_leave_is_no_class(portraits: Path, tmp_path: Path) -> None:
    copied(portraits, tmp_path, "train", "photos")
    for name in ("@eaDir", "$RECYCLE.BIN"):
        write_picture(tmp_path / "photos" / name / "a.jpg")
        write_picture(tmp_path / "photos" / "female" / name / "b.jpg")
    photos = load(tmp_path / "photos", "all")
    assert photos.classes == ["Female", "Male"] and len(photos) == 12


def test_a_name_that_is_no_folder_and_no_dataset_id_is_said_to_be_neither() -> None:
    with pytest.raises(UserError, match="no such folder, and no dataset id either"):
        load("./nowhere/at/all", "train")


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "test" / "female" / "a.jpg")
    with pytest.raises(UserError, match="has no train split, only test"):
        load(tmp_path, "train")


def test_without_the_hub_one_line_names_the_offline_ways(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real loader in offline mode: what it meets without a network, at once instead of after its retries.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    result: Result = cli("train", "--out", tmp_path / "run")
    message = one_line_error(result)
    assert "myvision/gender-classification: can't load it from the Hugging Face Hub" in message
    assert "a folder SPLIT/CLASS/* or CLASS/*" in message
    assert not (tmp_path / "run").exists()


def test_images_kept_in_another_mode_are_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (30, 30), 99).save(stream, "PNG")
    features = datasets.Features({"img": datasets.Image(), "sex": datasets.Value("string")})
    rows = {"img": [{"bytes": stream.getvalue(), "path": None}] * 2, "sex": ["man", "woman"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path)
    photos = load(tmp_path, "all")
    ((images, labels, _),) = Batches(photos, 30, 2, print)([0, 1])
    assert (images == 99).all() and labels.tolist() == [1, 0]


def test_check_trainable_takes_two_classes(portraits: Path) -> None:
    check_trainable(load(portraits, "train"), "portraits")
