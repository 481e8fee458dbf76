"""Groups of the UTKFace photos, from their names: AGE_GENDER_ETHNICITY_DATE (Zhang, Song, Qi, CVPR 2017).

`python -m batchgender.utkface FOLDER OUT.csv` writes what `--groups` takes: path, age_band, ethnicity, source.
Photos of another name have the source alone. A last word `fine` makes more and narrower bands, to train with.
"""

import csv
import re
import sys
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.photos import PhotoFinder

_NAME = re.compile(r"(?:.*_)?(\d{1,3})_[01]_([0-4])_\d+")
_ETHNICITIES = ("White", "Black", "Asian", "Indian", "other")
_BANDS = (3, 12, 60)
# About as many photos in each.
_FINE_BANDS = (1, 3, 6, 12, 20, 26, 32, 40, 50, 60, 75)


def groups_of(path: str, bands: Sequence[int] = _BANDS) -> tuple[str, str, str]:
    """Age band, ethnicity and source of a photo, the first two empty where its name carries none.

    `bands` are the oldest ages of all bands but the last.
    """
    name = Path(path).name
    found = _NAME.match(name)
    if not found:
        return "", "", name.split("_")[0] if "_" in name else ""
    oldest = bisect_left(bands, int(found[1]))
    youngest = bands[oldest - 1] + 1 if oldest else 0
    band = f"{youngest}-{bands[oldest]}" if oldest < len(bands) else f"{youngest}+"
    return band, _ETHNICITIES[int(found[2])], "utk"


def write_groups(folder: str, out: str, bands: Sequence[int] = _BANDS) -> int:
    """Write the groups of all photos under a folder, return how many; raises UserError where it can't."""
    count = 0
    try:
        with open(out, "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["path", "age_band", "ethnicity", "source"])
            for photo in PhotoFinder([folder], lambda line: print(line, file=sys.stderr)):
                writer.writerow([photo.path, *groups_of(photo.path, bands)])
                count += 1
    except OSError as error:
        raise UserError(f"{out}: can't write the groups ({os_reason(error)})") from None
    return count


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["fine"]):
        sys.exit("usage: python -m batchgender.utkface FOLDER OUT.csv [fine]")
    try:
        count = write_groups(sys.argv[1], sys.argv[2], _FINE_BANDS if sys.argv[3:] else _BANDS)
        print(f"{count:,} photos: {sys.argv[2]}")
    except UserError as problem:
        sys.exit(str(problem))
