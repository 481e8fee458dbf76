"""What a run's rows go to, by its name."""

from batchgender.io import Notify
from batchgender.results.csv_style import CsvStyle
from batchgender.results.formats import DATABASE, ending_of
from batchgender.results.results_file import ResultsFile
from batchgender.results.sinks import Sink


def open_sink(out: str, resume: bool, overwrite: bool, style: CsvStyle, notify: Notify) -> Sink:
    """The sink of this name; raises UserError as it does. `style` is that of a CSV."""
    if ending_of(out) == DATABASE:
        # SQLite is for those who ask for it.
        from batchgender.results.results_database import ResultsDatabase

        return ResultsDatabase(out, resume, overwrite, notify)
    return ResultsFile(out, resume, overwrite, style, notify=notify)
