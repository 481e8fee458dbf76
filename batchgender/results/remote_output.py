"""Results and reports that go to addresses: made in files of this machine, and uploaded whole at the end."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from batchgender.errors import UserError
from batchgender.io import Notify, one_line
from batchgender.photos.places.remote.address import Address, is_address, parse_target
from batchgender.photos.places.remote.answers import Refused
from batchgender.photos.places.remote.bucket import Bucket, digest_of
from batchgender.photos.places.remote.writable import Changed, Stored
from batchgender.results.formats import ENDINGS, ending_of, report_beside
from batchgender.results.keeping import finished_marks
from batchgender.results.output import GoingOn, Output
from batchgender.results.parquet_parts import is_part
from batchgender.results.shard_record import record_file
from batchgender.results.sinks import finished_already
from batchgender.results.working_files import Note, WorkingFiles, digest_of_results, results_in


class RemoteOutput(Output):
    """Results and reports of which some go to addresses: these are working files until `upload`."""

    def __init__(self, out: str, reports: Sequence[str], going_on: GoingOn, notify: Notify) -> None:
        self._going_on, self._notify = going_on, notify
        self._buckets: dict[str, Bucket] = {}
        self._out = parse_target(out) if is_address(out) else None
        if self._out and not ending_of(self._out.key.replace("/", os.sep)):
            raise UserError(
                f"{_shown(self._out)}: unknown format; end the name in {', '.join(ENDINGS)}, or in / for a folder of"
                " Parquet files"
            )
        targets = {report: parse_target(report) for report in reports if is_address(report)}
        self._first = self._out or next(iter(targets.values()))
        self.working = WorkingFiles(self._first)
        self._addresses = {self._report_file(address): address for address in targets.values()}
        files = {report: str(self._report_file(address)) for report, address in targets.items()}
        super().__init__(out, [files.get(report, report) for report in reports])
        self._folder = self._out is not None and self._out.key.endswith("/")
        self._above = ""
        if self._out:
            self._above, _, name = self._out.key.rstrip("/").rpartition("/")
            self._above += "/" if self._above else ""
            self.out = str(self.working.folder / name) + (os.sep if self._folder else "")
            if not reports:
                beside = report_beside(Path(self.out))
                self._addresses[beside] = replace(self._out, key=self._above + beside.name)
        self._note = Note({})

    @property
    def name(self) -> str:
        """The address that the working files are named after."""
        return _shown(self._first)

    def _report_file(self, address: Address) -> Path:
        name = address.key.rpartition("/")[2]
        # Reports of two folders may have one name.
        digest = hashlib.sha256(_whole(address).encode("utf-8", "surrogateescape")).hexdigest()
        return self.working.folder / f"{digest[:8]}-{name}"

    def prepare(self) -> None:
        """Look at all addresses, and have earlier results here where they are gone on from.

        Raises UserError where an address can't be written, or may not be.
        """
        if self._out:
            self._prepare_results(self._out)
        else:
            # What a killed command left.
            self.working.clear()
            self.working.make()
        for address in self._addresses.values():
            bucket = self._bucket(address)
            if not self._out or address.name != self._out.name:
                bucket.check_writable(address.key)
            if not self._going_on.may_replace and self._stat(bucket, address.key):
                raise UserError(
                    f"{_shown(address)}: exists already; replace it with --overwrite or choose another --report"
                )
        self._note.reports |= {file.name: _whole(address) for file, address in self._addresses.items()}
        self.working.write_note(self._note)

    def _prepare_results(self, address: Address) -> None:
        going_on, shown, working, out = self._going_on, _shown(address), self.working, Path(self.out)
        if going_on.overwrite:
            working.clear()
        if not going_on.keeps and (working.is_unfinished(out) or working.is_finished(out)):
            raise UserError(
                f"{shown}: a run of classify goes there, whose rows are in {working.folder}; choose another --out"
            )
        if working.is_finished(out):
            if not going_on.resume:
                raise UserError(
                    f"{shown}: a run is finished on this machine, and its results are not uploaded yet; upload them"
                    " with --resume or start again with --overwrite"
                )
            self._note, self.uploads_alone = working.note(), True
            return
        self._bucket(address).check_writable(self._key(out.name + "/part" if self._folder else out.name))
        there = self._there()
        if working.is_unfinished(out):
            self._note = working.note()
            if going_on.may_replace and (other := self._other_version(there)):
                raise self._changed(other)
            self._notify(f"{shown}: rows are gathered in {self.out}.part until all are there")
            return
        # What is left may be earlier results that were fetched.
        working.clear()
        working.make()
        tags = None if there is None else {name: found.tag for name, found in there.items()}
        self._note = Note(tags, going_on.overwrite or going_on.update.any)
        if there and not (going_on.overwrite or going_on.update.any):
            if going_on.resume:
                raise finished_already(shown)
            raise UserError(f"{shown}: exists already; replace it with --overwrite or choose another --out")
        if going_on.resume and not there:
            self._notify(
                f"{shown}: nothing to resume on this machine, so the run begins; an unfinished one is resumed on the"
                f" machine where it was begun, for its rows are gathered there, in {working.folder}"
            )
        if there and going_on.update.any:
            self._fetch(there)
        elif there:
            self._fetch_marks()
        if going_on.keeps:
            self._notify(f"{shown}: rows are gathered in {self.working.folder} until all are there")

    def _there(self) -> dict[str, Stored] | None:
        """The objects that the results at the address consist of, by their names; None where that may not be known."""
        assert self._out
        bucket, out = self._bucket(self._out), Path(self.out)
        try:
            if not self._folder:
                found = bucket.stat(self._key(out.name))
                return {out.name: found} if found else {}
            there = {}
            for entry in bucket.listed(self._out.key):
                name = entry.key.removeprefix(self._out.key)
                # A key that ends in a slash stands for an empty folder.
                if name and not is_part(name):
                    raise UserError(
                        f"{_shown(self._out)}: holds other objects ({name!r}), and is not replaced; choose another"
                        " --out"
                    )
                if name and (part := bucket.stat(entry.key)):
                    there[f"{out.name}/{name}"] = part
            return there
        except (Refused, UserError) as error:
            refused = error.__cause__ if isinstance(error, UserError) else error
            if isinstance(refused, Refused) and refused.status in (401, 403):
                if self._going_on.update.any:
                    raise UserError(f"{_shown(self._out)}: may not be read, so it can't be updated") from error
                return None
            raise

    def _stat(self, bucket: Bucket, key: str) -> Stored | None:
        """What is there, None where that may not be known, too: then an upload finds out."""
        try:
            return bucket.stat(key)
        except Refused:
            return None

    def _fetch(self, there: dict[str, Stored]) -> None:
        """Have the results that are there in the place of the working ones."""
        assert self._out
        bucket = self._bucket(self._out)
        self._note.fetched = None
        self.working.write_note(self._note)
        for name, version in there.items():
            try:
                bucket.fetch(self._key(name), version, self.working.folder / name)
            except Changed as changed:
                raise self._changed(name) from changed
        self._fetch_marks()
        self._note.fetched = digest_of_results(Path(self.out))

    def _fetch_marks(self) -> None:
        """Have the marks of the results that are there: those of the new ones replace them."""
        assert self._out
        bucket, marks = self._bucket(self._out), finished_marks(Path(self.out))
        if version := self._stat(bucket, self._key(marks.name)):
            try:
                bucket.fetch(self._key(marks.name), version, marks)
            except Changed as changed:
                raise self._changed(marks.name) from changed

    def upload(self, written: Sequence[str] = ()) -> list[str]:
        """Upload the results, what is kept beside them, and reports; then the working files go.

        Raises UserError where something can't be uploaded: then all stays as it is here.
        """
        if self._out and not self.uploads_alone:
            self._note.complete = True
            self.working.write_note(self._note)
        try:
            if self._out:
                self._upload_results(self._out)
            reports = self._upload_reports()
        except UserError as error:
            raise UserError(f"{error}; {self._kept()}") from error
        except KeyboardInterrupt:
            self._notify(f"{self.name}: not uploaded; {self._kept()}")
            raise
        self.working.clear()
        if self.uploads_alone and not self._note.complete:
            self._notify(
                f"{self.name}: the run was stopped before its report was written; `batchgender report {self.name}`"
                " prints it, and writes it with --report"
            )
        local = [file for file in written if Path(file) not in self._addresses]
        return [*([_shown(self._out)] if self._out else [self.out] if self.out else []), *local, *reports]

    def tidy(self) -> None:
        """Remove the working files but for rows that a run can go on from."""
        out = Path(self.out)
        rows = self._out and (self.working.is_unfinished(out) or self.working.is_finished(out))
        if not (self._going_on.keeps and rows):
            self.working.clear()

    def _upload_results(self, address: Address) -> None:
        bucket, out = self._bucket(address), Path(self.out)
        if (wal := out.with_name(out.name + "-wal")).exists():
            raise UserError(f"{wal}: another program has the database open; close it there first")
        files = [file.relative_to(self.working.folder).as_posix() for file in results_in(out)]
        for name in files:
            self._send(bucket, name)
        for name in sorted({*(self._note.tags or ())} - {*files}):
            bucket.remove(self._key(name))
        for file in (finished_marks(out), record_file(out)):
            key = self._key(file.name)
            if file.exists():
                bucket.upload(file, key, None)
            elif self._note.tags and self._stat(bucket, key):
                # It is of the results that were replaced.
                bucket.remove(key)

    def _send(self, bucket: Bucket, name: str) -> None:
        """Upload a file of the results, unless it is there, in the place of the version that the run was begun with."""
        file, expected = self.working.folder / name, self._note.expected(name)
        try:
            try:
                found = bucket.stat(self._key(name))
                if found and found.digest == digest_of(file):
                    return
                if found and expected is not None and found.tag != expected:
                    raise self._changed(name)
                expected = found.tag if found else ""
            except Refused:
                # Who may write need not be allowed to look.
                pass
            bucket.upload(file, self._key(name), expected)
        except Changed as changed:
            raise self._changed(name) from changed

    def _upload_reports(self) -> list[str]:
        addresses = dict(self._addresses)
        for name, text in self._note.reports.items():
            # Those that the run was begun with, where it is resumed without.
            addresses.setdefault(self.working.folder / name, parse_target(text))
        there = {file: address for file, address in addresses.items() if file.exists()}
        for file, address in there.items():
            try:
                self._bucket(address).upload(file, address.key, None if self._going_on.may_replace else "")
            except Changed as changed:
                raise UserError(
                    f"{_shown(address)}: has come into being since the run began; move it away"
                ) from changed
        return [_shown(address) for address in there.values()]

    def _other_version(self, there: dict[str, Stored] | None) -> str:
        """The name of an object that is another than when the run began, and not what it uploaded; "" where none is."""
        for name, found in (there or {}).items():
            expected = self._note.expected(name)
            if expected is not None and found.tag != expected:
                return name
        return ""

    def _changed(self, name: str) -> UserError:
        assert self._out
        what = "exists already" if self._note.tags is None else "was written by another program since this run began"
        return UserError(f"{_shown(replace(self._out, key=self._key(name)))}: {what}; move that object away first")

    def _kept(self) -> str:
        if not self._going_on.keeps:
            return "nothing is lost: do the same again"
        if not self._out:
            return "all else is written, and `batchgender report` makes a report of results again"
        return f"all rows are kept in {self.out}, --resume uploads them"

    def _key(self, name: str) -> str:
        return self._above + name

    def _bucket(self, address: Address) -> Bucket:
        if address.name not in self._buckets:
            self._buckets[address.name] = Bucket(address, self._notify)
        return self._buckets[address.name]


def _whole(address: Address) -> str:
    return f"{address.name}/{address.key}"


def _shown(address: Address) -> str:
    return one_line(_whole(address))
