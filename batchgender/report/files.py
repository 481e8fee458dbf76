"""Report files: checked before a run, written whole at its end, JSON or HTML by their ending."""

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from batchgender.errors import UserError, os_reason
from batchgender.io import check_writable, written_whole
from batchgender.photos.photo import Photo
from batchgender.report.figures import Figures
from batchgender.report.text import NOTE

if TYPE_CHECKING:
    from batchgender.report.thumbnails import HeatMaps

_ENDINGS = (".json", ".html")


def check_endings(files: Iterable[str]) -> None:
    """Raise UserError where a name says no format of reports."""
    for file in files:
        if not file.endswith(_ENDINGS):
            raise UserError(f"{file}: unknown report format; end the name in {' or '.join(_ENDINGS)}")


def check_report(file: str, overwrite: bool = True) -> None:
    """Raise UserError where a report of this name can't be written, or may not be."""
    check_endings((file,))
    if os.path.lexists(file) and not overwrite:
        raise UserError(f"{file}: exists already; replace it with --overwrite or choose another --report")
    check_writable(file, "--report")


def report_data(figures: Figures, about: dict[str, Any]) -> dict[str, Any]:
    """The figures with what they are about (model, source, thresholds), as plain data."""
    return {"schema": 1, **about, **figures.as_dict(), "note": NOTE}


def report_json(figures: Figures, about: dict[str, Any]) -> str:
    """The report's data as JSON: what a page draws, thousands of numbers, on one line each."""
    data = report_data(figures, about)
    details = data.pop("details")
    head = json.dumps(data, indent=2, ensure_ascii=False).removesuffix("\n}")
    drawn = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in details.items()
    )
    return f'{head},\n  "details": {{\n{drawn}\n  }}\n}}\n'


def is_page(file: str) -> bool:
    """Whether a report of this name is a page, which shows photos."""
    return file.endswith(".html")


def write_report(
    file: str,
    figures: Figures,
    about: dict[str, Any],
    photos: Iterable[Photo] = (),
    heat_maps: "HeatMaps | None" = None,
) -> None:
    """Write the report, whole or not at all, as HTML where the name ends in .html, else as JSON.

    A page shows those of `photos` that are worth a look, which are read again, and `heat_maps` beside them.
    """
    if is_page(file):
        # Jinja2 is for those who ask for a page.
        from batchgender.report.page import report_page
        from batchgender.report.thumbnails import thumbnails

        pictures = thumbnails(figures.details.notable(), photos)
        text = report_page(figures, report_data(figures, about), pictures, heat_maps)
    else:
        text = report_json(figures, about)
    try:
        with written_whole(file) as stream:
            stream.write(text)
    except OSError as error:
        raise UserError(f"{file}: can't write the report ({os_reason(error)}); all else is written") from error
