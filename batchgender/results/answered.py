"""A photo whose rows are known from an earlier run, as content: it is not read again."""

from dataclasses import dataclass

from batchgender.results.rows import Row


@dataclass(frozen=True)
class Answered:
    """What an earlier run wrote of a photo."""

    rows: tuple[Row, ...]
    held = 0

    def size(self) -> int:
        """Nothing to read."""
        return 0

    def read(self, size: int) -> bytes:
        """Nothing."""
        return b""

    def version(self) -> str:
        """Nothing is known of the photo."""
        return ""
