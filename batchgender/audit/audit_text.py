"""An audit laid out for a terminal."""

from batchgender.audit.audit import Audit, Duplicate
from batchgender.io import bounds, one_line, percent, text_table

# Of each kind so many are named; the JSON file and the sheet have all.
_SHOWN = 10
# Said below the figures, whatever they are.
_LIMIT = (
    "A doubted label is one to look at, not a wrong one: the model's own mistakes stand among them, and it predicts how"
    " photos were labelled, not who anybody is."
)


def audit_text(found: Audit) -> str:
    """Lay out what was found, the worst first."""
    parts = [_counts(found), _accuracy(found), _doubted(found), _duplicates(found), _seen(found)]
    return "\n\n".join(part for part in (*parts, _LIMIT) if part)


def _counts(found: Audit) -> str:
    lines = [f"{found.photos:,} labelled photos of {one_line(found.title)}"]
    if found.left_out:
        lines[0] += f"; {found.left_out:,} beside them can't be read or show no face"
    rows = [["doubted labels", f"{len(found.doubted):,}", percent(len(found.doubted) / found.photos)]]
    if (groups := found.duplicates) is not None:
        rows.append(["pictures that stand in several places", f"{len(groups):,}", _of_photos(groups)])
        for name, some in (
            ("with the same content", [each for each in groups if each.exact]),
            ("with different labels", [each for each in groups if each.labels_differ]),
            ("in different splits", [each for each in groups if each.across_splits]),
            ("in different folders", [each for each in groups if each.across_folders]),
        ):
            rows.append([f"  {name}", f"{len(some):,}", _of_photos(some)])
    return "\n".join([*lines, *text_table(rows, "<><")])


def _of_photos(groups: list[Duplicate]) -> str:
    return f"{sum(len(each.paths) for each in groups):,} photos" if groups else ""


def _accuracy(found: Audit) -> str:
    rows = [["photos", "accuracy", "answered", ""]]
    for name, figures in found.accuracy.items():
        interval = bounds(figures.accuracy_interval_95)
        rows.append([name, percent(figures.accuracy), f"{figures.photos:,}", interval and f"95 % interval {interval}"])
    note = "Without doubted labels the accuracy is too high: with them, mistakes of the model are left out."
    return "\n".join([*text_table(rows, "<>><"), *([note] if found.doubted else [])])


def _doubted(found: Audit) -> str:
    if not found.doubted:
        return "no label is doubted"
    lines = ["labels that are doubted most:"]
    rows = [
        [f"  {one_line(each.path)}", f"labelled {each.label}", f"{each.prediction} {each.confidence:.3f}"]
        for each in found.doubted[:_SHOWN]
    ]
    return "\n".join([*lines, *text_table(rows), *_more(len(found.doubted))])


def _duplicates(found: Audit) -> str:
    if not found.duplicates:
        return "" if found.duplicates is None else "no picture stands in several places"
    lines = ["the same picture:"]
    for each in found.duplicates[:_SHOWN]:
        kinds = [
            *(["different labels"] if each.labels_differ else []),
            *(["different splits"] if each.across_splits else []),
            "same content" if each.exact else "nearly the same",
        ]
        lines.append(f"  {' = '.join(map(one_line, each.paths))} ({', '.join(kinds)})")
    return "\n".join([*lines, *_more(len(found.duplicates))])


def _more(count: int) -> list[str]:
    return [f"  and {count - _SHOWN:,} more: --json has all"] if count > _SHOWN else []


def _seen(found: Audit) -> str:
    trained_on = f" It was trained on {one_line(found.trained_on)!r}." if found.trained_on else ""
    return (
        "Which of these photos the model was trained on can't be told from its answers. On those it repeats the labels,"
        f" mistakes included, and doubts too few: audit photos that it never saw.{trained_on}"
    )
