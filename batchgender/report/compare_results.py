"""Two results files of the same photos side by side: which predictions changed, and whether for the better."""

import gzip
import io
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batchgender.csv_files import open_bytes, open_csv, same_name
from batchgender.errors import UserError, os_reason
from batchgender.io import one_line, percent, text_table
from batchgender.results.database_file import read_database
from batchgender.results.formats import DATABASE, ENDINGS, FOLDER, ending_there
from batchgender.results.parquet_parts import parts_of

_WORST = 10


@dataclass(frozen=True)
class Comparison:
    """What changed from one file to the other; shares in 0..1, None where no photo has a label.

    `flips` counts photos by both predictions, "Female to Male"; `fixed` were wrong and are right, `broken` the other
    way; `p_value` is McNemar's (1947), exact; `worst` are the photos broken with the most confidence, or, without
    labels, those flipped with the most.
    """

    photos: int
    only_first: int
    only_second: int
    same: int
    flips: dict[str, int]
    largest_difference: float | None
    labelled: int
    first_accuracy: float | None
    second_accuracy: float | None
    fixed: int
    broken: int
    p_value: float | None
    worst: list[dict[str, Any]]

    @property
    def flipped(self) -> int:
        """Photos whose prediction changed."""
        return self.photos - self.same

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"schema": 1, "flipped": self.flipped, **asdict(self)}


def compare_results(first: str, second: str) -> Comparison:
    """Compare two results files of any format, photo by photo; raises UserError where that can't be done."""
    tables = [_read(name) for name in (first, second)]
    # A spreadsheet writes the class `true` as TRUE.
    classes = {name for column in ("label", "prediction") for name in tables[0][column].unique()}
    lower = {name.lower(): name for name in classes}
    for column in ("label", "prediction"):
        names = tables[1][column].unique()
        tables[1][column] = tables[1][column].replace(
            {name: lower[name.lower()] for name in names if name not in classes and name.lower() in lower}
        )
    both = tables[0].merge(tables[1], "outer", on="path", suffixes=("_a", "_b"), indicator=True)
    sides = both["_merge"].value_counts()
    both = both[both["_merge"] == "both"]
    if both.empty:
        raise UserError(f"{second}: has no photo of {first}; compare results of the same photos, from the same folder")
    flipped = both[both.prediction_a != both.prediction_b]
    # A file whose folders carried no labels may stand beside one whose folders did.
    labels = both.label_a.where(both.label_a != "", both.label_b)
    judged = both[(labels != "") & (both.prediction_a != "") & (both.prediction_b != "")]
    right_a, right_b = (judged[f"prediction_{s}"] == labels[judged.index] for s in "ab")
    fixed, broken = int((~right_a & right_b).sum()), int((right_a & ~right_b).sum())
    shown = judged[right_a & ~right_b] if len(judged) else flipped
    shares = [name for name in map(str, tables[0]) if name.startswith("p_") and name in tables[1]]
    apart = [(both[f"{name}_a"] - both[f"{name}_b"]).abs().max() for name in shares]
    return Comparison(
        photos=len(both),
        only_first=int(sides["left_only"]),
        only_second=int(sides["right_only"]),
        same=len(both) - len(flipped),
        flips=dict(Counter(map(_change, _records(flipped)))),
        largest_difference=float(max(apart)) if apart and not math.isnan(max(apart)) else None,
        labelled=len(judged),
        first_accuracy=float(right_a.mean()) if len(judged) else None,
        second_accuracy=float(right_b.mean()) if len(judged) else None,
        fixed=fixed,
        broken=broken,
        p_value=mcnemar(fixed, broken) if len(judged) else None,
        worst=[
            {
                "path": row["path"],
                "label": row["label_a"] or row["label_b"],
                "before": row["prediction_a"],
                "after": row["prediction_b"],
                "confidence": None if math.isnan(row["confidence_b"]) else row["confidence_b"],
            }
            for row in _records(shown.sort_values("confidence_b", ascending=False).head(_WORST))
        ],
    )


def mcnemar(fixed: int, broken: int) -> float:
    """How likely a difference as large would be, were each change as likely for the better as for the worse."""
    changes, fewer = fixed + broken, min(fixed, broken)
    logs = (math.lgamma(changes + 1) - math.lgamma(i + 1) - math.lgamma(changes - i + 1) for i in range(fewer + 1))
    return min(1.0, 2 * sum(math.exp(log - changes * math.log(2)) for log in logs))


