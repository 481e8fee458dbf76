"""`classify --shard` and `merge`: the shards of a run are merged to what one run writes."""

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from archive_files import pack
from click.testing import Result
from conftest import BLUE, RED, one_line_error, write_picture, write_red_or_blue
from PIL import Image
from tiny_detectors import picture_of_cells

Cli = Callable[..., Result]
Line = tuple[Any, ...]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 photos of no, one and two bright cells, of many shades, in four folders: some broken, one with an odd name."""
    folder = tmp_path_factory.mktemp("people") / "photos"
    for index in range(66):
        shade = int(np.random.default_rng(index).integers(0, 256))
        cells = {(0, 0): (250, 0, shade), (2, 2): (shade, 0, 240)} if index % 2 else {(1, 1): (shade, 0, 245)}
        name = ("female", "male", "others-of", "others/of")[index % 4]
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture_of_cells(cells if index % 5 else {})).save(folder / name / f"{index:02}.png")
    for name in ("female/broken.jpg", "others/a.jpg", "male/caf\udce9.jpg", "male/z.jpg"):
        (folder / name).write_bytes(b"no photo")
    paths = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.png"))
    (folder.parent / "groups.csv").write_text("\n".join(["path,age", *(f"{path},{path[-5]}0" for path in paths[5:])]))
    # Their ends are the photos' paths: none fits by itself.
    labels = ["path,label", *(f"all/{path},Male" for path in paths if path.startswith("others/"))]
    (folder.parent / "labels.csv").write_text("\n".join(labels))
    return folder


def run_shards(cli: Cli, line: Line, of: int, folder: Path, ending: str = ".csv") -> list[Path]:
    """Run all shards of a command line, the last one first; give the parts."""
    parts = [folder / f"{number}{ending}" for number in range(1, of + 1)]
    for number, part in reversed(list(enumerate(parts, 1))):
        result = cli(*line, "--no-isolate", "--workers", 1, "--shard", f"{number}/{of}", "--out", part)
        assert result.exit_code == 0, result.stderr
    return parts


def test_sixteen_shards_merged_are_one_run_byte_for_byte(
    cli: Cli, red_or_blue: Path, cell_detector: Path, people: Path, tmp_path: Path
) -> None:
    labels = ("--labels", people.parent / "labels.csv")
    line = ("classify", people, "--model", red_or_blue, "--faces", "all", "--detector", cell_detector, *labels)
    groups = ("--groups", people.parent / "groups.csv")
    (tmp_path / "one").mkdir()
    ran = cli(*line, "--out", tmp_path / "one" / "r.csv", "--report", tmp_path / "one" / "r.json", *groups)
    assert ran.exit_code == 0, ran.stderr
    assert json.loads((tmp_path / "one" / "r.json").read_text())["labelled"] > 40
    parts = run_shards(cli, line, 16, tmp_path / "parts")
    paths = [set(pd.read_csv(part).path) for part in parts]
    assert sum(map(len, paths)) == len(set().union(*paths)) == 70 and max(map(len, paths)) < 15
    (tmp_path / "merged").mkdir()
    out, report = tmp_path / "merged" / "r.csv", tmp_path / "merged" / "r.json"
    merged = cli("merge", *parts, "--out", out, "--report", report, *groups)
    assert merged.exit_code == 0, merged.stderr
    assert merged.stdout == ran.stdout
    for name in ("r.csv", "r.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    assert sorted(file.name for file in out.parent.iterdir()) == ["r.csv", "r.json"]


@pytest.mark.parametrize(("of_parts", "of_merged"), [(".parquet", ".jsonl"), (".jsonl", ".parquet"), (".csv", ".csv")])
def test_shards_in_every_format_and_of_sources_that_keep_their_own_order(
    of_parts: str, of_merged: str, cli: Cli, red_or_blue: Path, people: Path, tmp_path: Path
) -> None:
    packed = pack(people, tmp_path / "all.tar.gz")
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, sorted(people.glob("female/*"), reverse=True))))
    source = {
        ".parquet": (packed,),
        ".jsonl": (people / "others", people / "others-of"),
        ".csv": ("--from-list", listed),
    }
    line = ("classify", *source[of_parts], "--model", red_or_blue, "--faces", "off", "--threshold", 0.9)
    bom = ("--csv-bom",) if of_merged == ".csv" else ()
    (tmp_path / "one").mkdir()
    one = tmp_path / "one" / f"r{of_merged}"
    ran = cli(*line, "--out", one, *bom)
    parts = run_shards(cli, line, 3, tmp_path / "parts", of_parts)
    merged = cli("merge", *parts, "--out", tmp_path / f"r{of_merged}", *bom)
    assert merged.exit_code == 0, merged.stderr
    assert merged.stdout == ran.stdout
    assert (tmp_path / f"r{of_merged}").read_bytes() == one.read_bytes()
    reports = [folder / "r.report.json" for folder in (tmp_path, tmp_path / "one")]
    assert [each.exists() for each in reports] in ([True, True], [False, False])
    if reports[0].exists():
        assert reports[0].read_bytes() == reports[1].read_bytes()


def test_where_the_photos_lie_on_a_machine_does_not_matter(
    cli: Cli, red_or_blue: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(people, tmp_path / "elsewhere" / "photos")
    for number, place in ((1, people.parent), (2, tmp_path / "elsewhere")):
        monkeypatch.chdir(place)
        out = tmp_path / f"{number}.csv"
        line = ("classify", "photos", "--model", red_or_blue, "--faces", "off", "--shard", f"{number}/2", "--out", out)
        assert cli(*line).exit_code == 0
        assert str(place) not in (tmp_path / f"{number}.csv.shard.json").read_text()
    monkeypatch.chdir(people.parent)
    cli("classify", "photos", "--model", red_or_blue, "--faces", "off", "--out", tmp_path / "one.csv")
    merged = cli("merge", tmp_path / "2.csv", tmp_path / "1.csv", "--out", tmp_path / "r.csv")
    assert merged.exit_code == 0, merged.stderr
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert (tmp_path / "r.report.json").read_bytes() == (tmp_path / "one.report.json").read_bytes()


def test_a_shard_without_photos_is_done_and_merged(cli: Cli, red_or_blue: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "one.png", RED)
    line = ("classify", tmp_path / "photos", "--model", red_or_blue, "--faces", "off")
    parts = run_shards(cli, line, 3, tmp_path / "parts")
    assert sorted(len(pd.read_csv(part)) for part in parts) == [0, 0, 1]
    assert cli("merge", *parts, "--out", tmp_path / "r.csv").exit_code == 0
    assert list(pd.read_csv(tmp_path / "r.csv").path) == ["one.png"]
    for number in range(1, 4):
        dry = cli(*line, "--shard", f"{number}/3", "--dry-run")
        assert dry.exit_code == 0, dry.stderr


@pytest.fixture(scope="module")
def shards(cli: Cli, red_or_blue: Path, people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five shards, 1.csv to 5.csv, and the one run, one.csv."""
    folder = tmp_path_factory.mktemp("shards")
    line = ("classify", people, "--model", red_or_blue, "--faces", "off")
    run_shards(cli, line, 5, folder)
    cli(*line, "--out", folder / "one.csv")
    return folder


