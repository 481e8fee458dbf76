"""Opening a source: once for all its splits, and fast where it can't be."""

import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest
from conftest import one_line_error, write_picture

from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.photos.labels import DEFAULT_NAMES, parse_label_names
from batchgender.training.data import hugging_face
from batchgender.training.data.open_source import open_source

Cli = Callable[..., Any]


def test_a_training_opens_its_source_once(cli: Cli, portraits: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        files = sorted((portraits / split).rglob("*.jpg"))
        cells = [{"bytes": file.read_bytes(), "path": None} for file in files]
        labels = [int(file.parent.name == "male") for file in files]
        pd.DataFrame({"image": cells, "label": labels}).to_parquet(tmp_path / f"{split}.parquet")
    recipe = tmp_path / "small.toml"
    recipe.write_text('architecture = "shufflenet_v2_x0_5"\ninput_size = 64\nbatch_size = 16\nepochs = 1\n')
    result = cli("train", "--data", tmp_path, "--recipe", recipe, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    # Said whenever such a source is opened.
    assert result.stderr.count("taking 0 for Female and 1 for Male") == 1


def test_the_splits_of_a_source_share_no_photo_and_are_the_same_each_time(portraits: Path) -> None:
    lines: list[str] = []
    source, again = (open_source(str(portraits), lines.append) for _ in range(2))
    names = [set(photos.names) for photos in (source.train, source.val, source.test)]
    assert len(set.union(*names)) == sum(map(len, names)) == len(source.split("all")) == 52
    for split in ("train", "val", "test", "all"):
        assert source.split(split).fingerprint() == again.split(split).fingerprint()


@pytest.mark.parametrize(
    ("folders", "classes", "said"),
    [
        (("0", "1"), ["0", "1"], "its classes are called 0, 1; --label-names"),
        (("women", "hombres"), ["Female", "hombres"], "--label-names male=hombres says that hombres is Male"),
        (("t", "m"), ["Male", "t"], "--label-names female=t says that t is Female"),
        (("cats", "dogs"), ["cats", "dogs"], ""),
        (("women", "men", "others"), ["Female", "Male", "others"], ""),
    ],
)
def test_folders_whose_names_may_be_unknown_are_said(
    tmp_path: Path, folders: tuple[str, ...], classes: list[str], said: str
) -> None:
    for name in folders:
        write_picture(tmp_path / name / "1.png")
    log: list[str] = []
    assert open_source(str(tmp_path), log.append).split("all").classes == classes
    assert said in log[0] if said else not log


def test_names_that_are_given_hold_for_folders_and_columns_either_way_round(portraits: Path, tmp_path: Path) -> None:
    rows = [
        {"image": {"bytes": file.read_bytes(), "path": None}, "sex": file.parent.name}
        for file in sorted((portraits / "test").rglob("*.jpg"))
    ]
    pd.DataFrame(rows[1:]).to_parquet(tmp_path / "test.parquet")
    swapped = parse_label_names(["female=male", "male=female"])
    for source in (portraits, tmp_path):
        found = [open_source(str(source), silent, names).test for names in (DEFAULT_NAMES, swapped)]
        assert found[0].classes == found[1].classes == ["Female", "Male"]
        assert found[0].counts()["Female"] == found[1].counts()["Male"] == 6 - (source == tmp_path)


def test_a_column_that_asks_is_found_among_others(portraits: Path, tmp_path: Path) -> None:
    files = sorted((portraits / "test").rglob("*.jpg"))
    table = pd.DataFrame({"image": [{"bytes": file.read_bytes(), "path": None} for file in files], "Smiling": 1})
    table["Male"] = [1 if file.parent.name == "male" else -1 for file in files]
    table.to_parquet(tmp_path / "test.parquet")
    log: list[str] = []
    photos = open_source(str(tmp_path), log.append).test
    assert [photos.classes[label].lower() for label in photos.labels] == [file.parent.name for file in files]
    assert "the column Male does not name its classes: taking -1 for Female and 1 for Male" in log[0]


@pytest.mark.parametrize(
    ("option", "name"), [("--weights", "none.pth"), ("--teacher", "none.pt"), ("--also-learn", "none.csv")]
)
def test_a_missing_file_is_said_before_the_data_is_opened(cli: Cli, tmp_path: Path, option: str, name: str) -> None:
    line = ("train", "--data", tmp_path / "neither", option, tmp_path / name, "--out", tmp_path / "run")
    assert f"{name}: no such file; check {option}" in one_line_error(cli(*line))


def test_a_folder_that_can_not_be_made_is_said_before_the_data_is_opened(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = one_line_error(cli("train", "--data", tmp_path / "neither", "--out", tmp_path / "file" / "run"))
    assert "choose another --out" in message


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Sets the address of the Hub for this test; what is found out about it is forgotten afterwards."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield lambda address: monkeypatch.setattr("datasets.config.HF_ENDPOINT", address)


@pytest.fixture
def broken_server() -> Iterator[str]:
    """The address of a server that is out of order; under /slow it says nothing at all."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            if self.path == "/slow":
                time.sleep(2)
            self.send_error(503)

        do_GET = do_HEAD

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("place", ["nobody", "broken", "slow"])
def test_a_hub_that_does_not_answer_is_said_within_seconds(
    hub: Callable[[str], None], broken_server: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(hugging_face, "_SECONDS", 0.5)
    hub({"nobody": "http://127.0.0.1:9", "broken": broken_server, "slow": f"{broken_server}/slow"}[place])
    started = time.monotonic()
    lines: list[str] = []
    with pytest.raises(UserError, match="can't load it from the Hugging Face Hub .no answer, and no copy in the cache"):
        open_source("somebody/some-photos", lines.append)
    assert time.monotonic() - started < 5
    assert lines[-1] == "the Hub does not answer: looking for a copy in the cache"
