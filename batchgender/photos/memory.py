"""Memory that photos take at one time: a limit over all threads or processes, so that no photo costs the run."""

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Condition

from batchgender.errors import UnreadablePhoto

# Below this the system is not asked what it has left: it takes longer than the photo.
_ALWAYS_THERE = 2**28
_CGROUP = Path("/sys/fs/cgroup")
# By version: the files of the limit and of what is used, and the line that counts the page cache.
_CGROUP_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache "),
    2: ("memory.max", "memory.current", "file "),
}
_NOTHING = nullcontext()
# Seconds after which a process that waits for room looks again.
_WAIT = 0.01


class ProcessesMemory:
    """The bytes that each of `count` processes holds of a limit, seen by all that are forked later. For Linux."""

    def __init__(self, count: int) -> None:
        self._held = memoryview(mmap.mmap(-1, 8 * count)).cast("q")
        # A lock on a file is gone with the process that held it. The descriptor is open in all of them.
        self.lock = os.memfd_create("batchgender")

    def close(self) -> None:
        """Close the descriptor, in this process."""
        os.close(self.lock)

    def take(self, number: int, count: int, limit: int) -> None:
        """Hold `count` bytes for a process once they are free; one process may take more than `limit` alone."""
        import fcntl

        while True:
            fcntl.lockf(self.lock, fcntl.LOCK_EX)
            try:
                others = sum(self._held) - self._held[number]
                if not others or others + count <= limit:
                    self._held[number] = count
                    return
            finally:
                fcntl.lockf(self.lock, fcntl.LOCK_UN)
            time.sleep(_WAIT)

    def given_back(self, number: int) -> None:
        """A process holds nothing any more."""
        self._held[number] = 0


class MemoryLimit:
    """A number of bytes that threads share; who asks for more than is left waits, and the largest has it alone.

    Up to `unasked` bytes are not counted: a core has one photo at a time.
    """

    def __init__(self, limit: int, unasked: int) -> None:
        self.limit, self.unasked = limit, unasked
        self._held = 0
        self._changed = Condition()
        self._processes: tuple[ProcessesMemory, int] | None = None

    def share(self, processes: ProcessesMemory, number: int) -> None:
        """Count from now on what other processes hold, too; `number` is this one's among them."""
        self._processes = processes, number

    def taken(self, count: int) -> AbstractContextManager[None]:
        """Hold `count` bytes for the time of the block, once they are free; do not nest it in one thread.

        Raises UnreadablePhoto where the machine, or the container, has not so much left.
        """
        return _NOTHING if count <= self.unasked else self._taken(count)

    @contextmanager
    def _taken(self, count: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + count <= self.limit)
            self._held += count
        try:
            if self._processes:
                processes, number = self._processes
                processes.take(number, count, self.limit)
            if count > _ALWAYS_THERE and count > (left := memory_left()):
                raise UnreadablePhoto(f"needs {count / 1e6:,.0f} MB of memory, and {left / 1e6:,.0f} MB are left here")
            yield
        finally:
            if self._processes:
                self._processes[0].given_back(self._processes[1])
            with self._changed:
                self._held -= count
                self._changed.notify_all()


def memory_left() -> float:
    """How many bytes the machine and the container have left, as far as the system says; else infinite."""
    left = []
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            left += [1024 * int(line.split()[1]) for line in stream if line.startswith("MemAvailable:")]
    except OSError:
        pass  # Not Linux.
    left += [*_left_of_cgroups(), *_left_of_address_space()]
    return min(left, default=float("inf"))


def _left_of_cgroups() -> Iterator[int]:
    """What the control groups of this process leave, of version 1 or 2, those that hold it in turn included."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return  # Not Linux.
    for _, controllers, path in groups:
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _CGROUP / "memory" if controllers else _CGROUP
        limit, used, cached = _CGROUP_FILES[1 if controllers else 2]
        # In a container the path may be that of the host: then only the root is there.
        folder = root / path.lstrip("/")
        for group in (folder, *folder.parents[: len(folder.parts) - len(root.parts)]):
            try:
                numbers = [int((group / name).read_text(encoding="ascii")) for name in (limit, used)]
                lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
            except (OSError, ValueError):
                continue  # No limit here ("max"), or no such group.
            # What the page cache holds is given back when it is needed.
            yield numbers[0] - numbers[1] + sum(int(line.split()[1]) for line in lines if line.startswith(cached))


def _left_of_address_space() -> list[int]:
    """What `ulimit -v` leaves."""
    if os.name != "posix":
        return []
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return []
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return []
    return [limit - pages * os.sysconf("SC_PAGE_SIZE")]
