import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchgender.errors import UserError
from batchgender.io import silent
from batchgender.lock import lock_file, locked

_HOLD = """
import sys
from batchgender.lock import locked
with locked(sys.argv[1:], print):
    print("held", flush=True)
    sys.stdin.read()
"""
_COUNT = """
import sys
from batchgender.errors import UserError
from batchgender.lock import locked
counter = sys.argv[1]
wins = 0
while wins < 200:
    try:
        with locked([counter], print):
            count = int(open(counter).read())
            open(counter, "w").write(str(count + 1))
            wins += 1
    except UserError:
        pass
"""


def hold(*files: Path) -> subprocess.Popen[str]:
    """A process that holds these locks until its stdin is closed."""
    line = [sys.executable, "-c", _HOLD, *map(str, files)]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def refused(file: Path) -> str:
    with pytest.raises(UserError) as error, locked([file], silent):
        pass
    return str(error.value)


def test_a_second_process_is_refused_with_the_firsts_id_and_free_afterwards(tmp_path: Path) -> None:
    out = tmp_path / "new" / "r.csv"
    with hold(out) as first:
        message = refused(out)
        assert message.startswith(f"{out}: another run (process {first.pid} on ") and "choose another name" in message
    # The folder was made for it, and nothing was written there.
    assert list(tmp_path.iterdir()) == []
    with locked([out], silent):
        assert lock_file(out).exists()
        out.touch()
    assert list(out.parent.iterdir()) == [out]


def test_a_lock_ends_with_its_process_and_the_file_it_leaves_hinders_nobody(tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    with hold(out) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert lock_file(out).exists()
    with hold(out) as second:
        assert f"process {second.pid} " in refused(out)
    assert not lock_file(out).exists()


def test_every_name_of_a_file_has_the_same_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    names = [Path("r.csv"), tmp_path / "link" / "r.csv", Path("deep/../r.csv"), tmp_path / "real" / "r.csv"]
    with hold(names[0]):
        for name in names:
            assert "another run" in refused(name)
    # Given twice to one run, it is no conflict.
    with locked(names, silent):
        pass
    assert [file for file in (tmp_path / "real").iterdir() if file.is_file()] == []


def test_a_block_that_fails_gives_its_locks_back_and_one_lock_refused_gives_back_the_others(tmp_path: Path) -> None:
    first, second = tmp_path / "r.csv", tmp_path / "report.json"
    with pytest.raises(KeyboardInterrupt), locked([first, second], silent):
        raise KeyboardInterrupt
    with hold(second):
        with pytest.raises(UserError, match=r"report\.json: another run"), locked([first, second], silent):
            pass
        assert not lock_file(first).exists()
    assert list(tmp_path.iterdir()) == []


def test_many_processes_that_take_and_remove_one_lock_are_never_in_it_together(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    line = [sys.executable, "-c", _COUNT, str(counter)]
    processes = [subprocess.Popen(line) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    # Two at a time would have read the same count.
    assert int(counter.read_text()) == 4 * 200
    assert not lock_file(counter).exists()


def test_a_folder_that_takes_no_lock_file_ends_in_a_line(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    with pytest.raises(UserError, match="can't write"), locked([unprivileged / "r.csv"], silent):
        pass


def test_what_stands_in_a_lock_file_can_not_spoil_the_line(tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    with hold(out):
        # Not locked against writing, where there are no mandatory locks.
        lock_file(out).write_bytes(b"\x1b[2J\xff\n" + os.urandom(1000))
        message = refused(out)
    assert message.isprintable() and len(message) < 1000
