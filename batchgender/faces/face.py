"""A face in a photo: its box, as rows show it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Face:
    """A face by its number in the photo, from 1, the largest first, and its box in pixels of the upright photo.

    The box may reach beyond the edges of the photo. `score` is the detector's, 0 to 1, three decimals.
    """

    number: int
    x: int
    y: int
    width: int
    height: int
    score: float

    @property
    def size(self) -> int:
        """The shorter side in pixels: accuracy falls with it."""
        return min(self.width, self.height)
