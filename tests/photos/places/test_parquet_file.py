"""Parquet files with a column of images as places of photos."""

import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import write_picture

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.photo import Photo
from batchgender.photos.source import PhotoSource

JPEG = b"\xff\xd8\xff\xe0 no more than its beginning"


def write(file: Path, **columns: Sequence[Any]) -> Path:
    """Write a table as pandas does."""
    pd.DataFrame({name: list(values) for name, values in columns.items()}).to_parquet(file, row_group_size=3)
    return file


def images(*names: str | None) -> list[dict[str, Any]]:
    return [{"bytes": JPEG + str(at).encode(), "path": name} for at, name in enumerate(names)]


def found(file: Path, said: list[str] | None = None, names: LabelNames | None = DEFAULT_NAMES) -> list[Photo]:
    return list(PhotoSource([str(file)], ([] if said is None else said).append, names))


def error(photo: Photo) -> str:
    with pytest.raises(UnreadablePhoto) as raised:
        photo.read()
    return str(raised.value)


def test_a_row_is_a_photo_called_by_its_images_path(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", image=images("female/b.jpg", "male/a.jpg", "female/é.jpg", "c.jpg"))
    photos = found(file)
    assert [photo.path for photo in photos] == ["female/b.jpg", "male/a.jpg", "female/é.jpg", "c.jpg"]
    assert [photo.read() for photo in photos] == [JPEG + str(at).encode() for at in range(4)]
    labels = [photo.names.label_of(photo.path, ["Female", "Male"], photo.root) for photo in photos if photo.names]
    assert labels == ["Female", "Male", "Female", ""]
    source = PhotoSource([str(file)])
    assert source.total() == source.count_up_to(100) == 4 and source.count_up_to(2) == 2


@pytest.mark.parametrize("names", [("a.jpg", "a.jpg"), ("a.jpg", None), ("a.jpg", ""), (None, None)])
def test_without_a_path_of_its_own_for_each_a_row_is_called_by_its_number(
    tmp_path: Path, names: tuple[str | None, ...]
) -> None:
    assert [photo.path for photo in found(write(tmp_path / "a.parquet", image=images(*names)))] == ["0", "1"]


def test_plain_bytes_are_images_and_a_column_of_paths_names_them(tmp_path: Path) -> None:
    data = [JPEG, JPEG[::-1]]
    bare = found(write(tmp_path / "a.parquet", picture=data))
    assert [(photo.path, photo.read(), photo.label) for photo in bare] == [("0", data[0], None), ("1", data[1], None)]
    for column in ("path", "file_name"):
        table: dict[str, Sequence[Any]] = {
            "id": [7, 8],
            "img": data,
            column: ["x/a.jpg", "y/b.jpg"],
            "gender": ["woman", "Male"],
        }
        photos = found(write(tmp_path / "b.parquet", **table))
        assert [(photo.path, photo.label) for photo in photos] == [("x/a.jpg", "Female"), ("y/b.jpg", "Male")]


def test_of_several_columns_that_one_is_taken_that_is_called_image(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", thumbnail=[b"small"], mask=images(None), image=[JPEG])
    assert [photo.read() for photo in found(file)] == [JPEG]


def test_several_files_have_their_names_before_the_rows(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"train-{number}.parquet", image=images(None))
    shown = [photo.path for photo in found(tmp_path / "*.parquet")]
    assert shown == [f"{tmp_path}/train-{number}.parquet/0" for number in range(2)]


def with_features(file: Path, table: pa.Table, features: dict[str, Any]) -> Path:
    """Write a table with what `datasets` declares of its columns."""
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(about), file)
    return file


def test_names_of_classes_that_datasets_declares_are_the_labels(tmp_path: Path) -> None:
    table = pa.table({"face": images(None, None, None), "smile": [0, 1, 0], "person": [1, 0, None]})
    features = {
        "face": {"_type": "Image"},
        "smile": {"_type": "Value", "dtype": "int64"},
        "person": {"_type": "ClassLabel", "names": ["men", "women"]},
    }
    said: list[str] = []
    photos = found(with_features(tmp_path / "a.parquet", table, features), said)
    assert [photo.label for photo in photos] == ["Female", "Male", ""] and not said


def test_a_dataset_that_datasets_wrote_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = [str(write_picture(tmp_path / name)) for name in ("a.jpg", "b.png")]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["male", "female"])})
    table = datasets.Dataset.from_dict({"image": files, "label": [1, 0]}, features=features)
    table.to_parquet(tmp_path / "a.parquet")
    photos = found(tmp_path / "a.parquet")
    assert [photo.label for photo in photos] == ["Female", "Male"]
    assert [photo.read() for photo in photos] == [Path(file).read_bytes() for file in files]


