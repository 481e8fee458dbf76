"""A log of a long run, for programs: a JSON line a minute on how far it is, and how it goes."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Protocol

from batchgender.errors import UserError, os_reason
from batchgender.io import Notify

# Seconds from one line to the next.
LINE_EVERY = 60.0


class Counts(Protocol):
    """What the log counts: photos, and the errors of those that can't be read, by kind."""

    photos: int
    error_kinds: Counter[str]


class RunLog:
    """Appends lines to a file while a `with` block runs: one at its beginning, one a minute, one at its end.

    Each is a JSON object: `time` (ISO 8601, UTC), `event` (begin, running, done, interrupted, failed), `photos` that
    have rows, `total`, None until it is known, `photos_per_second` since the line before (at the end: of the whole
    run), `errors` by kind, `memory_mb` of this process and `workers_memory_mb` of all that it started, None where the
    system does not tell. Raises UserError where the file can't be written at the beginning; later `notify` gets a line.
    """

    def __init__(self, file: str, counts: Counts, notify: Notify) -> None:
        self._file, self._counts, self._notify = file, counts, notify
        self.total: int | None = None
        self._ended, self._lock = Event(), Lock()
        self._began = self._last = (time.monotonic(), counts.photos)
        self._failed = False

    def __enter__(self) -> "RunLog":
        try:
            Path(self._file).parent.mkdir(parents=True, exist_ok=True)
            self._append("begin", self._began)
        except OSError as error:
            raise UserError(f"{self._file}: can't write the log ({os_reason(error)}); choose another") from error
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt)
        self._try_append("done" if kind is None else "interrupted" if stopped else "failed", self._began)

    def _run(self) -> None:
        while not self._ended.wait(LINE_EVERY):
            last = self._last
            self._last = time.monotonic(), self._counts.photos
            self._try_append("running", last)

    def _try_append(self, event: str, since: tuple[float, int]) -> None:
        try:
            self._append(event, since)
        except OSError as error:
            if not self._failed:
                self._notify(f"{self._file}: can't write the log ({os_reason(error)}); the run goes on")
            self._failed = True

    def _append(self, event: str, since: tuple[float, int]) -> None:
        now, photos = time.monotonic(), self._counts.photos
        # Copied at once: the thread that counts goes on.
        kinds = dict(self._counts.error_kinds)
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "event": event,
            "photos": photos,
            "total": self.total,
            "photos_per_second": round((photos - since[1]) / max(now - since[0], 1e-9), 1),
            "errors": kinds,
            "memory_mb": _megabytes([os.getpid()]),
            "workers_memory_mb": _megabytes(_descendants(os.getpid())),
        }
        with self._lock, open(self._file, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def _megabytes(processes: Iterable[int]) -> float | None:
    """The resident memory of processes together; None where the system is not Linux."""
    if not os.path.exists("/proc/self/statm"):
        return None
    pages = 0
    for process in processes:
        # It may have ended.
        with suppress(OSError):
            pages += int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _descendants(process: int) -> Iterator[int]:
    """The processes that a process has started, and those that these have."""
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)
