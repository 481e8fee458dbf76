"""Mutated files through the code that reads them, in worker processes: what crashes, hangs, raises, or takes memory.

    python tests/fuzz/fuzzing.py --inputs 100000 --seed 1

prints a line for each finding and a summary; `--only images --input 17` reads one input again, in this process.
"""

import argparse
import mmap
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    tests = Path(__file__).resolve().parent.parent
    sys.path[1:1] = [str(tests), str(tests.parent)]

from fuzz_mutation import mutated
from fuzz_targets import EXPECTED, NAMES, Target, target

# What a worker is at: its input, the wall-clock and processor seconds at which it began, and whether it has ended.
_STATE = struct.Struct("=qdd?")
# Of a core, for one input; of the clock, on a machine that is busy, so many times that.
_SECONDS, _PATIENCE = 20.0, 10
MEMORY = 1536 * 2**20


@dataclass
class Report:
    """What came of the inputs of a target: how many were read, refused, and what was found; `peak` is in bytes."""

    target: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    peak: int = 0


def read_one(name: str, seed: int, number: int, folder: Path, loaded: Target | None = None) -> str:
    """Read one input; "read", "refused", or what went wrong."""
    found = loaded or target(name)
    ending, data = found.seeds[number % len(found.seeds)]
    file = folder / f"input{ending}"
    others = [other for _, other in found.seeds]
    file.write_bytes(mutated(data, others, f"{name} {seed} {number}"))
    try:
        found.read(file)
    except EXPECTED:
        return "refused"
    except Exception:
        where = traceback.format_exc().strip().splitlines()
        return f"traceback: {where[-1][:200]} ({where[-3].strip() if len(where) > 2 else ''})"
    return "read"


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _work(name: str, seed: int, numbers: range, states: mmap.mmap, at: int, log: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # Of the one who forked it, which may be a whole run of tests.
    inherited = _peak()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        loaded = target(name)
        for number in numbers:
            _STATE.pack_into(states, at * _STATE.size, number, time.monotonic(), time.process_time(), False)
            found = read_one(name, seed, number, Path(folder), loaded)
            os.write(log, f"{number} {_peak() - inherited} {found}\n".encode()[:1000])
    _STATE.pack_into(states, at * _STATE.size, 0, 0, 0, True)


def fuzz(name: str, inputs: int, seed: int, workers: int = 2) -> Report:
    """Read so many inputs of a target; a worker that dies or hangs is a finding, and the next one goes on after it."""
    report = Report(name)
    states = mmap.mmap(-1, workers * _STATE.size)
    running: dict[int, int] = {}
    seen: dict[int, tuple[int, float, float, bool]] = {}
    with tempfile.TemporaryFile() as log:

        def start(at: int, numbers: range) -> None:
            _STATE.pack_into(states, at * _STATE.size, numbers.start, time.monotonic() + 60, 60, False)
            if pid := os.fork():
                running[pid] = at
                return
            try:
                _work(
                    name, seed, numbers, states, at, os.open(f"/proc/self/fd/{log.fileno()}", os.O_WRONLY | os.O_APPEND)
                )
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)

        for at in range(workers):
            start(at, range(at, inputs, workers))
        while running:
            time.sleep(0.05)
            for pid, at in list(running.items()):
                state = _STATE.unpack_from(states, at * _STATE.size)
                # One that is seen twice was not read while it was written.
                hangs = state == seen.get(at) and _hangs(pid, *state[1:])
                seen[at] = state
                if hangs:
                    os.kill(pid, signal.SIGKILL)
                done, status = os.waitpid(pid, 0 if hangs else os.WNOHANG)
                if not done:
                    continue
                del running[pid]
                if code := os.waitstatus_to_exitcode(status):
                    number: int = state[0]
                    what = f"hangs for {_SECONDS:g} s" if hangs else f"crash, exit {code}"
                    report.findings.append(f"{name} {number}: {what}")
                    report.counts["hang" if hangs else "crash"] += 1
                    if number + workers < inputs:
                        start(at, range(number + workers, inputs, workers))
        log.seek(0)
        for line in log.read().decode("utf-8", "replace").splitlines():
            which, peak, found = line.split(" ", 2)
            report.peak = max(report.peak, int(peak))
            report.counts[found.partition(":")[0]] += 1
            if found.startswith("traceback"):
                report.findings.append(f"{name} {which}: {found}")
    if report.peak > MEMORY:
        report.findings.append(f"{name}: takes {report.peak / 2**20:,.0f} MiB")
    return report


def _hangs(pid: int, began: float, used: float, ended: bool) -> bool:
    passed = time.monotonic() - began
    if ended or passed <= _SECONDS:
        return False
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return passed > _PATIENCE * _SECONDS or seconds - used > _SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=7000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--input", type=int, help="read this one alone, with --only; a copy is left in the folder")
    given = parser.parse_args()
    if given.input is not None:
        print(read_one(given.only, given.seed, given.input, Path.cwd()))
        return
    names = (given.only,) if given.only else NAMES
    # To open a model or a checkpoint takes longer than all else.
    weights = {name: {"models": 1, "checkpoints": 2, "images": 30, "archives": 12}.get(name, 8) for name in names}
    total, found = sum(weights.values()), 0
    for name in names:
        began = time.monotonic()
        report = fuzz(name, max(1, given.inputs * weights[name] // total), given.seed, given.workers)
        for line in report.findings:
            print(line)
        counts = ", ".join(f"{count:,} {what}" for what, count in report.counts.most_common())
        print(f"{name}: {counts}; peak {report.peak / 2**20:,.0f} MiB, {time.monotonic() - began:,.0f} s", flush=True)
        found += len(report.findings)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
