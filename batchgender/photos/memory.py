"""Memory that photos take at one time: a limit over all threads, so that no photo costs the run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

from batchgender.errors import UnreadablePhoto

# Below this the system is not asked what it has left: it takes longer than the photo.
_ALWAYS_THERE = 2**28
_CGROUP = Path("/sys/fs/cgroup")


class MemoryLimit:
    """A number of bytes that threads share; who asks for more than is left waits, and the largest has it alone.

    Up to `unasked` bytes are not counted: a core has one photo at a time.
    """

    def __init__(self, limit: int, unasked: int) -> None:
        self.limit, self.unasked = limit, unasked
        self._held = 0
        self._changed = Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Hold `count` bytes for the time of the block, once they are free; do not nest it in one thread.

        Raises UnreadablePhoto where the machine, or the container, has not so much left.
        """
        if count <= self.unasked:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + count <= self.limit)
            self._held += count
        try:
            if count > _ALWAYS_THERE and count > (left := memory_left()):
                raise UnreadablePhoto(f"needs {count / 1e6:,.0f} MB of memory, and {left / 1e6:,.0f} MB are left here")
            yield
        finally:
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
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
        # What the page cache holds is given back when it is needed.
        cached = [int(line.split()[1]) for line in _lines(_CGROUP / "memory.stat") if line.startswith("file ")]
        left.append(int(limit) - int(used) + sum(cached))
    except (OSError, ValueError):
        pass  # No cgroup v2 here, or "max": no limit.
    left += _left_of_address_space()
    return min(left, default=float("inf"))


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="ascii").splitlines()


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
