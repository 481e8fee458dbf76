"""The figures laid out for a terminal, each with half a line of what it means."""

from collections.abc import Sequence

from batchgender.io import bounds, percent, text_table
from batchgender.model.thresholds import UNSURE
from batchgender.report.figures import Figures, GroupClassFigures, GroupFigures, GroupingFigures, GroupsFigures
from batchgender.report.statistics import share

LIMIT = "The model predicts how a photo's subject was labelled in its training data, not a person's identity."
NOTE = f"{LIMIT} Read the figures of each class beside the overall one."
# A terminal shows so many groups of one column; the JSON report has all.
GROUPS_SHOWN = 200
# Below this share of right answers, over so many photos, labels are swapped rather than a model bad.
_SWAPPED = 0.35
_FEWEST_TO_JUDGE = 50


def report_text(figures: Figures) -> str:
    """Lay out the figures of labelled photos."""
    parts = [_overall(figures), _classes(figures), _confusion(figures), _coverage(figures)]
    if figures.groups:
        parts.append(groups_text(figures.groups))
    return "\n\n".join(parts)


def swapped_labels_notice(model: str, accuracy: float | None, count: int) -> str:
    """A line where the accuracy over `count` labelled photos is so low that the labels are rather swapped, else ""."""
    if accuracy is None or count < _FEWEST_TO_JUDGE or accuracy >= _SWAPPED:
        return ""
    return (
        f"{model} is right on {percent(accuracy)} of {count:,} labelled photos, far below one half: are the"
        " labels the other way round? --label-names says which is which (UTKFace has 0 for male:"
        " --label-names male=0 --label-names female=1)"
    )


def summary_text(figures: Figures) -> str:
    """Lay out how many photos got which prediction: the report of photos without labels."""
    rows = [["photos", f"{figures.photos:,}", ""]]
    answered = sum(figures.predictions.values())
    if figures.faces:
        rows.append(["faces", f"{figures.faces:,}", ""])
    for name, count in figures.predictions.items():
        if count or name != UNSURE:
            meaning = "below the threshold" if name == UNSURE else ""
            rows.append([f"  {name}", f"{count:,}", f"{percent(share(count, answered))}  {meaning}".strip()])
    if figures.no_face:
        rows.append(["  no face found", f"{figures.no_face:,}", ""])
    if figures.unreadable:
        rows.append(["  unreadable", f"{figures.unreadable:,}", "see the column error"])
    return "\n".join(text_table(rows, "<><"))


def coverage_text(figures: Figures) -> str:
    """Say of how many photos the accuracy is, where some got no answer: "of the 66.7 % answered (coverage); "."""
    return f"of the {percent(figures.answered_share)} answered (coverage); " if figures.unsure else ""


def _overall(figures: Figures) -> str:
    left = [
        f"{count:,} {word}"
        for count, word in (
            (figures.labelled_unreadable, "unreadable"),
            (figures.labelled_no_face, "without a face"),
            (figures.unsure, UNSURE),
        )
        if count
    ]
    title = f"{figures.labelled:,} labelled photo{'' if figures.labelled == 1 else 's'}" + (
        f", of which {_listed(left)}" if left else ""
    )
    if figures.unlabelled:
        title += f"; {figures.unlabelled:,} photos without a label are in no figure below"
    interval = figures.accuracy_interval_95
    right = f"95 % interval {bounds(interval)}" if interval else ""
    rows = [
        ["accuracy", percent(figures.accuracy), f"{coverage_text(figures)}{right}"],
        ["balanced accuracy", percent(figures.balanced_accuracy), "mean of the recalls: each class counts the same"],
    ]
    if figures.recall_gap is not None:
        gap = f"{100 * figures.recall_gap:.1f}  "
        rows.append(["recall gap", gap, "points between the recalls of the classes: best 0"])
    if figures.auroc is not None:
        first, second = figures.classes
        meaning = f"how often a {second} photo gets a higher p_{second.lower()} than a {first} one: best 1"
        rows.append(["AUROC", f"{figures.auroc:.4f}", meaning])
    if figures.ece is not None and figures.ece_by_chance is not None:
        before = figures.ece_uncalibrated
        compared = "" if before is None else f"{before:.4f} before calibration, "
        compared += f"{figures.ece_by_chance:.4f} by chance alone"
        meaning = "mean distance of confidence from accuracy (ECE): best 0"
        rows += [["calibration error", f"{figures.ece:.4f}", meaning], ["", "", compared]]
    if figures.accuracy_at_90:
        most = figures.accuracy_at_90
        meaning = f"of the most confident 90 % of the photos, confidence at least {most.threshold:.2f}"
        rows.append(["accuracy at 90 %", percent(most.accuracy), meaning])
    return "\n".join([title, *text_table(rows, "<><")])


