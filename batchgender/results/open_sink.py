"""What a run's rows go to, by its name."""

from pathlib import Path

from batchgender.io import Notify
from batchgender.results.csv_style import CsvStyle
from batchgender.results.formats import DATABASE, ending_of
from batchgender.results.results_file import SIDECAR, ResultsFile
from batchgender.results.sinks import Sink
from batchgender.results.update import NOTHING, Update


def open_sink(
    out: str, resume: bool, overwrite: bool, style: CsvStyle, notify: Notify, update: Update = NOTHING
) -> Sink:
    """The sink of this name; raises UserError as it does. `style` is that of a CSV."""
    # The rows of a database that is updated are gathered beside it: it stays whole until it is replaced.
    begun_as_update = resume and Path(out + SIDECAR).exists()
    if ending_of(out) == DATABASE and not update.any and not begun_as_update:
        # SQLite is for those who ask for it.
        from batchgender.results.results_database import ResultsDatabase

        return ResultsDatabase(out, resume, overwrite, notify)
    return ResultsFile(out, resume, overwrite, style, notify=notify, update=update)
