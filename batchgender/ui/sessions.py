"""What is kept for each page that is open: its uploads, its answers and a folder, until it is closed."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from batchgender.ui.answers import Answers


class Session:
    """One open page. `folder` is its own; `answers` are those of its last run, `chosen` the photo to explain."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads: set[str] = set()
        self.answers: Answers | None = None
        self.chosen = 0
        self.threshold: float | None = None
        self.open = True


class Sessions:
    """The pages that are open, by the name that Gradio gives each; their folders lie in `root`."""

    def __init__(self, root: Path) -> None:
        self._root, self._sessions, self._lock = root, dict[str, Session](), Lock()

    def get(self, name: str) -> Session:
        """The session of an open page, made at its first use."""
        with self._lock:
            if name not in self._sessions:
                folder = self._root / f"session-{len(self._sessions)}-{name}"
                folder.mkdir(parents=True)
                self._sessions[name] = Session(folder)
            return self._sessions[name]

    def keep(self, name: str, uploads: Sequence[str]) -> Session:
        """Note which uploads are a page's, in the place of those before; these are deleted."""
        session = self.get(name)
        with self._lock:
            before, session.uploads = session.uploads, set(uploads)
            self._delete(before)
        return session

    def end(self, name: str) -> None:
        """A page was closed: delete what was kept for it."""
        with self._lock:
            session = self._sessions.pop(name, None)
            if session is None:
                return
            session.open, session.answers = False, None
            self._delete(session.uploads)
            shutil.rmtree(session.folder, ignore_errors=True)

    def _delete(self, uploads: set[str]) -> None:
        """Delete uploads, but for those of other pages: a file that two upload is kept once."""
        used = set[str]().union(*(session.uploads for session in self._sessions.values()))
        for file in uploads - used:
            with suppress(OSError):
                Path(file).unlink()
                # Its name is made of what the file held.
                Path(file).parent.rmdir()
