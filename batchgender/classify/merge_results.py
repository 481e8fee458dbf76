"""Parts to the results and the report of the one run that they would have been."""

import os
from collections.abc import Sequence
from itertools import islice

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.path_table import PathTable, join_by_path
from batchgender.photos.source import PhotoSource
from batchgender.report.counts import RowCounts
from batchgender.report.figures import Figures
from batchgender.report.files import check_report
from batchgender.report.report_results import Known, write_reports
from batchgender.results.formats import report_beside
from batchgender.results.parts import Parts, common_about
from batchgender.results.results_file import ResultsFile

# Rows that are written at once: nothing is lost with them, for the parts are there.
_ROWS = 1024


def check_merge(sink: ResultsFile, reports: Sequence[str]) -> tuple[str, ...]:
    """The reports that a merge would write, by default NAME.report.json; raises UserError where one can't be."""
    files = tuple(reports) or (str(report_beside(sink.out)),)
    for file in files:
        check_report(file, overwrite=sink.may_replace)
    return files


def merge_results(
    parts: Parts,
    sink: ResultsFile,
    reports: Sequence[str],
    asked: bool,
    notify: Notify,
    groups: PathTable | None = None,
    source: PhotoSource | None = None,
) -> tuple[Figures, Sequence[str]]:
    """Write the rows of all parts to `sink`, and `reports`; give the figures, and the reports that were written.

    Where no photo carries a label, reports are written if they were `asked` for. `groups` are reported on, too, and
    pages show photos of `source`. Memory does not grow with the number of rows. The caller holds the locks of all that
    is written. Raises UserError; then no results are left but those that were there.
    """
    inputs = {os.path.realpath(part.file): part.file for part in parts.parts}
    if part := inputs.get(os.path.realpath(sink.out)):
        raise UserError(f"{part}: is one of the parts; choose another --out")
    records = parts.records
    known = Known(common_about(records), records[0].temperature, records[0].bias) if records else Known()
    joined = groups and join_by_path(groups, parts.paths, notify)
    counts = RowCounts(parts.layout.classes, known.temperature, joined, known.bias)
    finished = False
    try:
        sink.begin(parts.layout, {"merged": sorted(map(os.path.abspath, inputs.values()))})
        rows = iter(parts)
        while some := list(islice(rows, _ROWS)):
            for row in some:
                counts.add(row)
            sink.write(some)
        sink.finish()
        finished = True
    finally:
        if not finished:
            # What is in it is soon made again.
            sink.close()
            for file in (sink.part, *(each for each in sink.files.beside if ".part" in each.name)):
                file.unlink(missing_ok=True)
    figures = counts.figures()
    written = reports if figures.labelled or asked else ()
    write_reports(written, figures, known, source, notify)
    return figures, written
