"""What a photo may claim and take: pixels by its bytes, and memory of all threads together."""

from batchgender.errors import UnreadablePhoto
from batchgender.photos.memory import MemoryLimit

PIXEL_LIMIT = 200_000_000
# Bytes that all threads together decode at one time.
DECODING = MemoryLimit(10**9, unasked=2**24)
# Up to so many pixels the claim of a file costs nothing; above it, so many a byte are no photo in any format.
_CHEAP_PIXELS = 16_000_000
_PIXELS_A_BYTE = 10_000
# What the whole process keeps to; see `lower_pixel_limit`.
_limit = PIXEL_LIMIT


def lower_pixel_limit(limit: int) -> None:
    """Refuse photos of more pixels than `limit`, in this whole process from here on: for photos that strangers send."""
    global _limit
    _limit = min(limit, PIXEL_LIMIT)


def check_claim(width: int, height: int, size: int, pixels_a_byte: float | None = None) -> None:
    """Raise UnreadablePhoto where a file of `size` bytes claims more pixels than the limit, or than it can hold.

    `pixels_a_byte` is what a byte of its format can hold at most, None where that has no bound.
    """
    check_pixels(width * height, f"{width} x {height} pixels", size, pixels_a_byte)


def check_pixels(
    pixels: int, named: str, size: int, pixels_a_byte: float | None = None, limit: int = PIXEL_LIMIT
) -> None:
    """As `check_claim`, of pixels that are no rectangle, or have another limit."""
    limit = limit * _limit // PIXEL_LIMIT
    if pixels > limit:
        raise UnreadablePhoto(f"claims {named}, more than the limit of {limit // 1_000_000} megapixels")
    if pixels > _CHEAP_PIXELS and pixels > size * min(pixels_a_byte or _PIXELS_A_BYTE, _PIXELS_A_BYTE):
        raise UnreadablePhoto(f"claims {named}, more than its {size:,} bytes can hold")
