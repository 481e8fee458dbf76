"""How many cores this process may use, work that threads do ahead of the one who asks for it, and their end."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from batchgender.errors import OutOfMemory

Task = TypeVar("Task")
Result = TypeVar("Result")
# Seconds that threads may take to end for the system, on a machine that is busy; and the states of those that compute.
_ENDED_WITHIN, _RUNS = 5.0, ("R", "D")


def available_cores() -> int:
    """Count the cores that affinity and the container's quota leave, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores  # No cgroup v2 here, or "max": no quota.


def ordered_prefetch(
    pool: Executor,
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    ahead: int,
    held: Callable[[Task], int] = lambda task: 0,
    most: int = 0,
) -> Generator[Result]:
    """Yield `work(task)` for each task, in order, computed on `pool` for up to `ahead` tasks before they are asked for.

    Tasks are taken as they are needed, fewer ahead where they come with more than `most` bytes together; `held` tells a
    task's. When the caller stops, those that have not begun are cancelled. Raises UserError where the system lets no
    thread begin.
    """
    pending: deque[tuple[Future[Result], int]] = deque()
    taken = 0
    try:
        for task in tasks:
            size = held(task)
            taken += size
            try:
                pending.append((pool.submit(work, task), size))
            except RuntimeError as error:
                # A limit of memory or of threads.
                raise OutOfMemory(f"no more threads here ({error}); try --workers 1, or raise the limit") from error
            # The executor lets go of a task once it is done.
            del task
            while len(pending) > ahead or (pending and taken > most):
                future, size = pending.popleft()
                yield future.result()
                taken -= size
        while pending:
            yield pending.popleft()[0].result()
    finally:
        for future, _ in pending:
            future.cancel()


def wait_for_ended_threads() -> None:
    """On Linux, wait until threads that have ended for Python have ended for the system: to be called before a fork.

    Until then they may hold a lock of a library, such as OpenCV's of what each thread keeps. A process that is forked
    meanwhile has it locked for ever.
    """
    end = time.monotonic() + _ENDED_WITHIN
    while _native_threads_run() and time.monotonic() < end:
        time.sleep(0.001)


def _native_threads_run() -> bool:
    """Whether a thread that Python does not know, or no longer, computes: who holds a lock does."""
    known = {thread.native_id for thread in threading.enumerate()}
    for task in Path("/proc/self/task").glob("*"):
        with suppress(OSError):
            state = (task / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            if int(task.name) not in known and state in _RUNS:
                return True
    return False