@pytest.fixture
def copied(shards: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(shards, tmp_path / "shards")
    yield tmp_path / "shards"
    assert not list(tmp_path.glob("r.*")), "a merge that was refused left something"


def refused(cli: Cli, tmp_path: Path, *parts: Path | str, **options: Any) -> str:
    return one_line_error(cli("merge", *parts, "--out", tmp_path / "r.csv"))


def test_what_is_not_the_whole_of_one_run_is_refused(
    cli: Cli, copied: Path, red_or_blue: Path, people: Path, tmp_path: Path
) -> None:
    parts = [copied / f"{number}.csv" for number in range(1, 6)]
    one, two, three, four, _ = parts
    assert "2 of 5 shards are missing: 2, 5" in refused(cli, tmp_path, one, three, four)
    assert "given twice" in refused(cli, tmp_path, *parts, copied / ".." / "shards" / "3.csv")
    shutil.copy(two, copied / "again.csv")
    shutil.copy(copied / "2.csv.shard.json", copied / "again.csv.shard.json")
    error = refused(cli, tmp_path, *parts, copied / "again.csv")
    assert "shard 2/5" in error and str(two) in error and "again.csv" in error
    (copied / "again.csv.shard.json").unlink()
    assert "again.csv.shard.json" in refused(cli, tmp_path, *parts[:1], *parts[2:], copied / "again.csv")
    assert "no such" in refused(cli, tmp_path, *parts, copied / "6.csv").lower()
    # Other runs.
    other = write_red_or_blue(tmp_path / "other.onnx", green=1.0)
    base = ("classify", people, "--faces", "off", "--no-isolate", "--workers", 1)
    for name, options in {
        "model": ("--model", other, "--shard", "5/5"),
        "threshold": ("--model", red_or_blue, "--shard", "5/5", "--threshold", 0.9),
        "labels": ("--model", red_or_blue, "--shard", "5/5", "--no-labels"),
        "of one N": ("--model", red_or_blue, "--shard", "6/6"),
    }.items():
        cli(*base, *options, "--out", copied / "other.csv", "--overwrite")
        error = refused(cli, tmp_path, *parts[:4], copied / "other.csv")
        assert name in error and "other.csv" in error
    # A run of all photos takes the place of a shard: what was noted of that is gone.
    cli(*base, "--model", red_or_blue, "--out", copied / "other.csv", "--overwrite")
    assert not (copied / "other.csv.shard.json").exists()


def test_a_part_that_was_damaged_is_named(cli: Cli, copied: Path, tmp_path: Path) -> None:
    parts = [copied / f"{number}.csv" for number in range(1, 6)]
    part, record = copied / "3.csv", copied / "3.csv.shard.json"
    rows, noted = part.read_text(), record.read_text()
    lines = rows.splitlines(keepends=True)
    for content in (
        "".join(lines[:-1]),
        "".join([*lines, lines[-1].replace("others", "more")]),
        rows.replace(lines[1].split(",")[0], "elsewhere.png"),
        "",
        lines[0],
        rows[:-30],
    ):
        part.write_text(content)
        assert str(part) in refused(cli, tmp_path, *parts)
    part.write_text(rows)
    data = json.loads(noted)
    for changed in (
        noted[:200],
        "[1]",
        *(json.dumps({**data, key: value}) for key, value in (("shard", "7/5"), ("before", "?"), ("layout", 1))),
        json.dumps({**data, "bias": ["x"]}),
        json.dumps({**data, "schema": 2}),
        json.dumps({key: value for key, value in data.items() if key != "digest"}),
    ):
        record.write_text(changed)
        assert str(record) in refused(cli, tmp_path, *parts)


def test_missing_shards_are_left_out_where_that_is_said(cli: Cli, shards: Path, tmp_path: Path) -> None:
    parts = [shards / f"{number}.csv" for number in (4, 1, 3)]
    result = cli("merge", *parts, "--out", tmp_path / "r.csv", "--allow-missing")
    assert result.exit_code == 0 and "2 of 5 shards are missing: 2, 5" in result.stderr
    one = pd.read_csv(shards / "one.csv", keep_default_na=False)
    there = set().union(*(pd.read_csv(part).path for part in parts))
    expected = one[one.path.isin(there)].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "r.csv", keep_default_na=False), expected)


