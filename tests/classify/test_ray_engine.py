"""`classify --engine ray` on a local cluster of two nodes, of which one is lost in the middle."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from conftest import one_line_error

from batchgender.extras import missing_modules

Cli = Callable[..., Result]
Command = Callable[..., "subprocess.Popen[str]"]
pytestmark = [
    pytest.mark.skipif(bool(missing_modules("ray")), reason="Ray is not installed: pip install 'batchgender[ray]'"),
    # Of Ray's own.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 photos, hard links to 20 large ones, so that a node can be lost in the middle; two are broken."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    rng = np.random.default_rng(0)
    for name in ("female", "male"):
        (folder / name).mkdir(parents=True)
    for index in range(20):
        noise = rng.integers(0, 256, (30, 40, 3), np.uint8)
        large = cv2.resize(noise, (1600, 1200), interpolation=cv2.INTER_CUBIC)
        large[..., (0, 2)[index % 2]] = 40
        first = folder / ("female", "male")[index % 2] / f"{index:04}.jpg"
        cv2.imwrite(str(first), large)
        for copy in range(1, 30):
            os.link(first, first.with_name(f"{index + 20 * copy:04}.jpg"))
    for name in ("female/0000.jpg", "male/0001.jpg"):
        (folder / name).unlink()
        (folder / name).write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node of one core; the test adds another."""
    from ray.cluster_utils import Cluster

    started: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield started
    started.shutdown()


def parts_of(out: Path) -> list[Path]:
    return sorted(out.with_name(out.name + ".parts").glob("*.csv"))


def wait_for_parts(process: "subprocess.Popen[str]", out: Path, count: int) -> None:
    while len(parts_of(out)) < count and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def test_a_lost_nodes_photos_are_done_by_others_and_a_stopped_run_goes_on(
    cluster: Any, cli: Cli, command: Command, red_or_blue: Path, many: Path, tmp_path: Path
) -> None:
    line = ("classify", many, "--model", red_or_blue, "--faces", "off")
    assert cli(*line, "--out", tmp_path / "local.csv").exit_code == 0
    out, on_ray = tmp_path / "r.csv", ("--engine", "ray", "--ray-address", cluster.address)
    second = cluster.add_node(num_cpus=1)
    process = command(*line, *on_ray, "--out", out)
    wait_for_parts(process, out, 2)
    cluster.remove_node(second, allow_graceful=False)
    wait_for_parts(process, out, 3)
    # A third of the shards later the run itself is stopped.
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    assert process.returncode == 130 and "go on with --resume" in errors and "Traceback" not in errors
    kept = {part: part.stat().st_mtime_ns for part in parts_of(out)}
    assert 3 <= len(kept) < 8 and not out.exists()

    refused = cli(*line, *on_ray, "--out", out)
    assert "--resume" in one_line_error(refused)
    resumed = command(*line, *on_ray, "--out", out, "--resume")
    wait_for_parts(resumed, out, len(kept) + 1)
    assert all(part.stat().st_mtime_ns == at for part, at in kept.items())
    errors = resumed.communicate()[1]
    assert resumed.returncode == 0, errors
    assert f"8 shards, {len(kept)} of them done before" in errors
    assert out.read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert (tmp_path / "r.report.json").read_bytes() == (tmp_path / "local.report.json").read_bytes()
    assert not list(tmp_path.glob("r.csv.*"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "ray://127.0.0.1:10001", "127.0.0.1:99999", ":1"])
def test_where_there_is_no_cluster_a_line_says_so_at_once(
    cli: Cli, red_or_blue: Path, many: Path, tmp_path: Path, address: str
) -> None:
    line = ("classify", many, "--model", red_or_blue, "--faces", "off", "--engine", "ray", "--ray-address", address)
    assert address in one_line_error(cli(*line, "--out", tmp_path / "r.csv"))
    assert not list(tmp_path.iterdir())


def test_what_is_for_one_process_is_wrong_usage(cli: Cli, many: Path, tmp_path: Path) -> None:
    line = ("classify", many, "--engine", "ray")
    for options in (
        ("--out", "-"),
        ("--out", tmp_path / "r.csv", "--shard", "1/2"),
        ("--out", tmp_path / "r.csv", "--provider", "cuda"),
        ("--dry-run",),
    ):
        assert cli(*line, *options).exit_code == 2
    assert cli("classify", many, "--out", tmp_path / "r.csv", "--ray-address", "auto").exit_code == 2