def _listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _classes(figures: Figures) -> str:
    rows = [["class", "recall", "precision", "F1", "photos", ""]]
    for name, each in figures.classes.items():
        interval = each.recall_interval_95
        rows.append(
            [
                name,
                *map(percent, (each.recall, each.precision, each.f1)),
                f"{each.support:,}",
                f"recall's 95 % interval {bounds(interval)}" if interval else "",
            ]
        )
    meaning = "recall: the share of a class's photos that are right; precision: of the answers of this class"
    return "\n".join([*text_table(rows, "<>>>><"), meaning])


def _confusion(figures: Figures) -> str:
    predicted = [*figures.classes, UNSURE] if figures.unsure else list(figures.classes)
    rows = [["labelled", *(f"as {name}" for name in predicted)]]
    rows += [[name, *(f"{figures.confusion[name][column]:,}" for column in predicted)] for name in figures.classes]
    return "\n".join(text_table(rows, "<" + ">" * len(predicted)))


def _coverage(figures: Figures) -> str:
    rows = [["confidence at least", "coverage", "accuracy"]]
    rows += [[f"{at.threshold:.2f}", percent(at.coverage), percent(at.accuracy)] for at in figures.coverage]
    return "\n".join([*text_table(rows, ">>>"), "coverage: the share of the photos that this --threshold answers"])


def groups_text(groups: GroupsFigures) -> str:
    """Lay out the figures of the groups, a table a column of the groups file."""
    tables = [_grouping(name, column) for name, column in groups.columns.items()]
    if any(group.small for column in groups.columns.values() for group in column.groups.values()):
        tables.append(f"* fewer than {groups.smallest_group} labelled photos: left out of the comparison of groups")
    tables.append(
        "equalised-odds difference: the largest difference of one class's recall between two groups,\n"
        f"over recalls of {groups.smallest_group} labelled photos or more"
    )
    return "\n\n".join(tables)


def _grouping(name: str, column: GroupingFigures) -> str:
    groups = column.groups
    classes = list(next(iter(groups.values())).classes) if groups else []
    rows = [[name, "photos", "accuracy", *(f"recall {each}" for each in classes)]]
    for group, figures in list(groups.items())[:GROUPS_SHOWN]:
        marked = group + (" *" if figures.small else "")
        accuracy = _cell(figures.accuracy, figures, figures.accuracy_interval_95)
        recalls = [_cell(each.recall, each, each.recall_interval_95) for each in figures.classes.values()]
        rows.append([marked, f"{figures.count:,}", accuracy, *recalls])
    lines = text_table(rows, "<>")
    if len(groups) > GROUPS_SHOWN:
        lines.append(f"and {len(groups) - GROUPS_SHOWN:,} more groups, in the JSON report")
    if column.accuracy_gap is None:
        lines.append("fewer than two groups to compare")
    else:
        odds = column.equalized_odds_difference
        shown = "-" if odds is None else f"{odds:.3f}"
        gap = f"{100 * column.accuracy_gap:.1f}"
        lines.append(f"largest gap in accuracy {gap} points, equalised-odds difference {shown}")
    if column.in_no_group:
        lines.append(f"{column.in_no_group:,} labelled photos in no group")
    return "\n".join(lines)


def _cell(value: float | None, of: GroupFigures | GroupClassFigures, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "-"
    answered = of.count - of.unsure
    counted = f"{answered:,} of {of.count:,}" if of.unsure else f"{answered:,}"
    return f"{percent(value)} of {counted} ({bounds(interval)})"
