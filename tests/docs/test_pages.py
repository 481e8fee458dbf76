"""What README, the manual, CONTRIBUTING and exports/README say can be done."""

import json
import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from archive_files import pack
from click.testing import Result
from drawn_faces import write_portraits
from public_models import PUBLIC_MODELS
from tiny_networks import tiny, write_tinted
from torch import nn
from torchvision import models

from batchgender.cli import main
from batchgender.results.results_file import ResultsFile
from batchgender.training.networks import registry

Cli = Callable[..., Result]
ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
EMBEDDING = ROOT / "exports" / "README.md"
# docs/cli.md is held against --help by a test of its own.
MANUAL = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "cli.md"]
PAGES = [README, *MANUAL, ROOT / "CONTRIBUTING.md", EMBEDDING]
# What trains, or goes on from what was trained, exported or stopped before: run by a test of its own.
AFTER_TRAINING = ("train", "tune", "calibrate", "export", "--resume", "runs/", "exports/", "other.onnx")
# What asks other machines; test_remote_photos.py, test_detector_file.py, test_hub_file.py and test_publish.py run such.
# And what serves or watches until it is stopped: test_ui.py, test_watch.py; what starts a cluster: test_ray_engine.py.
AFAR = ("://", "hf:", "fetch-detector", "batchgender ui", "--watch", "--engine ray")
# The same commands in seconds: of an option that is given twice, the last counts.
SHORT = {"train": ("--epochs", "1"), "tune": ("--trials", "1", "--epochs", "1")}


def commands_of(page: Path) -> list[str]:
    """The command lines in the page's code blocks, without a prompt and without what they are piped to."""
    # Fences by pairs: the end of one block is not the beginning of another.
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    lines = [line.removeprefix("$ ") for kind, block in blocks if not kind for line in block.splitlines()]
    return [line.split(" | ")[0] for line in lines if re.match(r"batchgender \w", line)]


COMMANDS = [pytest.param(line, id=f"{page.stem}: {line}") for page in PAGES for line in commands_of(page)]
HERE = [each for each in COMMANDS if not any(word in str(each.values[0]) for word in AFAR)]
RUN = [each for each in HERE if not any(word in str(each.values[0]) for word in AFTER_TRAINING)]
# Once each, though several pages have some.
TRAINING = list({each.values[0]: each for each in HERE if each not in RUN}.values())


