"""Working files: what is on its way to an address, in the user's state folder, with a note of what it replaces."""

import hashlib
import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from batchgender.errors import UserError, os_reason
from batchgender.io import one_line, written_whole
from batchgender.photos.places.remote.address import Address
from batchgender.photos.places.remote.bucket import digest_of
from batchgender.results.database_file import look_at
from batchgender.results.formats import DATABASE, ending_of
from batchgender.results.shard_parts import parts_folder

_NOTE = "upload.json"
# Bytes that a name may have beside what is put to it.
_LONGEST = 180


@dataclass
class Note:
    """What a run that goes to an address was begun with.

    `tags` are those of the objects that were there, by their names, None where that could not be known; `replace` says
    whether they may be replaced then. `fetched` is the digest of earlier results that were fetched, None until they
    are, "" where there are none; `reports` are the addresses of reports by their files, and `complete` says that all
    files are there.
    """

    tags: dict[str, str] | None = None
    replace: bool = False
    fetched: str | None = ""
    reports: dict[str, str] = field(default_factory=dict)
    complete: bool = False

    def expected(self, name: str) -> str | None:
        """The tag of the version that a file of this name replaces, as `WritableStore` takes it."""
        if self.tags is None:
            return None if self.replace else ""
        return self.tags.get(name, "")


class WorkingFiles:
    """The folder of what is on its way to an address, named after it; raises UserError where it can't be made."""

    def __init__(self, address: Address) -> None:
        import platformdirs

        name = address.key.rstrip("/").rpartition("/")[2]
        if len(name.encode("utf-8", "surrogateescape")) > _LONGEST:
            raise UserError(f"{one_line(name[:20])}...: a name of more than {_LONGEST} bytes; choose a shorter one")
        whole = hashlib.sha256(f"{address.name}/{address.key}".encode("utf-8", "surrogateescape")).hexdigest()
        state = Path(platformdirs.user_state_path("batchgender", appauthor=False), "uploads")
        plain = re.sub(r"[^\w.-]", "-", f"{address.bucket}-{name}", flags=re.ASCII)[:60]
        self.folder = state / f"{plain}-{whole[:16]}"

    def make(self) -> None:
        """Have the folder; what is in it is for its user alone."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with written_whole(self.folder / "can-write"):
                pass
            (self.folder / "can-write").unlink()
        except OSError as error:
            raise UserError(
                f"{self.folder}: can't write ({os_reason(error)}); what goes to an address is gathered there;"
                " XDG_STATE_HOME names another folder"
            ) from error

    def clear(self) -> None:
        """Remove all that is in it, and the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_unfinished(self, out: Path) -> bool:
        """Whether there are rows of a run that was stopped."""
        if out.with_name(out.name + ".part").exists() or (parts_folder(out).exists() and not out.exists()):
            return True
        return ending_of(out.name) == DATABASE and out.exists() and not look_at(out).finished

    def is_finished(self, out: Path) -> bool:
        """Whether there are results of a run, none that were fetched."""
        if not out.exists() or self.is_unfinished(out):
            return False
        before = self.note().fetched
        return before is not None and digest_of_results(out) != before

    def note(self) -> Note:
        """The note of the run; one that says nothing where there is none."""
        try:
            note = Note(**json.loads((self.folder / _NOTE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return Note({})
        sound = isinstance(note.tags, dict | None) and isinstance(note.reports, dict)
        return note if sound else Note({})

    def write_note(self, note: Note) -> None:
        """Keep the note; raises UserError where it can't be."""
        try:
            with written_whole(self.folder / _NOTE) as stream:
                json.dump(asdict(note), stream)
        except OSError as error:
            raise UserError(f"{self.folder / _NOTE}: can't write ({os_reason(error)})") from error


def results_in(out: Path) -> list[Path]:
    """The files that results consist of: one, or the parts of a folder."""
    return sorted(out.iterdir()) if out.is_dir() else [out]


def digest_of_results(out: Path) -> str:
    """What tells results from others: of all files that they consist of."""
    files = results_in(out)
    return hashlib.sha256("".join(f"{file.name} {digest_of(file)} " for file in files).encode()).hexdigest()
