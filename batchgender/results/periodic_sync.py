"""Has rows on the disk every few seconds, whatever a run waits for meanwhile."""

from collections.abc import Callable
from threading import Event, Thread

# What a power cut costs at most.
SECONDS = 5.0


class PeriodicSync:
    """Calls `sync` on a thread of its own, `SECONDS` after something was written at the latest.

    A full disk, or one that is gone, shows itself to some programs in a sync alone: `note_written` raises its OSError.
    """

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._written, self._ended = Event(), Event()
        self._failure: OSError | None = None
        self._thread = Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def note_written(self) -> None:
        """Have what was written until now synced; raises OSError where an earlier sync failed."""
        if self._failure:
            raise self._failure
        self._written.set()

    def close(self) -> None:
        """Sync no more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SECONDS):
            if self._written.is_set():
                self._written.clear()
                try:
                    self._sync()
                except OSError as error:
                    self._failure = error
                    return
