"""A labels file: a CSV that says the labels of photos, whatever their folders are called."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from batchgender.errors import UserError
from batchgender.io import Notify, silent
from batchgender.photos.label_columns import classes_of_values
from batchgender.photos.labels import DEFAULT_NAMES, LabelNames, name_key
from batchgender.photos.path_table import PathTable, join_by_path, read_path_table

# In the place of a label: the photo has none.
DROP = "drop"
# The first that is not empty counts.
_COLUMNS = ("new_label", "label")
# So many paths are named where there are more.
_NAMED = 3


@dataclass(frozen=True)
class LabelsFile:
    """Labels by path: `table` has one column, the label as it is written; photos without a row keep theirs.

    `meant` is the class that each label stands for among Female and Male, "" for DROP; `names` are what else the labels
    may call the classes.
    """

    table: PathTable
    meant: Mapping[str, str]
    names: LabelNames

    def check_classes(self, classes: Sequence[str], owner: str) -> None:
        """Raise UserError where a label is none of `classes`, those of `owner`: "the model" or "the photos"."""
        for path, (label,) in self.table.rows.items():
            if self.meant[label] and not self._class_of(label, classes):
                raise UserError(
                    f"{self.table.file}: {label!r}, the label of {path!r}, is no class of {owner}; write"
                    f" {', '.join(classes)} or {DROP}, or say with --label-names which class it is"
                )

    def labels_of(self, paths: Callable[[], Iterable[str]], classes: Sequence[str], notify: Notify) -> dict[str, str]:
        """The class of each photo that it has a row of, "" where that says DROP; `paths` gives those of all photos.

        They are joined as `path_table.join_by_path` says. `notify` gets a line with how many have a row, and which rows
        are of no photo. Raises UserError where all are.
        """
        joined = join_by_path(self.table, paths, silent)
        count, found, used = 0, dict[str, str](), set[str]()
        for path in paths():
            count += 1
            if path in joined.rows:
                (label,) = joined.rows[path]
                found[path] = self._class_of(label, classes)
                used.add(joined.own.get(path, path))
        stray = [path for path in self.table.rows if path not in used]
        line = f"{self.table.file}: states the labels of {len(found):,} of {count:,} photos"
        if dropped := sum(not label for label in found.values()):
            line += f", of which {dropped:,} have none ({DROP})"
        if stray:
            named = ", ".join(stray[:_NAMED]) + (" and others" if len(stray) > _NAMED else "")
            line += (
                f"; {len(stray):,} of its {len(self.table.rows):,} rows are of no photo here, or of several ({named})"
            )
        notify(line)
        return found

    def _class_of(self, label: str, classes: Sequence[str]) -> str:
        meant = self.meant[label]
        # A class of the model may be called like another's alias: "boy" beside "man".
        return meant and (self.names.class_named(label, classes) or DEFAULT_NAMES.class_named(meant, classes))


def read_labels(file: str, notify: Notify, names: LabelNames = DEFAULT_NAMES) -> LabelsFile:
    """Read a CSV with a column `path`, and `label`, `new_label` or both; raises UserError where it is none.

    The new label counts where it is not empty; where both are, the row says nothing. `drop` leaves the photo without a
    label. What else is written is a class, called as `names` and `label_columns` say.
    """
    table = read_path_table(file, "--labels", _COLUMNS[::-1])
    places = [table.columns.index(name) for name in _COLUMNS if name in table.columns]
    written = {path: next((cells[at] for at in places if cells[at]), "") for path, cells in table.rows.items()}
    labels = set(filter(None, written.values()))
    dropped = {label for label in labels if name_key(label) == DROP}
    class_of = classes_of_values(None, labels - dropped, "label", names, notify)
    meant = {label: "" if label in dropped else class_of[label] for label in labels if label in {*dropped, *class_of}}
    rows: dict[str, tuple[str, ...]] = {path: (label,) for path, label in written.items() if label in meant}
    if not rows:
        raise UserError(f"{file}: no row of it has a label; fill in the column {table.columns[places[0]]}")
    return LabelsFile(PathTable(file, ["label"], rows, table.decimal), meant, names)
