"""Progress of long work: a bar on a terminal, elsewhere a line a minute, nothing in a quiet run."""

import sys
import time
from types import TracebackType
from typing import Any

from batchgender.io import Notify, silent

# Seconds between two lines where stderr is no terminal, and after which the first one comes.
LINE_EVERY = 60.0


class Progress:
    """Counts work as it is done, to be used in a `with` block; `total` may be set when it is known."""

    def __init__(self, title: str, unit: str, notify: Notify, total: int | None = None, initial: int = 0) -> None:
        self._title, self._unit, self._notify = title, unit, notify
        self.on_terminal = notify is not silent and sys.stderr is not None and sys.stderr.isatty()
        # tqdm's, imported where one is drawn: it takes as long as to open a model.
        self._bar: Any = None
        if self.on_terminal:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=initial, desc=title, unit=f" {unit}", leave=False, dynamic_ncols=True)
        self.total = total
        self._count = self._initial = initial
        self._started = self._last_line = time.monotonic()

    def set_total(self, total: int) -> None:
        """Say how much there is to do in all."""
        self.total = total
        if self._bar is not None:
            self._bar.total = total

    def update(self, count: int, note: str = "") -> None:
        """So much more is done; `note` is a word on how it goes."""
        self._count += count
        if self._bar is not None:
            self._bar.update(count)
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY:
            self._last_line = now
            of = f" of {self.total:,}" if self.total else ""
            rate = (self._count - self._initial) / (now - self._started)
            added = f", {note}" if note else ""
            self._notify(f"{self._title}: {self._count:,}{of} {self._unit}, {rate:,.0f} {self._unit}/s{added}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
