"""Labelled photos of lists, and of places that are neither folders nor datasets: archives, addresses."""

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import one_line_error
from tiny_networks import tiny

from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames
from batchgender.photos.places.named import NamedPhotos
from batchgender.photos.source import PhotoSource
from batchgender.training.data.batches import Batches
from batchgender.training.data.labelled_photos import LabelledPhotos
from batchgender.training.data.open_source import open_source
from batchgender.training.data.photo_sources import from_photos
from batchgender.training.data.splits import LabelledSource
from batchgender.training.networks import registry

Cli = Callable[..., Any]


def write_list(
    file: Path, rows: Sequence[tuple[str, ...]], columns: tuple[str, ...] = ("path", "label", "split")
) -> Path:
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows([columns[: len(rows[0])], *rows])
    return file


@pytest.fixture
def rows(portraits: Path) -> list[tuple[str, str, str]]:
    """The portraits as path, label and split, in no folders of classes that count."""
    found = sorted(portraits.rglob("*.jpg"))
    return [(str(file), file.parent.name, file.parent.parent.name) for file in found]


def test_a_list_is_as_good_as_folders(portraits: Path, rows: list[tuple[str, str, str]], tmp_path: Path) -> None:
    listed = open_source(str(write_list(tmp_path / "faces.csv", rows)), silent)
    folders = open_source(str(portraits), silent)
    for split in ("train", "test"):
        here, there = listed.own[split], folders.own[split]
        assert here.classes == there.classes and (here.labels == there.labels).all()
        assert [str(portraits / name) for name in there.names] == here.names
        assert here.read(3) == there.read(3)


def test_without_a_column_of_splits_they_are_made(rows: list[tuple[str, str, str]], tmp_path: Path) -> None:
    source = open_source(str(write_list(tmp_path / "faces.csv", [row[:2] for row in rows])), silent)
    parts = [source.train, source.val, source.test]
    assert all(map(len, parts)) and sum(map(len, parts)) == len(source.split("all")) == len(rows)
    again = open_source(str(tmp_path / "faces.csv"), silent)
    assert [part.fingerprint() for part in parts] == [
        part.fingerprint() for part in (again.train, again.val, again.test)
    ]


def test_what_a_list_leaves_open_is_left_out_and_said(rows: list[tuple[str, str, str]], tmp_path: Path) -> None:
    rows[0] = (rows[0][0], "", rows[0][2])
    rows[1] = (rows[1][0], "n/a", rows[1][2])
    rows[2] = (*rows[2][:2], "held out")
    rows[3] = (*rows[3][:2], "")
    rows += [("gone/1.jpg", "male", "train"), ("gone/2.jpg", "female", "test")]
    said: list[str] = []
    source = open_source(str(write_list(tmp_path / "faces.csv", rows)), said.append)
    assert len(source.split("all")) == len(rows) - 4
    assert any("their split is no train, val or test: 2 (held out, none)" in line for line in said)
    assert any("photos without a label are left out: 2" in line for line in said)
    assert any("files that are not there: 2 (gone/1.jpg, gone/2.jpg)" in line for line in said)
    batches = Batches(source.split("all"), 32, 64, said.append)
    assert sum(len(labels) for _, labels, _ in batches()) == len(rows) - 6 and len(batches.unreadable) == 2


@pytest.mark.parametrize(
    ("names", "classes", "said"),
    [
        ({"female": "w", "male": "m"}, ["Male", "w"], "--label-names female=w"),
        ({"female": "0", "male": "1"}, ["Female", "Male"], "taking 0 for Female and 1 for Male"),
        ({"female": "Woman", "male": " MAN "}, ["Female", "Male"], ""),
    ],
)
def test_labels_are_called_as_in_columns_of_datasets(
    rows: list[tuple[str, str, str]], tmp_path: Path, names: dict[str, str], classes: list[str], said: str
) -> None:
    file = write_list(tmp_path / "faces.csv", [(path, names[label]) for path, label, _ in rows])
    log: list[str] = []
    assert open_source(str(file), log.append).train.classes == classes
    assert said in "".join(log) if said else not log
    named = LabelNames({"Female": [names["female"]], "Male": [names["male"]]})
    assert open_source(str(file), silent, named).train.classes == ["Female", "Male"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\na.jpg\n", "no column `label` in its first line"),
        ("path,label\na.jpg,\nb.jpg,\n", "no photo in it has a label"),
        ("path,label,split\na.jpg,m,x\n", "no photo in it is of a split train, val or test"),
        ("a.jpg,m\n", "no column `path`"),
    ],
)
def test_a_list_that_says_too_little_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "faces.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        open_source(str(tmp_path / "faces.csv"), silent)
    with pytest.raises(UserError, match="nowhere.csv: no such file; check --data"):
        open_source(str(tmp_path / "nowhere.csv"), silent)


