"""Report files: checked before a run, written whole at its end, JSON or HTML by their ending."""

import json
import os
from typing import Any

from batchgender.errors import UserError, os_reason
from batchgender.io import check_writable, written_whole
from batchgender.report.figures import Figures
from batchgender.report.page import report_page
from batchgender.report.text import NOTE

_ENDINGS = (".json", ".html")


def check_report(file: str, overwrite: bool = True) -> None:
    """Raise UserError where a report of this name can't be written, or may not be."""
    if not file.endswith(_ENDINGS):
        raise UserError(f"{file}: unknown report format; end the name in {' or '.join(_ENDINGS)}")
    if os.path.lexists(file) and not overwrite:
        raise UserError(f"{file}: exists already; replace it with --overwrite or choose another --report")
    check_writable(file, "--report")


def report_json(figures: Figures, about: dict[str, Any]) -> str:
    """The figures with what they are about (model, source, thresholds), as JSON."""
    return json.dumps({"schema": 1, **about, **figures.as_dict(), "note": NOTE}, indent=2, ensure_ascii=False) + "\n"


def write_report(file: str, figures: Figures, about: dict[str, Any]) -> None:
    """Write the report, whole or not at all, as HTML where the name ends in .html, else as JSON."""
    text = report_page(figures, about) if file.endswith(".html") else report_json(figures, about)
    try:
        with written_whole(file) as stream:
            stream.write(text)
    except OSError as error:
        raise UserError(f"{file}: can't write the report ({os_reason(error)}); all else is written") from error
