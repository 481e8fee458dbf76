"""The shares of the classes laid out for a terminal."""

from batchgender.io import bounds, one_line, percent, text_table
from batchgender.report.prevalence import Prevalence
from batchgender.report.text import LIMIT

ASSUMPTION = (
    "The correction holds where the labelled photos are of the same kind as these (ages, cameras, framing), classified"
    " by the same model with the same settings. The interval is that of a sample: for these photos alone it is rather"
    " wide."
)


def prevalence_text(found: Prevalence) -> str:
    """Lay out the naive count beside the corrected shares."""
    word = "faces" if found.faces else "photos"
    rows = [["class", "counted", "naive", "corrected", "95 % interval", word]]
    for name, of in found.classes.items():
        low, high = (round(found.photos * bound) for bound in of.interval_95)
        number = f"{round(found.photos * of.corrected):,} ({low:,} to {high:,})"
        rows.append([name, f"{of.counted:,}", percent(of.naive), percent(of.corrected), bounds(of.interval_95), number])
    parts = ["\n".join([*_titles(found, word), "", *text_table(rows, "<>>><")])]
    parts += [f"warning: {line}" for line in map(one_line, found.warnings)]
    return "\n\n".join([*parts, ASSUMPTION, LIMIT])


def _titles(found: Prevalence, word: str) -> list[str]:
    lines = [
        f"{found.photos:,} {word} of {one_line(found.results)}, corrected by the mistakes on {found.measured_photos:,}"
        f" labelled ones of {one_line(found.measured_on)}"
    ]
    left_out = [
        f"{count:,} of {one_line(name)}"
        for count, name in ((found.left_out, found.results), (found.measured_left_out, found.measured_on))
        if count
    ]
    if left_out:
        lines.append(f"in no figure, unreadable or without a face: {', '.join(left_out)}")
    if found.unsure:
        lines.append(
            f"{found.unsure:,} Unsure: not in the naive count; corrected by the class of the larger probability"
        )
    return lines
