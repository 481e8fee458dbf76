"""Some of the inputs of `fuzzing.py`, a folder of broken photos through `classify`, and tables of any structure."""

import csv
from pathlib import Path
from typing import Any

import pytest
from fuzz_mutation import mutated
from fuzz_targets import EXPECTED, NAMES, target
from fuzzing import MEMORY, fuzz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgender.io import silent
from batchgender.photos.labels_file import read_labels
from batchgender.photos.path_table import join_by_path, read_path_table
from batchgender.report.compare_results import compare_results, comparison_text
from batchgender.results.answers import read_answers

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the harness forks, and reads /proc")
# To open a model or a checkpoint takes longer than all else.
_INPUTS = {"models": 12, "results": 80, "checkpoints": 30, "images": 400}


@pytest.mark.parametrize("name", NAMES)
def test_mutated_files_are_read_or_refused(name: str) -> None:
    report = fuzz(name, _INPUTS.get(name, 150), seed=0)
    assert report.findings == []
    assert report.counts.total() == _INPUTS.get(name, 150)
    assert report.counts["refused"] and report.peak < MEMORY


def test_a_folder_of_broken_photos_has_a_row_for_each(cli: Any, red_or_blue: Path, tmp_path: Path) -> None:
    photos, seeds = tmp_path / "photos", target("images").seeds
    photos.mkdir()
    for number in range(150):
        ending, data = seeds[number % len(seeds)]
        changed = mutated(data, [other for _, other in seeds], f"folder {number}")
        (photos / f"{number:03}{ending}").write_bytes(changed)
    out = tmp_path / "results.csv"
    done = cli("classify", photos, "--model", red_or_blue, "--faces", "off", "--out", out)
    assert done.exit_code == 0, done.output
    with open(out, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == sorted(file.name for file in photos.iterdir())
    assert all(bool(row["prediction"]) != bool(row["error"]) for row in rows)


_CELLS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["nan", "-1", "1e999", "Female", "", "9" * 5000]
)
_HEADERS = st.lists(
    st.sampled_from(
        ["path", "label", "new_label", "prediction", "confidence", "error", "p_female", "p_male", "face", "time"]
    )
    | _CELLS,
    max_size=8,
)
_QUICK = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@_QUICK
@given(header=_HEADERS, rows=st.lists(st.lists(_CELLS, max_size=8), max_size=5), whole=st.booleans())
def test_a_table_of_any_structure_is_read_or_refused(
    tmp_path: Path, header: list[str], rows: list[list[str]], whole: bool
) -> None:
    file = tmp_path / "table.csv"
    with open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows([(row * 8)[: len(header)] if whole and row else row for row in rows])
    for read in (
        lambda: join_by_path(read_path_table(str(file)), lambda: ["a.jpg", "b/c.jpg"], silent),
        lambda: read_labels(str(file), silent),
        lambda: read_answers(str(file)).labelled(),
        lambda: comparison_text(compare_results(str(file), str(file))),
    ):
        try:
            read()
        except EXPECTED:
            continue
