"""How many cores this process may use, and work that threads do ahead of the one who asks for it."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

from batchgender.errors import OutOfMemory

Task = TypeVar("Task")
Result = TypeVar("Result")


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