def test_numbers_are_taken_as_training_takes_them_and_that_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", image=[JPEG] * 3, gender=[1.0, 0.0, None])
    said: list[str] = []
    assert [photo.label for photo in found(file, said)] == ["Male", "Female", ""]
    assert len(said) == 1 and "the column gender does not name its classes: taking 0.0 for Female" in said[0]
    asks = write(tmp_path / "b.parquet", image=[JPEG] * 2, is_female=[True, False])
    assert [photo.label for photo in found(asks)] == ["Female", "Male"]
    given = LabelNames({"Female": ["1"], "Male": ["0"]})
    assert [photo.label for photo in found(file, names=given)] == ["Female", "Male", ""]
    assert [photo.label for photo in found(file, names=None)] == [None] * 3
    many = write(tmp_path / "c.parquet", image=[JPEG] * 3, label=[1, 2, 3])
    said.clear()
    found(many, said)
    assert len(said) == 1 and "the column label holds numbers that stand for no class" in said[0]


def test_columns_of_lists_and_of_other_things_are_no_labels(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", image=images("women/a.jpg"), labels=[[1, 2]], caption=["a portrait"])
    (photo,) = found(file)
    assert photo.label is None and photo.path == "women/a.jpg"


def test_a_row_without_an_image_is_a_row_that_says_so(tmp_path: Path) -> None:
    elsewhere = {"bytes": None, "path": str(write_picture(tmp_path / "x.jpg"))}
    cells = [*images("a.jpg"), {"bytes": None, "path": None}, None, elsewhere, {"bytes": None, "path": "gone.jpg"}]
    whole, empty, none, linked, gone = found(write(tmp_path / "a.parquet", image=cells))
    assert whole.read() == JPEG + b"0" and linked.read() == (tmp_path / "x.jpg").read_bytes()
    assert error(empty) == error(none) == "no image in this row"
    assert "No such file" in error(gone)


@pytest.mark.parametrize("left", [0, 3, 0.5, 0.99])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, left: float) -> None:
    file = write(tmp_path / "a.parquet", image=images(*map(str, range(50))))
    data = file.read_bytes()
    file.write_bytes(data[: int(left * len(data) if left < 1 else left)])
    with pytest.raises(UserError, match="a.parquet: can't read this Parquet file") as refused:
        found(file)
    assert "\n" not in str(refused.value)


def test_a_table_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a.parquet: no column of images among path, label"):
        found(write(tmp_path / "a.parquet", path=["a.jpg"], label=["male"]))


def test_rows_of_a_damaged_group_are_rows_that_say_so_and_others_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = [rng.bytes(5000) for _ in range(9)]
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": data}), file, row_group_size=3, compression="zstd", use_dictionary=False)
    second = pq.ParquetFile(file).metadata.row_group(1).column(0)
    whole = bytearray(file.read_bytes())
    whole[second.data_page_offset : second.data_page_offset + 200] = bytes(200)
    file.write_bytes(whole)
    photos = found(file)
    assert [photo.path for photo in photos] == list(map(str, range(9)))
    assert [photo.read() for photo in (*photos[:3], *photos[6:])] == [*data[:3], *data[6:]]
    assert all(error(photo).startswith("damaged Parquet file (") for photo in photos[3:6])


def test_a_file_that_goes_away_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", image=[JPEG])
    said: list[str] = []
    source = PhotoSource([str(file)], said.append)
    file.unlink()
    assert not list(source) and source.unlistable == 1
    assert len(said) == 1 and "a.parquet: can't read this Parquet file" in said[0]


def test_a_large_row_group_is_not_held_whole(tmp_path: Path) -> None:
    cell = np.random.default_rng(1).bytes(100_000)
    file = tmp_path / "a.parquet"
    # A page, which is read at once, has as many cells as are written at once.
    table = pa.table({"image": [cell[at:] + cell[:at] for at in range(600)]})
    pq.write_table(table, file, use_dictionary=False, write_batch_size=16)
    assert pq.ParquetFile(file).num_row_groups == 1
    before = pa.total_allocated_bytes()
    largest = 0
    tracemalloc.start()
    try:
        for photo in PhotoSource([str(file)]):
            largest = max(largest, pa.total_allocated_bytes() - before)
            assert len(photo.read()) == len(cell)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
    assert largest < 4 * 10**7 < file.stat().st_size
