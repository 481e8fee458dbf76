"""Files that hold photos, archives and Parquet files: looked into, where they are given, as a folder is."""

import os
from collections.abc import Callable

from batchgender.photos.file_type import TAR_ENDINGS, container_ending
from batchgender.photos.places.parquet_file import open_parquet
from batchgender.photos.places.place import Place
from batchgender.photos.places.tar_file import open_tar
from batchgender.photos.places.zip_file import open_zip

_OPENERS: dict[str, Callable[[str, str], Place]] = {
    ".zip": open_zip,
    ".parquet": open_parquet,
    **dict.fromkeys(TAR_ENDINGS, open_tar),
}


def is_container(file: str) -> bool:
    """Whether this is a file that holds photos, by its name's ending."""
    return bool(container_ending(file)) and os.path.isfile(file)


def open_container(file: str, prefix: str) -> Place:
    """Open a file that holds photos, whose paths begin with `prefix`; raises UserError where it is not what it says."""
    return _OPENERS[container_ending(file).lower()](file, prefix)