def test_a_training_on_a_list_goes_on_and_is_evaluated(
    cli: Cli, portraits: Path, rows: list[tuple[str, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.OURS, "alexnet", tiny)
    shutil.copytree(portraits, tmp_path / "faces")
    # Beside its photos, as data sets come.
    relative = [(str(Path(path).relative_to(portraits)), *rest) for path, *rest in rows]
    data = write_list(tmp_path / "faces" / "list.csv", relative)
    line = ("train", "--data", data, "--out", tmp_path / "run", "--device", "cpu")
    result = cli(*line, "--epochs", 1)
    assert result.exit_code == 0 and "its paths are taken from its own folder" in result.stderr
    assert cli(*line, "--resume").exit_code == 0
    evaluated = cli("evaluate", tmp_path / "run" / "best.pt", "--data", data)
    assert evaluated.exit_code == 0 and "12 labelled photos" in evaluated.stdout
    write_list(data, relative[::-1])
    assert "the training photos have changed" in one_line_error(cli(*line, "--resume"))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_as_good_as_the_folder_that_it_was_made_of(portraits: Path, tmp_path: Path, kind: str) -> None:
    folders = open_source(str(portraits), silent)
    for base in (".", portraits.name):
        root = portraits if base == "." else portraits.parent
        file = shutil.make_archive(str(tmp_path / f"faces {base}"), kind, root, base)
        source = open_source(file, silent)
        for split in ("train", "test"):
            here, there = source.own[split], folders.own[split]
            assert [name.removeprefix(f"{base}/") for name in here.names] == there.names
            assert here.classes == there.classes and (here.labels == there.labels).all()
            assert here.read(3) == there.read(3)


def test_an_archive_that_is_read_from_its_beginning_on_is_refused(portraits: Path, tmp_path: Path) -> None:
    file = shutil.make_archive(str(tmp_path / "faces"), "gztar", portraits)
    with pytest.raises(UserError, match=r"faces.tar.gz: can only be read from its beginning on; unpack it"):
        open_source(file, silent)


# What an archive or an address gives: paths that are not of this machine's folders.
def opened(paths: dict[str, str | None], names: LabelNames = DEFAULT_NAMES, said: list[str] | None = None) -> Any:
    photos = [(path, path.encode(), label) for path, label in paths.items()]
    said = [] if said is None else said
    source = PhotoSource([], silent, names, opened=[NamedPhotos(photos, "faces.zip", "faces.zip")])
    return LabelledSource("faces.zip", from_photos(source, said.append, names))


def by_class(photos: LabelledPhotos) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in photos.classes}
    for index, (name, label) in enumerate(zip(photos.names, photos.labels, strict=True)):
        assert photos.read(index) == name.encode()
        found[photos.classes[label]].append(name)
    return found


@pytest.mark.parametrize("around", ["", "faces/", "old/faces/"])
def test_splits_and_classes_are_read_from_paths(around: str) -> None:
    names = ("train/female/a", "train/female/deep/b", "train/men/c", "test/men/d", "Valid/women/e")
    source = opened({f"{around}{name}.jpg": None for name in names})
    assert by_class(source.own["train"]) == {
        "Female": [f"{around}train/female/a.jpg", f"{around}train/female/deep/b.jpg"],
        "Male": [f"{around}train/men/c.jpg"],
    }
    assert by_class(source.own["val"])["Female"] == [f"{around}Valid/women/e.jpg"]
    assert source.own["test"].counts() == {"Female": 0, "Male": 1}


@pytest.mark.parametrize("around", ["", "faces/"])
def test_classes_alone_are_the_training_split(around: str) -> None:
    said: list[str] = []
    source = opened({f"{around}{name}.jpg": None for name in ("female/a", "m/b", "m/x/c", "loose")}, said=said)
    assert source.own["train"].counts() == {"Female": 1, "Male": 2}
    assert any("photos without a label are left out: 1" in line for line in said)
    assert opened({f"{around}women/{at}/a.jpg": None for at in range(3)}).own["train"].counts() == {"Female": 3}


def test_labels_that_are_stated_count_and_folders_but_for_their_splits() -> None:
    paths = {"train/x/1.jpg": "male", "train/x/2.jpg": "female", "test/x/3.jpg": "male", "test/women/4.jpg": None}
    said: list[str] = []
    source = opened(paths, said=said)
    assert by_class(source.own["train"]) == {"Female": ["train/x/2.jpg"], "Male": ["train/x/1.jpg"]}
    assert by_class(source.own["test"]) == {"Female": [], "Male": ["test/x/3.jpg"]} and len(said) == 1
    numbers = opened({"0000/1.jpg": "1", "0000/2.jpg": "0"}).own["train"]
    assert by_class(numbers) == {"Female": ["0000/2.jpg"], "Male": ["0000/1.jpg"]}


@pytest.mark.parametrize("paths", [["a.jpg", "b.jpg"], ["train/a.jpg", "test/b.jpg"]])
def test_photos_in_no_class_are_refused(paths: list[str]) -> None:
    with pytest.raises(UserError, match=r"faces.zip: no class folders in it; expected SPLIT/CLASS"):
        opened(dict.fromkeys(paths))


def test_a_file_that_is_no_source_is_refused_as_in_classify(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match="notes.txt: a list, not a photo"):
        open_source(str(tmp_path / "notes.txt"), silent)
