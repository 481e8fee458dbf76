"""A bucket that files are written to, and fetched from: each whole or not at all."""

import hashlib
import mimetypes
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from batchgender.errors import PlaceLost, UnreadablePhoto, UserError, os_reason
from batchgender.io import Notify, one_line, written_whole
from batchgender.photos.places.remote.address import Address
from batchgender.photos.places.remote.answers import Refused, TryAgain
from batchgender.photos.places.remote.azure_uploads import AzureUploads
from batchgender.photos.places.remote.endpoint import IN_FLIGHT, TIME_LIMIT, Endpoint, seconds_for
from batchgender.photos.places.remote.google_uploads import GoogleUploads
from batchgender.photos.places.remote.objects import listed
from batchgender.photos.places.remote.open_places import require_packages
from batchgender.photos.places.remote.s3_uploads import S3Uploads
from batchgender.photos.places.remote.store import Entry
from batchgender.photos.places.remote.writable import About, Changed, Piece, Stored, WritableStore

_KINDS: dict[str, Callable[[str, int], WritableStore]] = {"s3": S3Uploads, "gs": GoogleUploads, "az": AzureUploads}
# Bytes of a piece, which is held in memory; pieces of S3 are at most 10,000, and those of Google whole times 256 KiB.
PIECE, _MOST_PIECES = 2**24, 9_000
_FORBIDDEN = (401, 403)

Answer = TypeVar("Answer")


class Bucket:
    """A bucket by an address in it. Raises UserError where its package or credentials are missing.

    So do all its methods where a request fails in each of its tries; Changed goes through.
    """

    def __init__(self, address: Address, notify: Notify) -> None:
        require_packages(address.scheme)
        self.name, self._notify = address.name, notify
        self._store = _KINDS[address.scheme](address.bucket, IN_FLIGHT)
        self._endpoint = Endpoint(address.name, self._store, notify)

    def check_writable(self, key: str) -> None:
        """Raise UserError where an object of this key can't be written; nothing is left of it."""
        with self._meant(key, "write"):
            try:
                # From here on an outage is waited for as where photos are read.
                self._result(self._endpoint.prove(partial(self._store.check, key)))
            except Refused as refused:
                if refused.status == 404:
                    raise PlaceLost(f"{self.name}: no such bucket; check the address") from refused
                raise

    def stat(self, key: str) -> Stored | None:
        """What is there, None where nothing is; raises Refused where that may not be known."""
        try:
            with self._meant(key, "look at"):
                return self._asked(partial(self._store.stat, key))
        except UserError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.status in _FORBIDDEN:
                raise error.__cause__ from error
            raise

    def listed(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys begin with a prefix."""
        return listed(self._endpoint, self._store, prefix)

    def fetch(self, key: str, version: Stored, file: Path) -> None:
        """Have the bytes of this version, and its time, in a file."""

        async def fetched(stream: IO[bytes]) -> None:
            def write(data: bytes) -> None:
                try:
                    stream.write(data)
                except OSError as error:
                    raise _cannot_write(file, error) from error

            # What a try before left.
            stream.seek(0)
            stream.truncate()
            await self._store.fetch(key, version.tag, write)
            if stream.tell() != version.size:
                raise TryAgain(f"{stream.tell():,} of {version.size:,} bytes came", cut=True)

        try:
            with self._meant(key, "read"), written_whole(file, "wb", ending=".tmp") as stream:
                self._asked(partial(fetched, stream), version.size)
            os.utime(file, (version.modified, version.modified))
        except OSError as error:
            raise _cannot_write(file, error) from error

    def upload(self, file: Path, key: str, expected: str | None) -> None:
        """Have the bytes of a file under a key, in the place of the version `expected`; see `WritableStore`."""
        kind, packed = mimetypes.guess_type(key)
        about = About(file.stat().st_size, digest_of(file), "application/gzip" if packed else kind or "")
        if about.size > PIECE:
            self._notify(f"{one_line(f'{self.name}/{key}')}: {about.size / 1e6:,.0f} MB to upload")
        with self._meant(key, "write"):
            try:
                self._upload(file, key, about, expected)
            except (Changed, Refused):
                # That it was done may be what was not heard of.
                with suppress(Refused, UserError):
                    found = self.stat(key)
                    if found and found.digest == about.digest:
                        return
                raise

    def _upload(self, file: Path, key: str, about: About, expected: str | None) -> None:
        store = self._store
        size = PIECE * max(1, -(-about.size // (PIECE * _MOST_PIECES)))
        upload = self._asked(partial(store.begin, key, about, expected))
        try:
            with open(file, "rb") as stream:
                pieces = list[Any]()
                while data := stream.read(size):
                    place = Piece(len(pieces), stream.tell() - len(data))
                    pieces.append(self._asked(partial(store.piece, key, upload, about, place, data), len(data)))
            self._check_version(key, expected)
            self._asked(partial(store.finish, key, upload, about, pieces, expected))
        except BaseException:
            # That of a store that is gone is left.
            with suppress(Exception):
                self._endpoint.begin(store.cancel(key, upload)).result(TIME_LIMIT)
            raise

    def _check_version(self, key: str, expected: str | None) -> None:
        """Raise Changed where another version is there: not every store heeds conditions."""
        # Who may write need not be allowed to look.
        with suppress(Refused):
            if expected is not None and (((found := self.stat(key)) and found.tag) or "") != expected:
                raise Changed(key)

    def remove(self, key: str) -> None:
        """Remove an object."""
        with self._meant(key, "remove"):
            self._asked(partial(self._store.remove, key))

    def _asked(self, request: Callable[[], Awaitable[Answer]], size: int = 0) -> Answer:
        return self._result(self._endpoint.ask(request, seconds_for(size)))

    def _result(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        begun = self._endpoint.begin(asked)
        try:
            return begun.result()
        finally:
            begun.cancel()

    @contextmanager
    def _meant(self, key: str, what: str) -> Iterator[None]:
        try:
            yield
        except UnreadablePhoto as error:
            raise UserError(self._refused(key, what, error)) from error

    def _refused(self, key: str, what: str, error: UnreadablePhoto) -> str:
        reason = error.reason if isinstance(error, Refused) else str(error)
        forbidden = isinstance(error, Refused) and error.status in _FORBIDDEN
        advice = f"; {self._store.credentials_advice.partition(';')[0]}" if forbidden else ""
        return f"{one_line(f'{self.name}/{key}')}: can't {what} it: {reason}{advice}"


def digest_of(file: Path) -> str:
    """The SHA-256 of the bytes of a file; raises OSError."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cannot_write(file: Path, error: OSError) -> UserError:
    return UserError(f"{file}: can't write ({os_reason(error)})")
