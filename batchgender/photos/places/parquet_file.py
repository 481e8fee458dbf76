"""Parquet files with a column of images, as the package `datasets` and others write them."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchgender.errors import UnreadablePhoto, UserError
from batchgender.io import first_line
from batchgender.photos.columns import Column, image_column, label_column
from batchgender.photos.file_type import container_ending
from batchgender.photos.label_columns import stated_classes
from batchgender.photos.labels import label_names
from batchgender.photos.photo import Content, InMemory, LocalFile, Photo, Refused, printable
from batchgender.photos.places.place import Findings
from batchgender.photos.reading import check_size

if TYPE_CHECKING:
    from pyarrow import Array, Schema
    from pyarrow.parquet import ParquetFile as ArrowFile

# Columns of paths, where the images have none.
_PATH_COLUMNS = ("path", "file_name")
# Bytes of images that are taken out of a file at a time, and rows.
_PORTION, _ROWS = 2**23, 64
# Without it a column of a row group is read whole, which may be all of a file.
_BUFFER = 2**20


@dataclass(frozen=True)
class ParquetFile:
    """The photos in the rows of a Parquet file, in their order. `prefix` begins their paths.

    A row's path is that of its image, or in a column of paths, where all rows have one of their own; else its number,
    from 0 on. `image` is the column of images, `paths` are the names of those of paths, `others` those of single
    values.
    """

    file: str
    prefix: str
    rows: int
    image: Column
    paths: tuple[str, ...]
    others: tuple[Column, ...]
    sequential = True

    def count(self, findings: Findings) -> int:
        """How many rows it has: each is a photo."""
        return self.rows

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos, read already."""
        name = os.path.basename(os.path.abspath(self.file))
        root = name.removesuffix(container_ending(name))
        with ExitStack() as opened:
            try:
                arrow = opened.enter_context(_opened(self.file))
                paths = self._paths(arrow)
                label_at = self._labels(arrow, findings)
            except UserError as error:
                findings.not_listed(f"{error}, its photos are missing")
                return
            for row, content in enumerate(self._contents(arrow)):
                path = paths[row].as_py() if paths is not None else str(row)
                label = label_at(row)
                yield Photo(printable(self.prefix + path), content, root, label_names(findings.names, label), label)

    def _paths(self, arrow: "ArrowFile") -> "Array | None":
        """The path of each row, None where a row has none, or one that another has."""
        import pyarrow.compute as pc

        for column in self.paths:
            paths = self._column(arrow, column)
            if not paths.null_count and len(paths.unique()) == self.rows and pc.all(pc.not_equal(paths, "")).as_py():
                return paths
        return None

    def _labels(self, arrow: "ArrowFile", findings: Findings) -> Callable[[int], str | None]:
        """What gives the label of a row, None where there is no column of labels."""
        names = findings.names
        label = names and label_column(self.others, names)
        if not label or names is None:
            return lambda row: None
        values = self._column(arrow, label.name)
        class_of = stated_classes(label.classes, values.unique().to_pylist(), label.name, names, findings.notify_once)
        return lambda row: class_of.get(values[row].as_py(), "")

    def _column(self, arrow: "ArrowFile", name: str) -> "Array":
        """A column whole, or a field of one: "image.path"; raises UserError."""
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            column = arrow.read(columns=[name], use_threads=False).column(0).combine_chunks()
            return pc.struct_field(column, name.split(".")[1:]) if pa.types.is_struct(column.type) else column
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{printable(self.file)}: can't read its column {name} ({first_line(error)})") from error

    def _contents(self, arrow: "ArrowFile") -> Iterator[Content]:
        """The image of each row; of a damaged row group those that come after the damage can't be read."""
        import pyarrow as pa

        for index in range(arrow.num_row_groups):
            group = arrow.metadata.row_group(index)
            columns = [group.column(at) for at in range(group.num_columns)]
            size = sum(c.total_uncompressed_size for c in columns if c.path_in_schema.split(".")[0] == self.image.name)
            batch = max(1, min(_ROWS, _PORTION * group.num_rows // max(size, 1)))
            done, reason = 0, "its row group ends early"
            try:
                for rows in arrow.iter_batches(batch, [index], [self.image.name], use_threads=False):
                    for cell in rows.column(0):
                        done += 1
                        yield _content(cell.as_py())
            except (pa.ArrowException, OSError) as error:
                reason = first_line(error)
            yield from [Refused(f"damaged Parquet file ({reason})")] * (group.num_rows - done)


def open_parquet(file: str, prefix: str) -> ParquetFile:
    """Open a Parquet file; raises UserError where it is none, is damaged, or has no column of images."""
    with _opened(file) as arrow:
        schema = arrow.schema_arrow
        columns = _columns(schema)
        image = image_column(columns, printable(file))
        import pyarrow as pa

        single = [c for c in columns if c != image and not pa.types.is_nested(schema.field(c.name).type)]
        texts = [c.name for c in single if schema.field(c.name).type in (pa.string(), pa.large_string())]
        inside = [path for path in _leaves(arrow) if path == f"{image.name}.path"]
        paths = (*inside, *(name for name in texts if name.lower() in _PATH_COLUMNS))
        others = tuple(c for c in single if c.name not in paths)
        return ParquetFile(file, prefix, arrow.metadata.num_rows, image, paths, others)


def _opened(file: str) -> "ArrowFile":
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile as ArrowFile

    try:
        return ArrowFile(file, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{printable(file)}: can't read this Parquet file ({first_line(error)})") from error


def _columns(schema: "Schema") -> list[Column]:
    """The columns, with what `datasets` declares of them beside the schema."""
    import pyarrow as pa

    try:
        declared = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        declared = {}
    columns = []
    for field in schema:
        feature: Any = declared.get(field.name) if isinstance(declared, dict) else None
        feature = feature if isinstance(feature, dict) else {}
        kind = field.type.field("bytes").type if _has_bytes(field.type) else field.type
        holds_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
        columns.append(
            Column(
                field.name,
                holds_bytes and feature.get("_type") == "Image",
                holds_bytes,
                tuple(map(str, names)) if isinstance(names, list) else None,
            )
        )
    return columns


def _has_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _leaves(arrow: "ArrowFile") -> list[str]:
    return [arrow.schema.column(at).path for at in range(len(arrow.schema))]


def _content(cell: Any) -> Content:
    """The image in a cell: bytes, or a struct of bytes and of the path of a file where there are none."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None:
        path = cell.get("path") if isinstance(cell, dict) else None
        return LocalFile(path) if path else Refused("no image in this row")
    try:
        check_size(len(data))
    except UnreadablePhoto as error:
        return Refused(str(error))
    return InMemory(data)
