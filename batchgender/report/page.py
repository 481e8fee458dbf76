"""The report as one HTML page that needs no other file."""

import html
from typing import Any

from batchgender.report.figures import Figures
from batchgender.report.text import LIMIT, NOTE, report_text, summary_text


def report_page(figures: Figures, about: dict[str, Any]) -> str:
    """The figures with what they are about (model, source, thresholds) as an HTML page."""
    rows = [(key.replace("_", " "), _in_words(value)) for key, value in about.items()]
    facts = "".join(f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>" for key, value in rows)
    text, note = (report_text(figures), NOTE) if figures.labelled else (summary_text(figures), LIMIT)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>batchgender report</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "th{text-align:left;padding-right:1rem;vertical-align:top}td{overflow-wrap:anywhere}"
        "pre{background:#f4f4f4;padding:1rem;overflow-x:auto}</style>"
        f"<h1>batchgender report</h1><table>{facts}</table>"
        f"<pre>{html.escape(text)}</pre><p>{html.escape(note)}</p></html>\n"
    )


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
