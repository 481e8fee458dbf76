"""Groups of the UTKFace photos, from their names: AGE_GENDER_ETHNICITY_DATE (Zhang, Song, Qi, CVPR 2017)."""

import csv
import re
from pathlib import Path

import click

from batchgender.errors import UserError, os_reason
from batchgender.io import written_whole
from batchgender.photos.source import PhotoSource

_NAME = re.compile(r"(?:.*_)?(\d{1,3})_[01]_([0-4])_\d+")
_ETHNICITIES = ("White", "Black", "Asian", "Indian", "other")
_BANDS = ((3, "0-3"), (12, "4-12"), (60, "13-60"), (999, "61+"))


def groups_of(path: str) -> tuple[str, str, str]:
    """Age band, ethnicity and source of a photo, the first two empty where its name carries none."""
    name = Path(path).name
    found = _NAME.match(name)
    if not found:
        return "", "", name.split("_")[0] if "_" in name else ""
    band = next(label for oldest, label in _BANDS if int(found[1]) <= oldest)
    return band, _ETHNICITIES[int(found[2])], "utk"


def age_of(path: str) -> str:
    """Age in years of a photo, empty where its name carries none."""
    found = _NAME.match(Path(path).name)
    return found[1] if found else ""


def write_groups(folder: str, out: str, ages: bool = False) -> int:
    """Write the groups, or the ages, of all photos under a folder, return how many; raises UserError where it can't."""
    count = 0
    try:
        with written_whole(out, newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["path", "age"] if ages else ["path", "age_band", "ethnicity", "source"])
            for photo in PhotoSource([folder], lambda line: click.echo(line, err=True)):
                writer.writerow([photo.path, *([age_of(photo.path)] if ages else groups_of(photo.path))])
                count += 1
    except OSError as error:
        raise UserError(f"{out}: can't write the groups ({os_reason(error)})") from error
    return count


@click.command()
@click.argument("folder")
@click.argument("out")
@click.option("--ages", is_flag=True, help="Write what `train --also-learn` takes: path, age.")
def main(folder: str, out: str, ages: bool) -> None:
    """Write OUT, what `--groups` takes, of the photos under FOLDER: path, age_band, ethnicity, source.

    Photos of another name have the source alone, which is what their name begins with.
    """
    try:
        click.echo(f"{write_groups(folder, out, ages):,} photos: {out}")
    except UserError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
