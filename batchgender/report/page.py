"""The report as one HTML page that needs no other file: its data as JSON, and scripts that draw it."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from batchgender.io import bounds, percent
from batchgender.report.details import NotableRow
from batchgender.report.figures import Figures
from batchgender.report.prevalence_text import ASSUMPTION
from batchgender.report.text import GROUPS_SHOWN, LIMIT, NOTE, report_text, summary_text
from batchgender.report.thumbnails import HeatMaps, RowKey, row_key

_ASSETS = files("batchgender") / "assets" / "report"
# In the order in which they need each other.
_SCRIPTS = ("d3.min.js", "plot.umd.min.js", "figures.js", "charts.js", "rows.js", "page.js")
_FACTS = ("model", "photos_from", "split", "thresholds")
_ROW_LISTS = ("mistakes", "least_sure", "unreadable", "no_face")


def report_page(
    figures: Figures,
    data: Mapping[str, Any],
    pictures: Mapping[RowKey, bytes] = {},
    heat_maps: HeatMaps | None = None,
) -> str:
    """The page of a report's `data` (`files.report_data`), with JPEGs of the rows in it, and heat maps of some."""
    scripts = [Markup(_asset(name)) for name in _SCRIPTS]
    facts = {key.replace("_", " "): _in_words(data[key]) for key in _FACTS if key in data}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "bounds": bounds}
    return environment.from_string(_asset("page.html")).render(
        figures=figures,
        facts=facts,
        training="training" in data,
        prevalence=data.get("prevalence"),
        assumption=ASSUMPTION,
        text=report_text(figures) if figures.labelled else summary_text(figures),
        note=NOTE if figures.labelled else LIMIT,
        style=Markup(_asset("page.css")),
        licenses=Markup(_asset("LICENSES.txt")),
        scripts=scripts,
        # The browser runs these scripts and no other.
        digests=[b64encode(sha256(script.encode()).digest()).decode() for script in scripts],
        data=_script_json(_drawn(figures, data, pictures, heat_maps)),
    )


def _drawn(
    figures: Figures, data: Mapping[str, Any], pictures: Mapping[RowKey, bytes], heat_maps: HeatMaps | None
) -> dict[str, Any]:
    """The report's data with the pictures, and of many groups the first ones."""
    details = dict(data["details"])
    details["groups"] = {name: _first(groups) for name, groups in details["groups"].items()}
    for name in _ROW_LISTS:
        rows: list[NotableRow] = getattr(figures.details, name)
        details[name] = [{**asdict(row), "picture": _text(pictures.get(row_key(row)))} for row in rows]
    drawn = {**data, "details": details}
    if heat_maps:
        details["mistakes"] = [
            {**row, "heat_maps": list(map(_text, heat_maps.pictures.get(row_key(of), [])))}
            for row, of in zip(details["mistakes"], figures.details.mistakes, strict=True)
        ]
        drawn["heat_maps"] = {"titles": heat_maps.titles, "low": heat_maps.low, "high": heat_maps.high}
    if figures.groups:
        columns = {
            name: {**column, "groups": _first(column["groups"]), "all_groups": len(column["groups"])}
            for name, column in data["groups"]["columns"].items()
        }
        drawn["groups"] = {**data["groups"], "columns": columns}
    return drawn


def _text(picture: bytes | None) -> str | None:
    """A picture as JSON holds it."""
    return b64encode(picture).decode() if picture else None


def _first(groups: Mapping[str, Any]) -> dict[str, Any]:
    return dict(list(groups.items())[:GROUPS_SHOWN])


def _script_json(data: Mapping[str, Any]) -> Markup:
    """JSON within a script element: no name in it can end the element, or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
