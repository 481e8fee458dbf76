"""What the system tells of changes under folders, by watchfiles (extra `watch`): when to look again."""

import os
from collections.abc import Sequence
from threading import Event, Thread

from batchgender.errors import os_reason
from batchgender.extras import missing_modules
from batchgender.io import first_line

# Milliseconds after which it is known that the system tells, though nothing has changed.
_FIRST_WORD = 1000


class FolderEvents:
    """Wakes who waits when the system tells of a change under folders. To be made once no more processes are forked.

    `tells` says whether it does; `reason` why it never will: the extra is not installed, the system refuses.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._told, self._ended = Event(), Event()
        self._thread: Thread | None = None
        self._followed: list[tuple[int, int] | None] = []
        self._given_up = False
        self.tells, self.reason = False, ""
        if missing_modules("watch"):
            self._given_up, self.reason = True, "the extra batchgender[watch] is not installed"
        self.follow()

    def follow(self, anew: bool = False) -> None:
        """Begin to follow the folders that are there; `anew`, and where one of them is another than it was, again."""
        there = list(map(_identity, self._folders))
        if self._given_up or (there == self._followed and not anew):
            return
        self.close()
        self._followed = there
        if None in there:
            return
        self._ended = Event()
        self._thread = Thread(target=self._run, args=(self._ended,), name="events", daemon=True)
        self._thread.start()

    def give_up(self, reason: str) -> None:
        """Follow no more."""
        self.close()
        self._given_up, self.reason = True, reason

    def wait(self, seconds: float) -> bool:
        """Wait until something is told, `seconds` at most; whether it was."""
        told = self._told.wait(seconds)
        self._told.clear()
        return told

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def _run(self, ended: Event) -> None:
        # Imported for who watches.
        from watchfiles import watch

        try:
            # No filter: a photo may be called anything.
            for changes in watch(
                *self._folders,
                watch_filter=None,
                stop_event=ended,
                rust_timeout=_FIRST_WORD,
                yield_on_timeout=True,
                ignore_permission_denied=True,
            ):
                # The first time, too: what changed until now was not told.
                if changes or not self.tells:
                    self.tells = True
                    self._told.set()
        except OSError as error:
            self.reason = os_reason(error)
        # Of the extension module.
        except Exception as error:
            self.reason = first_line(error)
        self.tells = False
        self._told.set()


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
