"""What README, the manual, CONTRIBUTING and exports/README say can be done."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from drawn_faces import write_portraits

from batchgender.cli import main

Cli = Callable[..., Result]
ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
EMBEDDING = ROOT / "exports" / "README.md"
# docs/cli.md is held against --help by a test of its own.
MANUAL = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "cli.md"]
PAGES = [README, *MANUAL, ROOT / "CONTRIBUTING.md", EMBEDDING]
# What takes more than seconds, a network, files of its own, or a training before it: parsed, not run.
PARSED = ("train", "tune", "calibrate", "export", "--resume", "runs/", "exports/", "other.onnx", "/albums/")


def commands_of(page: Path) -> list[str]:
    """The command lines in the page's code blocks, without a prompt and without what they are piped to."""
    # Fences by pairs: the end of one block is not the beginning of another.
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    lines = [line.removeprefix("$ ") for kind, block in blocks if not kind for line in block.splitlines()]
    return [line.split(" | ")[0] for line in lines if re.match(r"batchgender \w", line)]


COMMANDS = [pytest.param(line, id=f"{page.stem}: {line}") for page in PAGES for line in commands_of(page)]
RUN = [each for each in COMMANDS if not any(word in str(each.values[0]) for word in PARSED)]


def name_of(anchored: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", anchored.lower()).replace(" ", "-")


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    main.commands[name].make_context(name, arguments)


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages name: photos, more photos, faces with splits, groups, results."""
    folder = tmp_path_factory.mktemp("pages")
    write_portraits(folder / "faces", {"train": 4, "test": 3})
    for name in ("photos", "more"):
        (folder / name).mkdir()
        for file in (folder / "faces" / "test").rglob("*.jpg"):
            shutil.copy(file, folder / name / f"{file.parent.name}-{file.name}")
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
    if name == "compare":
        for file in ("before.csv", "after.csv"):
            assert cli("classify", "photos", "--out", file).exit_code == 0
    result = cli(name, *arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout


def test_every_command_is_shown_and_most_are_run() -> None:
    assert {shlex.split(str(each.values[0]))[1] for each in COMMANDS} == set(main.commands)
    assert {shlex.split(str(each.values[0]))[1] for each in RUN} >= {
        "classify",
        "inspect",
        "compare",
        "evaluate",
        "bench",
    }


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
    cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    header = (tmp_path / "r.csv").read_text().splitlines()[0]
    assert header in README.read_text() and header in (ROOT / "docs" / "csv.md").read_text()
    assert set(json.loads((tmp_path / "r.report.json").read_text())["classes"]) == {"Female", "Male"}


def test_the_recipe_in_the_manual_is_one(tmp_path: Path) -> None:
    from batchgender.training.recipe import find_recipe

    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "train-on-your-photos.md").read_text(), re.S)
    (tmp_path / "mine.toml").write_text(example)
    assert find_recipe(str(tmp_path / "mine.toml")).crop == (0.8, 1.2)


def test_no_page_names_a_path_of_one_machine() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md", ROOT / "docs" / "cli.md"]:
        assert not re.search(r"(?<![\w.])/(home|root|Users|opt|tmp)/", page.read_text(encoding="utf-8")), page