def comparison_text(found: Comparison) -> str:
    """Lay the figures out for a terminal."""
    lines = [
        f"{found.photos:,} photos in both, {found.only_first:,} in the first alone, {found.only_second:,} in the second"
    ]
    rows = [["same prediction", percent(found.same / found.photos), f"{found.flipped:,} changed"]]
    rows += [[f"  {kind}", f"{count:,}", ""] for kind, count in sorted(found.flips.items(), key=lambda kind: -kind[1])]
    if found.largest_difference is not None:
        rows.append(["largest difference", f"{found.largest_difference:.4f}", "in probability"])
    if found.labelled and found.p_value is not None:
        meaning = "how likely so large a difference is between equally good models"
        rows += [
            ["labelled in both", f"{found.labelled:,}", "photos with a prediction"],
            ["accuracy", percent(found.first_accuracy), f"then {percent(found.second_accuracy)}"],
            ["fixed", f"{found.fixed:,}", "were wrong, are right"],
            ["broken", f"{found.broken:,}", "were right, are wrong"],
            ["McNemar's test", f"{found.p_value:.4f}", meaning],
        ]
    lines += text_table(rows, "<><")
    if found.worst:
        lines += ["", "broken with the most confidence:" if found.labelled else "changed with the most confidence:"]
        for one in found.worst:
            confidence = "" if one["confidence"] is None else f" ({one['confidence']:.3f})"
            lines.append(f"  {one_line(one['path'])}: {_named(one['before'])} to {_named(one['after'])}{confidence}")
    return "\n".join(lines)


def _named(prediction: str) -> str:
    return prediction or "unreadable"


def _change(row: dict[str, Any]) -> str:
    return f"{_named(row['prediction_a'])} to {_named(row['prediction_b'])}"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _read(name: str) -> pd.DataFrame:
    ending = ending_there(name).removesuffix(".gz")
    if not ending:
        raise UserError(f"{name}: no results file; give a {', '.join(ENDINGS)} that classify wrote")
    try:
        if ending == ".csv":
            table = _read_csv(name)
        elif ending == DATABASE:
            table = pd.DataFrame(read_database(name))
        elif ending == FOLDER:
            table = pd.concat([pd.read_parquet(file) for file in parts_of(Path(name))], ignore_index=True)
        else:
            # Opened here: pandas would take a name for an address.
            with open_bytes(name) as stream:
                is_parquet = ending == ".parquet"
                table = pd.read_parquet(stream) if is_parquet else pd.read_json(stream, lines=True, dtype={"path": str})
    except UserError:
        raise
    except gzip.BadGzipFile as error:
        raise UserError(f"{name}: damaged, or no results file that classify wrote") from error
    except OSError as error:
        raise UserError(f"{name}: can't read the results ({os_reason(error)})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: no results file in UTF-8; save it in that encoding") from error
    except Exception as error:  # Each of the readers raises its own.
        raise UserError(f"{name}: damaged, or no results file that classify wrote") from error
    if missing := sorted({"path", "prediction", "confidence", "label"} - set(table)):
        raise UserError(f"{name}: no results file, for it has no column {', '.join(missing)}")
    # Of a photo with several faces, or a video, each row is compared with its own.
    for part in ("time", "face"):
        if part in table and not table.path.is_unique:
            numbers = pd.to_numeric(table[part], errors="coerce")
            named = table.path.astype(str) + numbers.map(lambda number, part=part: f" ({part} {number:g})")
            table["path"] = named.where(numbers.notna(), table.path)
    shares = [column for column in map(str, table) if column.startswith("p_")]
    table = table[["path", "prediction", "confidence", "label", *shares]].copy()
    for column in table:
        if _is_number(str(column)):
            table[column] = pd.to_numeric(table[column], errors="coerce")
        else:
            table[column] = table[column].astype(object).fillna("").astype(str)
    spelled = table.path.map(same_name)
    if spelled.is_unique:
        # Of photos of one machine two may differ in their spelling alone; then names are as they are.
        table["path"] = spelled
    if not table.path.is_unique:
        raise UserError(f"{name}: holds a path twice; give the results of one run")
    return table


def _read_csv(name: str) -> pd.DataFrame:
    """A results CSV, all cells as text; a spreadsheet may have saved it again."""
    with open_csv(name, "path") as text:
        # Without a header of its own pandas takes no column for an index where a row is longer: it raises.
        whole = io.StringIO(text.header + text.rest.read())
        options: dict[str, Any] = {"header": None, "dtype": str, "na_filter": False}
        table = pd.read_csv(whole, sep=text.separator, **options)
    table.columns = [str(column).strip() for column in table.iloc[0]]
    table = table.loc[1:, ~table.columns.duplicated()]
    if text.decimal != ".":
        for column in filter(_is_number, table):
            table[column] = table[column].str.replace(text.decimal, ".", regex=False)
    return table[(table != "").any(axis=1)]


def _is_number(column: str) -> bool:
    return column == "confidence" or column.startswith("p_")