def name_of(anchored: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", anchored.lower()).replace(" ", "-")


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    main.commands[name].make_context(name, arguments)


def write_labels(folder: Path) -> None:
    """A list of the folder's photos, whose names begin with their labels."""
    lines = [f"{file.relative_to(folder)},{file.name.split('-')[0]}" for file in sorted((folder / "photos").iterdir())]
    (folder / "labels.csv").write_text("\n".join(["path,label", *lines]))


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages name: photos, more photos, faces with splits, groups, results."""
    folder = tmp_path_factory.mktemp("pages")
    write_portraits(folder / "faces", {"train": 4, "test": 3})
    for name in ("photos", "more"):
        (folder / name).mkdir()
        for file in (folder / "faces" / "test").rglob("*.jpg"):
            shutil.copy(file, folder / name / f"{file.parent.name}-{file.name}")
    for model in PUBLIC_MODELS:
        model.write(folder)
    write_labels(folder)
    (folder / "shards").mkdir()
    for name in ("album.zip", "shards/shard-000.tar", "faces.parquet"):
        pack(folder / "faces" / "test", folder / name)
    (folder / "films").mkdir()
    film = cv2.VideoWriter(str(folder / "films" / "film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (128, 128))
    for _ in range(10):
        film.write(np.zeros((128, 128, 3), np.uint8))
    film.release()
    (folder / "sheet.csv").write_text("path,label,new_label\ntest/female/0000.jpg,Female,Male\n")
    (folder / "groups.csv").write_text("path,age\nfemale/0000.jpg,young\nmale/0001.jpg,old\n")
    return folder


@pytest.mark.parametrize("line", RUN)
def test_commands_that_take_seconds_do_what_the_page_says(
    cli: Cli, laid_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    shutil.copytree(laid_out, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("batchgender.bench._SECONDS", 0.02)
    monkeypatch.setattr("batchgender.bench._PHOTOS", 8)
    _, name, *arguments = shlex.split(line, comments=True)
    if name in ("audit", "prevalence"):
        for photos, file in (("faces", "labelled.csv"), ("photos", "results.csv")):
            assert cli("classify", photos, "--out", file).exit_code == 0
        (tmp_path / "sheet.csv").unlink()
    if name == "compare":
        for file in ("before.csv", "after.csv"):
            assert cli("classify", "photos", "--out", file).exit_code == 0
    if name == "classify" and "--measured-on" in arguments:
        assert cli("classify", "faces", "--out", "labelled.csv").exit_code == 0
    if name == "classify" and "--retry-errors" in arguments:
        assert cli("classify", "photos", "--out", "results.csv").exit_code == 0
    if name == "report":
        assert cli("classify", "photos", "--out", "results.csv").exit_code == 0
        Path("results.report.json").unlink(missing_ok=True)
    if name == "merge":
        for number in (1, 2):
            assert cli("classify", "photos", "--shard", f"{number}/2", "--out", f"parts/{number}.csv").exit_code == 0
        # As the shell does.
        arguments = [*sorted(map(str, Path().glob(arguments[0]))), *arguments[1:]]
    if name == "sort" and "--results" in arguments:
        assert cli("classify", "photos", "--out", "results.csv").exit_code == 0
    result = cli(name, *arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout


def register_tiny(patch: pytest.MonkeyPatch) -> None:
    """Let AlexNet and its kin be a tiny real network: what is tried here are the commands, not the accuracy."""
    for name in ("alexnet", "alexnet_bn512", "alexnet_narrow"):
        patch.setitem(registry.OURS, name, tiny)


@pytest.fixture(scope="module")
def after_training(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all has been done that the pages go on from: runs, a study, an export."""
    folder = tmp_path_factory.mktemp("after")
    faces = write_tinted(folder / "faces", 16)
    (folder / "photos").mkdir()
    ages = ["path,age"]
    for index, file in enumerate(sorted((faces / "train").rglob("*.png"))):
        shutil.copy(file, folder / "photos" / f"{file.parent.name}-{file.name}")
        ages.append(f"{file.relative_to(faces)},{20 + index}")
    (folder / "ages.csv").write_text("\n".join(ages))
    (folder / "sheet.csv").write_text("path,label,new_label\ntrain/female/000.png,Female,drop\n")
    paths = (file.relative_to(faces) for file in sorted(faces.rglob("*.png")))
    sources = [f"{path},{('camera', 'phone')[index % 2]}" for index, path in enumerate(paths)]
    (folder / "sources.csv").write_text("\n".join(["path,source", *sources]))
    pack(faces, folder / "photos.zip")
    write_labels(folder)
    files = sorted((faces / "train").rglob("*.png"))
    cells = [{"bytes": file.read_bytes(), "path": None} for file in files]
    labels = [int(file.parent.name == "female") for file in files]
    pd.DataFrame({"image": cells, "label": labels}).to_parquet(folder / "utkface.parquet")
    torch.manual_seed(0)
    torch.save(models.resnet18().state_dict(), folder / "resnet18.pth")
    cache = folder / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    shutil.copy(folder / "resnet18.pth", cache / Path(models.get_model_weights("resnet18").DEFAULT.url).name)
    foreign = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    example = (torch.zeros(1, 3, 64, 64),)
    torch.onnx.export(foreign, example, folder / "other.onnx", dynamo=True, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        register_tiny(patch)
        for line in (
            "train --data ./faces --recipe strong --epochs 1",
            "train --data ./faces --recipe teacher --epochs 1",
            "train --data ./faces --epochs 10 --lr 1e-3",
            "tune --data ./faces --trials 1 --epochs 1",
            "export runs/alexnet-seed/best.pt --format onnx",
        ):
            result = cli(*line.split())
            assert result.exit_code == 0, result.output
    return folder


def stop_at_the_end(self: ResultsFile) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("line", TRAINING)
def test_commands_about_training_do_what_the_page_says(
    cli: Cli, after_training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    shutil.copytree(after_training, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    _, name, *arguments = shlex.split(line, comments=True)
    if name == "classify" and "--resume" in arguments:
        with monkeypatch.context() as patch:
            patch.setattr(ResultsFile, "finish", stop_at_the_end)
            assert cli("classify", "photos", "--out", "results.csv").exit_code == 130
    # The packaged weights fit the network that they are of alone.
    if "packaged" not in arguments:
        register_tiny(monkeypatch)
    if name in SHORT and "--resume" not in arguments:
        arguments += SHORT[name]
    result = cli(name, *arguments)
    assert result.exit_code == 0, result.output
    assert result.output


def test_every_command_is_shown() -> None:
    assert {shlex.split(str(each.values[0]))[1] for each in COMMANDS} == set(main.commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_is_in_the_help(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.M)) <= targets


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "cli.md"], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)", found.read_text(encoding="utf-8"), re.M)
            assert anchor in map(name_of, headings), target


def test_the_readme_is_short_and_names_every_page() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.encode()) <= 9_000
    assert all(f"docs/{page.name}" in text for page in MANUAL if page.name != "README.md")
    assert all(
        f"({page.name})" in (ROOT / "docs" / "README.md").read_text() for page in MANUAL if page.name != "README.md"
    )


def test_the_examples_of_the_readme_run(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(portraits / "test", tmp_path / "photos")
    (tmp_path / "batchgender").symlink_to(ROOT / "batchgender")
    shutil.copy(portraits / "test" / "female" / "0000.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    embedding, library = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    exec(embedding, {})
    assert "Female" in capsys.readouterr().out
    exec(library, {})
    assert len(capsys.readouterr().out.splitlines()) == 12


def test_the_examples_of_the_library_run(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(portraits / "test", tmp_path / "photos")
    shutil.copy(portraits / "test" / "female" / "0000.jpg", tmp_path / "photo.jpg")
    with closing(sqlite3.connect(tmp_path / "photos.sqlite")) as database, database:
        database.execute("CREATE TABLE photos (name TEXT PRIMARY KEY, data BLOB)")
        files = [(str(file.relative_to(portraits / "test")), file) for file in (portraits / "test").rglob("*.jpg")]
        database.executemany("INSERT INTO photos VALUES (?, ?)", [(name, file.read_bytes()) for name, file in files])
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "use-as-a-library.md").read_text(encoding="utf-8")
    folder, stored, labels = re.findall(r"```python\n(.*?)```", page, re.S)
    shown = {}
    for name, example in (("folder", folder), ("stored", stored), ("labels", labels)):
        exec(example, {})
        shown[name] = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in shown["folder"]] == shown["stored"] and len(shown["folder"]) == 12
    assert [row[0::2] for row in shown["labels"]] == [["1", "Female"]]


def test_the_embedding_examples_run(
    trained: Path, portraits: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats = ("--format", "onnx", "--format", "torchscript", "--format", "pt2")
    monkeypatch.chdir(tmp_path)
    assert cli("export", trained / "best.pt", *formats).exit_code == 0
    shutil.copy(portraits / "test" / "female" / "0000.jpg", "photo.jpg")
    examples = re.findall(r"```python\n(.*?)```", EMBEDDING.read_text(encoding="utf-8"), re.S)
    assert len(examples) == 2
    for example in examples:
        names: dict[str, Any] = {}
        exec(example, names)
        assert abs(float(names["probabilities"].sum()) - 1) < 1e-5


def test_the_csv_columns_of_the_manual_are_those_written(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    for faces, page in (("off", ROOT / "docs" / "csv.md"), ("largest", README)):
        out = tmp_path / f"{faces}.csv"
        cli("classify", photos, "--model", red_or_blue, "--faces", faces, "--out", out)
        assert out.read_text().splitlines()[0] in page.read_text()
    assert set(json.loads((tmp_path / "off.report.json").read_text())["classes"]) == {"Female", "Male"}


def test_the_recipe_in_the_manual_is_one(tmp_path: Path) -> None:
    from batchgender.training.recipe import find_recipe

    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "train-on-your-photos.md").read_text(), re.S)
    (tmp_path / "mine.toml").write_text(example)
    assert find_recipe(str(tmp_path / "mine.toml")).crop == (0.8, 1.2)


def test_no_page_names_a_path_of_one_machine() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md", ROOT / "docs" / "cli.md"]:
        assert not re.search(r"(?<![\w.])/(home|root|Users|opt|tmp)/", page.read_text(encoding="utf-8")), page
