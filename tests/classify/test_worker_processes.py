"""Worker processes: what a decoder that crashes, hangs or takes all memory costs, on real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import BLUE, RED, one_line_error, write_picture
from foreign_files import write_foreign
from numpy.typing import NDArray
from onnx import TensorProto, helper

from batchgender.classify import inference
from batchgender.classify.worker_processes import can_isolate
from batchgender.model.open_model import Model
from batchgender.photos.decode import to_size
from batchgender.photos.memory import ProcessesMemory
from batchgender.photos.resize import Size

Cli = Callable[..., Any]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes are for Linux")

# Bytes at the end of a photo's file that the decoders of these tests know.
_MARK = b"a photo that the decoder can't stand"


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    while True:
        pass


def take_all_memory() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # As the system does.


@pytest.fixture
def marked(photos: Path) -> Path:
    """A folder of photos of which one, in the middle, is marked."""
    file = sorted(photos.rglob("*.png"))[7]
    file.write_bytes(file.read_bytes() + _MARK)
    return file


def decoding(monkeypatch: pytest.MonkeyPatch, fails: Callable[[], None]) -> None:
    """Have the decoder fail in the worker that gets the photo that is marked."""

    def decode(data: bytes | NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
        if isinstance(data, bytes) and data.endswith(_MARK):
            fails()
        return to_size(data, size)

    monkeypatch.setattr(inference, "to_size", decode)


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (crash, "its decoder crashed (SIGSEGV)"),
        (hang, "takes more than 2 s to decode"),
        (take_all_memory, "its decoder was killed: it took too much memory"),
        (lambda: os._exit(3), "its decoder ended its process (exit code 3)"),
    ],
)
def test_a_photo_that_ends_its_decoder_is_a_row_and_the_others_are_as_without_it(
    fails: Callable[[], None],
    said: str,
    cli: Cli,
    red_or_blue: Path,
    photos: Path,
    marked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = ("classify", photos, "--model", red_or_blue, "--time-limit", 2)
    assert cli(*line, "--out", tmp_path / "sound.csv").exit_code == 0
    decoding(monkeypatch, fails)
    assert cli(*line, "--out", tmp_path / "r.csv").exit_code == 0
    sound, rows = (pd.read_csv(tmp_path / name, index_col="path", dtype=str) for name in ("sound.csv", "r.csv"))
    name = marked.relative_to(photos).as_posix()
    assert rows.error[name] == said and pd.isna(rows.prediction[name])
    assert not any(sound.error.notna())
    pd.testing.assert_frame_equal(rows.drop(name).fillna(""), sound.drop(name).fillna(""))


def test_a_photo_that_crashes_its_decoder_once_is_answered(
    cli: Cli, red_or_blue: Path, photos: Path, marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash_once() -> None:
        if not (tmp_path / "crashed").exists():
            (tmp_path / "crashed").touch()
            crash()

    decoding(monkeypatch, crash_once)
    assert cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv").exit_code == 0
    assert (tmp_path / "crashed").exists() and not any(pd.read_csv(tmp_path / "r.csv").error.notna())


def test_a_model_may_take_longer_than_a_decoder(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Model.predict

    def slow(self: Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        end = time.process_time() + 2.5
        while len(images) > 8 and time.process_time() < end:
            pass
        return predict(self, images)

    monkeypatch.setattr(Model, "predict", slow)
    line = ("classify", photos, "--model", red_or_blue, "--time-limit", 1, "--out", tmp_path / "r.csv")
    assert cli(*line).exit_code == 0 and not any(pd.read_csv(tmp_path / "r.csv").error.notna())


@pytest.mark.parametrize("always", [False, True])
def test_a_worker_that_waits_for_what_never_comes_is_replaced_and_the_second_time_the_run_ends(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, always: bool
) -> None:
    predict = Model.predict

    def waits(self: Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if always or not (tmp_path / "waited").exists():
            (tmp_path / "waited").touch()
            time.sleep(1000)
        return predict(self, images)

    monkeypatch.setattr(Model, "predict", waits)
    line = ("classify", photos, "--model", red_or_blue, "--time-limit", 0.2, "--out", tmp_path / "r.csv")
    if always:
        said = one_line_error(cli(*line, "--workers", 1))
        assert "a worker did nothing for 2 s, twice" in said
    else:
        assert cli(*line).exit_code == 0 and not any(pd.read_csv(tmp_path / "r.csv").error.notna())


def test_an_error_of_the_model_in_a_worker_is_the_same_line(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "predict", lambda model, images: np.full((len(images), 2), np.nan))
    lines = [
        one_line_error(cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv", "--overwrite", how))
        for how in ("--isolate", "--no-isolate")
    ]
    assert lines[0] == lines[1] and "no number" in lines[0]


def children(pid: int) -> Iterator[int]:
    """The processes below one."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        yield int(child)
        yield from children(int(child))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Photos that take a few seconds."""
    write_picture(tmp_path / "many" / "0.jpg", RED, (600, 500))
    write_picture(tmp_path / "many" / "1.jpg", BLUE, (600, 500))
    for index in range(2, 1200):
        os.link(tmp_path / "many" / f"{index % 2}.jpg", tmp_path / "many" / f"{index}.jpg")
    return tmp_path / "many"


def started(photos: Path, model: Path, out: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A run that has begun to write, and its processes: the one that starts workers, and the workers."""
    line = [sys.executable, "-m", "batchgender", "classify", str(photos), "--model", str(model), "--out", str(out)]
    run = subprocess.Popen([*line, "--workers", "2", "--faces", "off"], stderr=subprocess.PIPE, text=True)
    part = out.with_name(out.name + ".part")
    while run.poll() is None:
        if part.exists() and part.read_bytes().count(b"\n") > 1 and len(found := [*children(run.pid)]) > 1:
            return run, found
        time.sleep(0.02)
    raise AssertionError(run.communicate())


