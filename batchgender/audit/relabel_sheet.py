"""The sheet that an audit makes: a CSV to fill in, which `--labels` takes."""

import csv
import os

from batchgender.audit.audit import Audit
from batchgender.errors import UserError, os_reason
from batchgender.io import check_writable, written_whole
from batchgender.results.csv_style import CsvStyle

# Not last: a spreadsheet may leave out the separators of empty cells at the ends of lines.
_COLUMNS = ("path", "label", "new_label", "prediction", "confidence")


def check_relabel_sheet(file: str) -> None:
    """Raise UserError where a sheet of this name can't be written, or is there: somebody may have filled it in."""
    if not file.endswith(".csv"):
        raise UserError(f"{file}: a sheet is a CSV; end its name in .csv")
    if os.path.lexists(file):
        raise UserError(f"{file}: exists already, and may be filled in; choose another --relabel-sheet")
    check_writable(file, "--relabel-sheet")


def write_relabel_sheet(file: str, found: Audit) -> int:
    """Write the photos whose labels are doubted, then those of pictures with different labels; return how many.

    The cells of `new_label` are empty. Spreadsheets know the encoding by the byte order mark. Raises UserError.
    """
    rows = {each.path: (each.path, each.label, "", each.prediction, f"{each.confidence:.6f}") for each in found.doubted}
    for group in found.duplicates or []:
        if group.labels_differ:
            for path, label in zip(group.paths, group.labels, strict=True):
                rows.setdefault(path, (path, label, "", "", ""))
    try:
        with written_whole(file, newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(CsvStyle(bom=True).header(_COLUMNS))
            writer.writerows(rows.values())
    except OSError as error:
        raise UserError(f"{file}: can't write the sheet ({os_reason(error)})") from error
    return len(rows)
