"""`classify` of datasets: of the Hub, and saved ones."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from click.testing import Result
from conftest import one_line_error

Cli = Callable[..., Result]


def dataset(photos: Path, labels: str | None = "label") -> datasets.DatasetDict:
    """The photos as two splits, train and extra, 40 each; with a column of labels, 0 for what shows red."""
    files = sorted(photos.rglob("*.*"))
    columns: dict[str, Any] = {"image": [{"bytes": file.read_bytes(), "path": None} for file in files]}
    features: dict[str, Any] = {"image": datasets.Image()}
    if labels:
        columns[labels] = [int((file.suffix == ".jpg") == (file.stem in ("00", "01"))) for file in files]
        features[labels] = datasets.Value("int64")
    whole = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    return datasets.DatasetDict({"train": whole.select(range(0, 80, 2)), "extra": whole.select(range(1, 80, 2))})


@pytest.fixture
def cached(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a dataset of the Hub whose copy is in the cache, where there is no network."""
    for split, rows in dataset(photos).items():
        rows.to_parquet(tmp_path / f"{split}.parquet")
    files = {split: str(tmp_path / f"{split}.parquet") for split in ("train", "extra")}
    datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "built"))
    (built,) = (tmp_path / "built" / "parquet").glob("*/*/*/dataset_info.json")
    copy = tmp_path / "cache" / "somebody___faces" / "default" / "0.0.0" / "1234"
    shutil.copytree(built.parent, copy)
    for file in copy.glob("parquet-*"):
        file.rename(copy / file.name.replace("parquet", "faces"))
    about = json.loads((copy / "dataset_info.json").read_text())
    about |= {"config_name": "default", "dataset_name": "faces"}
    (copy / "dataset_info.json").write_text(json.dumps(about))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return "hf://datasets/somebody/faces"


def rows(file: Path) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("kind", ["hub", "saved", "saved split"])
def test_each_row_of_a_dataset_is_a_photo_with_its_label(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    whole = dataset(photos)
    source = tmp_path / "source"
    if kind == "hub":
        source = request.getfixturevalue("cached")
    elif kind == "saved":
        whole.save_to_disk(source)
    else:
        whole["train"].save_to_disk(source)
    result = cli("classify", source, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0, result.stderr
    assert "does not name its classes: taking 0 for Female and 1 for Male" in result.stderr
    splits = ["train", "extra"] if kind in ("hub", "saved") else ["train"]
    table = rows(tmp_path / "r.csv")
    assert [row["path"] for row in table] == [f"{split}[{at}]" for split in splits for at in range(40)]
    report = json.loads((tmp_path / "r.report.json").read_text())
    assert report["accuracy"] == 1 and report["labelled"] == len(table) and report["photos_from"] == [str(source)]


def test_a_dataset_without_labels_is_classified_and_names_count_once(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    for column in (None, "number"):
        dataset(photos, column).save_to_disk(tmp_path / str(column))
        line = ("classify", tmp_path / str(column), "--model", red_or_blue, "--overwrite", "--out", tmp_path / "r.csv")
        result = cli(*line)
        assert result.exit_code == 0 and "accuracy" not in result.stdout
        assert {row["label"] for row in rows(tmp_path / "r.csv")} == {""}
    dataset(photos, "sex").save_to_disk(tmp_path / "sex")
    line = ("classify", tmp_path / "sex", "--model", red_or_blue, "--overwrite", "--out", tmp_path / "r.csv")
    assert "accuracy" not in cli(*line, "--no-labels").stdout
    names = ("--label-names", "female=male,1", "--label-names", "male=female,0")
    cli(*line, *names)
    # All the other way round, once.
    assert json.loads((tmp_path / "r.report.json").read_text())["accuracy"] == 0


def test_a_stopped_run_over_a_dataset_goes_on(cli: Cli, red_or_blue: Path, cached: str, tmp_path: Path) -> None:
    line = ("classify", cached, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert cli(*line).exit_code == 0
    whole = (tmp_path / "r.csv").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchgender.results.results_file.ResultsFile.finish", interrupt)
        assert cli(*line, "--overwrite").exit_code == 130
    (tmp_path / "r.csv").unlink()
    part = tmp_path / "r.csv.part"
    part.write_bytes(part.read_bytes()[:2000])
    assert cli(*line, "--resume").exit_code == 0 and (tmp_path / "r.csv").read_bytes() == whole


def interrupt(self: object) -> None:
    raise KeyboardInterrupt


def test_evaluate_and_classify_agree_on_a_dataset_of_the_hub(cli: Cli, red_or_blue: Path, cached: str) -> None:
    for source in (cached, cached.removeprefix("hf://datasets/")):
        result = cli("evaluate", red_or_blue, "--data", source, "--split", "all")
        assert result.exit_code == 0 and "accuracy           100.0 %" in result.stdout, result.stderr


def test_what_is_no_dataset_is_refused_in_a_line(
    cli: Cli, red_or_blue: Path, cached: str, photos: Path, tmp_path: Path
) -> None:
    line = ("classify", "--model", red_or_blue, "--out", tmp_path / "r.csv")
    message = one_line_error(cli(*line, "hf://datasets/somebody/else"))
    assert "somebody/else: can't load it from the Hugging Face Hub" in message and "SPLIT" not in message
    result = cli(*line, cached, photos)
    assert result.exit_code == 2 and f"{cached}: a dataset; give it alone" in result.stderr
    datasets.Dataset.from_dict({"path": ["a.jpg"]}).save_to_disk(tmp_path / "no images")
    assert "no column of images among path" in one_line_error(cli(*line, tmp_path / "no images"))
    next((tmp_path / "no images").glob("*.arrow")).write_bytes(b"ARROW")
    assert "can't load this saved dataset" in one_line_error(cli(*line, tmp_path / "no images"))


def test_a_folder_of_photos_beside_a_file_of_state_is_none(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "state.json").write_text("{}")
    result = cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0 and len(rows(tmp_path / "r.csv")) == 80