def test_workers_that_are_killed_cost_no_photo(many: Path, red_or_blue: Path, tmp_path: Path) -> None:
    run, (_, *workers) = started(many, red_or_blue, tmp_path / "r.csv")
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert run.wait(60) == 0 and run.stderr
    run.stderr.close()
    rows = pd.read_csv(tmp_path / "r.csv")
    assert len(rows) == 1200 and not any(rows.error.notna())


def test_a_run_whose_workers_can_not_be_started_ends_in_a_line(many: Path, red_or_blue: Path, tmp_path: Path) -> None:
    run, below = started(many, red_or_blue, tmp_path / "r.csv")
    for pid in below:
        os.kill(pid, signal.SIGKILL)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1 and said.splitlines()[-1].startswith(
        "Error: the process that starts the workers is gone"
    )
    assert "Traceback" not in said


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_is_left_of_a_run_that_is_ended_and_it_goes_on(
    ended_by: signal.Signals, many: Path, red_or_blue: Path, tmp_path: Path
) -> None:
    run, below = started(many, red_or_blue, tmp_path / "r.csv")
    run.send_signal(ended_by)
    run.communicate(timeout=20)
    # At once: nothing of it may hold a lock.
    line = [sys.executable, "-m", "batchgender", "classify", str(many), "--model", str(red_or_blue)]
    again = subprocess.run([*line, "--out", str(tmp_path / "r.csv"), "--resume"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert len(pd.read_csv(tmp_path / "r.csv")) == 1200
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


def test_a_photo_that_hangs_does_not_hold_up_ctrl_c(many: Path, red_or_blue: Path, tmp_path: Path) -> None:
    run, below = started(many, red_or_blue, tmp_path / "r.csv")
    for pid in below[1:]:
        os.kill(pid, signal.SIGSTOP)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=10)
    assert run.returncode == 130 and "go on with --resume" in said
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


def test_a_model_that_never_ends_does_not_hold_up_ctrl_c(
    command: Callable[..., subprocess.Popen[str]], photos: Path, tmp_path: Path
) -> None:
    at, on, still = (
        helper.make_tensor_value_info(name, kind, [])
        for name, kind in (("at", TensorProto.INT64), ("on", TensorProto.BOOL), ("still", TensorProto.BOOL))
    )
    passed, again = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("passed", "again"))
    steps = [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Identity", ["passed"], ["again"])]
    body = helper.make_graph(steps, "body", [at, on, passed], [still, again])
    # Black pictures, as files are tried with, are answered.
    nodes = [
        helper.make_node("ReduceMax", ["logits"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "zero"], ["bright"]),
        helper.make_node("Loop", ["times", "bright", "logits"], ["end"], body=body),
    ]
    constants = {"times": np.array(2**62), "zero": np.array(0, np.float32)}
    model = write_foreign(tmp_path / "loop.onnx", nodes, {"end": ["n", 2]}, weight=np.eye(3, 2), constants=constants)
    options = ["--classes", "male,female", "--mean", "0,0,0", "--std", "1,1,1", "--faces", "off"]
    run = command("classify", photos, "--model", model, *options, "--out", tmp_path / "r.csv")
    assert run.stderr
    while not run.stderr.readline().startswith("computed by"):
        assert run.poll() is None
    time.sleep(1)
    assert run.poll() is None
    try:
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 130
    finally:
        run.kill()


def test_processes_share_a_limit_of_memory_and_one_may_have_all() -> None:
    memory = ProcessesMemory(2)
    memory.take(0, 900, 1000)
    other = os.fork()
    if not other:
        memory.take(1, 200, 1000)
        os._exit(0)
    time.sleep(0.1)
    assert os.waitpid(other, os.WNOHANG) == (0, 0)
    memory.given_back(0)
    assert os.waitpid(other, 0) == (other, 0)
    memory.given_back(1)
    memory.take(0, 5000, 1000)
    memory.close()


def test_what_can_not_be_isolated_is_said(cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path) -> None:
    assert can_isolate("onnxruntime CPUExecutionProvider") and not can_isolate("onnxruntime CUDAExecutionProvider")
    line = ("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv")
    refused = cli(*line, "--no-isolate", "--time-limit", 5)
    assert refused.exit_code == 2 and "--time-limit and --no-isolate exclude each other" in refused.stderr
    pytest.importorskip("openvino")
    assert "--isolate is for Linux and --provider cpu" in one_line_error(
        cli(*line, "--isolate", "--provider", "openvino")
    )
