"""Which earlier rows a run keeps, and what came of it: counts for the one who updates."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Update:
    """How a run goes on from results that are there.

    With `update` it keeps the rows whose photos are as they were, does the new and changed ones, and drops the rows of
    photos that are gone. With `retry_errors` it does those again that could not be read; alone, these only.
    """

    update: bool = False
    retry_errors: bool = False

    @property
    def any(self) -> bool:
        """Whether there is anything to go on from."""
        return self.update or self.retry_errors

    @property
    def only_errors(self) -> bool:
        """Whether photos without an error are left as they are, and no others are looked for."""
        return self.retry_errors and not self.update

    def and_also(self, other: "Update") -> "Update":
        """How a run that was begun so goes on where it is resumed with `other`."""
        update = self.update or (other.update and not self.only_errors)
        return Update(update, self.retry_errors or other.retry_errors)

    @classmethod
    def from_dict(cls, data: Any) -> "Update":
        """From the plain data of `dataclasses.asdict`; nothing where it is none."""
        values = data if isinstance(data, dict) else {}
        return cls(values.get("update") is True, values.get("retry_errors") is True)


NOTHING = Update()


@dataclass
class Changes:
    """How many photos of a run had rows that were kept, are new, changed, tried again, gone.

    `update` says that all photos were compared with earlier results; `by_path` of the kept ones are known by their path
    alone.
    """

    update: bool = False
    kept: int = 0
    new: int = 0
    changed: int = 0
    retried: int = 0
    gone: int = 0
    by_path: int = 0

    def text(self) -> str:
        """The counts in a line; of a run that is no update "" where nothing has changed."""
        if not (self.update or self.changed or self.gone or self.retried):
            return ""
        counts = [
            f"{self.kept:,} rows kept",
            *([f"{self.new:,} photos new"] if self.update else []),
            f"{self.changed:,} changed",
            *([f"{self.retried:,} tried again"] if self.retried else []),
            f"{self.gone:,} gone",
        ]
        unknown = f"; {self.by_path:,} are known by their path alone, for nothing tells when they change"
        return ", ".join(counts) + (unknown if self.update and self.by_path else "")
