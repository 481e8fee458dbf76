"""A table's columns: which of them holds the images, and which the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchgender.errors import UserError
from batchgender.photos.label_columns import names_a_class
from batchgender.photos.labels import LabelNames

_IMAGE_COLUMNS = ("image", "img", "photo", "picture")
_LABEL_COLUMNS = ("label", "labels", "gender", "sex", "class", "target")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `is_image` is whether the package `datasets` declares it as images, `holds_bytes` whether its cells are bytes or
    structs of them, as tables written without `datasets` have images. `classes` are the class names by index that
    `datasets` declares for its numbers, None where it declares none.
    """

    name: str
    is_image: bool = False
    holds_bytes: bool = False
    classes: Sequence[str] | None = None


def image_column(columns: Sequence[Column], source: str) -> Column:
    """The column of images, a declared one first, then one that is called so; raises UserError where there is none."""
    candidates = [column for column in columns if column.is_image] or [c for c in columns if c.holds_bytes]
    if not candidates:
        raise UserError(f"{source}: no column of images among {', '.join(column.name for column in columns)}")
    return next((column for column in candidates if column.name.lower() in _IMAGE_COLUMNS), candidates[0])


def label_column(columns: Sequence[Column], names: LabelNames) -> Column | None:
    """The column of labels among these: the declared one, else one that is called so, else one that asks (is_male)."""
    declared = [column for column in columns if column.classes]
    by_name = [column for column in (*declared, *columns) if column.name.lower() in _LABEL_COLUMNS]
    asking = [column for column in columns if names_a_class(column.name, names)]
    candidates = (by_name[:1], declared, asking)
    return next((found[0] for found in candidates if len(found) == 1), None)