def test_photos_that_changed_between_the_shards_are_told_and_no_row_is_lost(
    cli: Cli, red_or_blue: Path, people: Path, tmp_path: Path
) -> None:
    shutil.copytree(people, tmp_path / "photos")
    line = ("classify", tmp_path / "photos", "--model", red_or_blue, "--faces", "off", "--no-isolate")
    for number in (1, 2):
        assert cli(*line, "--shard", f"{number}/2", "--out", tmp_path / f"{number}.csv").exit_code == 0
        for index in range(4):
            write_picture(tmp_path / "photos" / "added" / f"{index}.png", BLUE)
    result = cli("merge", tmp_path / "1.csv", tmp_path / "2.csv", "--out", tmp_path / "r.csv")
    assert result.exit_code == 0 and "not the same for all shards" in result.stderr
    parts = [pd.read_csv(tmp_path / f"{number}.csv") for number in (1, 2)]
    merged = list(pd.read_csv(tmp_path / "r.csv").path)
    assert sorted(merged) == sorted([*parts[0].path, *parts[1].path]) and any("added" in path for path in merged)


def test_results_of_no_shard_are_merged_by_their_paths_and_may_not_overlap(
    cli: Cli, red_or_blue: Path, tmp_path: Path
) -> None:
    for index in range(12):
        write_picture(tmp_path / "photos" / "ab"[index % 2] / f"{index:02}.png", (RED, BLUE)[index % 2])
    line = ("classify", "--model", red_or_blue, "--faces", "off", "--no-isolate")
    files = sorted((tmp_path / "photos").rglob("*.png"))
    for name, some in {"x": files[::2], "y": files[1::2], "z": files[4:8], "backwards": files[3::-1]}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(map(str, some)))
        assert cli(*line, "--from-list", tmp_path / f"{name}.txt", "--out", tmp_path / f"{name}.csv").exit_code == 0
    (tmp_path / "all.txt").write_text("\n".join(map(str, files)))
    cli(*line, "--from-list", tmp_path / "all.txt", "--out", tmp_path / "one.csv")
    merged = cli("merge", tmp_path / "y.csv", tmp_path / "x.csv", "--out", tmp_path / "m.csv")
    assert merged.exit_code == 0 and (tmp_path / "m.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    error = refused(cli, tmp_path, tmp_path / "x.csv", tmp_path / "z.csv")
    assert "stands in" in error and "x.csv" in error and "z.csv" in error
    assert "not in the order of their paths" in refused(cli, tmp_path, tmp_path / "z.csv", tmp_path / "backwards.csv")
    rows = (tmp_path / "z.csv").read_text()
    (tmp_path / "others.csv").write_text(rows.replace("p_female", "p_cat").replace("Female", "Cat"))
    assert "p_cat" in refused(cli, tmp_path, tmp_path / "x.csv", tmp_path / "others.csv")
    (tmp_path / "text.csv").write_text("name,age\nAnna,3\n")
    assert "text.csv" in refused(cli, tmp_path, tmp_path / "x.csv", tmp_path / "text.csv")
    assert not list(tmp_path.glob("r.*"))


def test_what_is_there_is_not_replaced_unasked_and_is_kept_where_a_merge_fails(
    cli: Cli, shards: Path, tmp_path: Path
) -> None:
    parts = [shards / f"{number}.csv" for number in range(1, 6)]
    out, report = tmp_path / "r.csv", tmp_path / "r.report.json"
    out.write_text("mine")
    assert "--overwrite" in one_line_error(cli("merge", *parts, "--out", out))
    assert "missing" in one_line_error(cli("merge", *parts[1:], "--out", out, "--overwrite"))
    assert out.read_text() == "mine"
    assert cli("merge", *parts, "--out", out, "--overwrite").exit_code == 0
    assert out.read_bytes() == (shards / "one.csv").read_bytes()
    out.unlink()
    assert str(report) in one_line_error(cli("merge", *parts, "--out", out))
    copy = shutil.copy(parts[0], tmp_path / "1.csv")
    shutil.copy(f"{parts[0]}.shard.json", f"{copy}.shard.json")
    assert "one of the parts" in one_line_error(cli("merge", copy, *parts[1:], "--out", copy, "--overwrite"))
    assert Path(copy).read_bytes() == parts[0].read_bytes()

    def full_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    line = [sys.executable, "-m", "batchgender", "merge", *map(str, parts), "--out", str(tmp_path / "full.csv")]
    ran = subprocess.run(line, capture_output=True, text=True, preexec_fn=full_disk)
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1 and "can't write" in ran.stderr
    assert not list(tmp_path.glob("full.*"))


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5", "", "1/99999999", "½/3"])
def test_what_is_no_shard_is_wrong_usage(cli: Cli, shard: str, people: Path, tmp_path: Path) -> None:
    result = cli("classify", people, "--out", tmp_path / "r.csv", "--shard", shard)
    assert result.exit_code == 2 and "I/N" in result.stderr


def test_a_shard_is_resumed_as_that_shard_alone(cli: Cli, red_or_blue: Path, people: Path, tmp_path: Path) -> None:
    def full_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, 1_500))

    line = ["classify", str(people), "--model", str(red_or_blue), "--faces", "off", "--no-isolate"]
    assert cli(*line, "--shard", "1/2", "--out", tmp_path / "whole.csv").exit_code == 0
    line += ["--out", str(tmp_path / "r.csv")]
    program = [sys.executable, "-m", "batchgender", *line, "--shard", "1/2"]
    stopped = subprocess.run(program, capture_output=True, text=True, preexec_fn=full_disk)
    assert stopped.returncode == 1 and (tmp_path / "r.csv.part").stat().st_size == 1_500
    assert not (tmp_path / "r.csv.shard.json").exists()
    for other in (("--shard", "2/2"), ()):
        assert "another shard" in one_line_error(cli(*line, *other, "--resume"))
    assert cli(*line, "--shard", "1/2", "--resume").exit_code == 0
    for ending in ("csv", "csv.shard.json", "report.json"):
        assert (tmp_path / f"r.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()


def test_it_says_how_many_photos_a_shard_has(cli: Cli, red_or_blue: Path, people: Path, tmp_path: Path) -> None:
    line = ("classify", people, "--model", red_or_blue, "--faces", "off", "--shard", "2/4")
    result = cli(*line, "--out", tmp_path / "r.csv")
    found = re.search(r"shard 2/4: (\d+) of 70 photos", result.stderr)
    assert found and int(found[1]) == len(pd.read_csv(tmp_path / "r.csv"))
    counted = cli(*line, "--dry-run")
    assert re.search(rf"^photos +{found[1]}$", counted.stdout, re.M)
