"""Errors of photos by kind: what a long run sums up, where the rows have each in full."""

import errno
import os
import re
from collections.abc import Mapping

from batchgender.photos.reading import OUT_OF_REACH

# The first that matches the beginning of an error is its kind.
_KINDS = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"empty file", "empty"),
        (r"truncated|the video ends early", "truncated"),
        (r"takes more than .* to decode", "timed out"),
        (r"(its decoder|the model) (crashed|was killed|ended)", "crashed"),
        (re.escape(OUT_OF_REACH + os.strerror(errno.ENOENT)), "not there"),
        (r"can't read the (file|archive)", "can't be opened"),
        (r"damaged", "damaged"),
        (r"no image|no video|a directory, pipe or device", "no image"),
        (r"claims|larger than|too large|needs [\d,]+ MB|a video of|asks for", "too large"),
        (r"can't read it|tried \d+ times|it has changed", "not fetched"),
        (r".* needs? (the|a) .*(extra|package)|.*pip install", "extra missing"),
    )
)
_OTHERS = "others"


def error_kind(error: str) -> str:
    """The kind of a row's error, in a word or two: "truncated"."""
    return next((kind for pattern, kind in _KINDS if pattern.match(error)), _OTHERS)


def kinds_text(kinds: Mapping[str, int]) -> str:
    """Counts of errors by kind, the most frequent first: "280 truncated, 30 empty, 2 timed out"."""
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items(), key=lambda each: -each[1]))
