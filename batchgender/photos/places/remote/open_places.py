"""Addresses to places: each is looked up once, and those of one bucket or host share their requests."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from batchgender.errors import UserError
from batchgender.extras import require_extra
from batchgender.io import Notify, one_line
from batchgender.photos.file_type import named_as_photo
from batchgender.photos.photo import Photo
from batchgender.photos.places.place import Findings, Place
from batchgender.photos.places.remote.address import WEB, Address, decoded, last_name, parse_address, shown_address
from batchgender.photos.places.remote.answers import Refused
from batchgender.photos.places.remote.azure import Azure
from batchgender.photos.places.remote.endpoint import IN_FLIGHT, Endpoint
from batchgender.photos.places.remote.google import Google
from batchgender.photos.places.remote.objects import (
    ObjectFolder,
    ObjectPattern,
    SingleObject,
    has_wildcard,
    page_of,
)
from batchgender.photos.places.remote.remote_file import RemoteFile
from batchgender.photos.places.remote.s3 import S3
from batchgender.photos.places.remote.store import Entry, ObjectStore
from batchgender.photos.places.remote.web import Web
from batchgender.photos.places.remote.web_folder import WebFolder

KINDS: dict[str, Callable[[str, int], ObjectStore]] = {"s3": S3, "gs": Google, "az": Azure}
# The package that a scheme needs beside fsspec.
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "http": "aiohttp", "https": "aiohttp"}


class RemotePlace(Place, Protocol):
    """A place behind an address."""

    @property
    def endpoint(self) -> Endpoint:
        """Where its photos are read from."""

    def holds(self, key: str) -> bool:
        """Whether a key is that of something in it."""


def open_places(inputs: Sequence[str], alone: bool, notify: Notify) -> list[tuple[str, Place]]:
    """The places that addresses name, each with the address as it is shown; `alone` where there is no other input.

    Raises UserError where an address is none, leads nowhere, or its package or credentials are missing.
    """
    opener = _Opener(alone, notify)
    # Two that are shown alike would have the same paths.
    addresses = {shown_address(given): parse_address(given) for given in inputs}
    opened: list[tuple[str, RemotePlace]] = []
    for shown, address in addresses.items():
        opened.append((shown, opener.web(shown, address) if address.scheme in WEB else opener.stored(shown, address)))
    places: list[tuple[str, Place]] = []
    for index, (shown, place) in enumerate(opened):
        before = tuple(other for _, other in opened[:index] if other.endpoint.name == place.endpoint.name)
        places.append((shown, _Beside(place, before) if before else place))
    return places


@dataclass(frozen=True)
class _Beside:
    """A place without what others of the same bucket or host hold, so that no photo has two rows."""

    place: RemotePlace
    others: tuple[RemotePlace, ...]
    sequential = False

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield what is left."""
        for photo in self.place.photos(findings):
            content = photo.content
            if not (isinstance(content, RemoteFile) and any(other.holds(content.key) for other in self.others)):
                yield photo


class _Opener:
    """Opens places, and keeps what they share: one endpoint a bucket or host."""

    def __init__(self, alone: bool, notify: Notify) -> None:
        self._alone, self._notify = alone, notify
        self._stores: dict[str, tuple[Endpoint, ObjectStore]] = {}
        self._hosts: dict[tuple[str, bool], tuple[Endpoint, Web]] = {}

    def web(self, shown: str, address: Address) -> RemotePlace:
        """A folder that a page lists where the URL ends in a slash, else one photo."""
        require_packages(address.scheme)
        folder = address.key.endswith("/") and "?" not in address.key
        host = (address.name, folder)
        if host not in self._hosts:
            web = Web()
            self._hosts[host] = Endpoint(address.name, web, self._notify, single=not folder), web
        endpoint, web = self._hosts[host]
        above, _, name = address.key.removesuffix("/").rpartition("/")
        if folder:
            root = decoded(name) if above.count("/") > 1 else ""
            return WebFolder(endpoint, web, address.key, "" if self._alone else shown.rstrip("/") + "/", root)
        path = last_name(address.key) if self._alone else shown
        return SingleObject(endpoint, address.key, None, path, decoded(above.rpartition("/")[2]))

    def stored(self, shown: str, address: Address) -> RemotePlace:
        """A prefix, a pattern or an object, whichever there is; raises UserError where there is none."""
        key = address.key
        endpoint, store = self._endpoint(address)
        try:
            first = self._first(endpoint, store, key)
        except UserError as error:
            # Who may read a photo may not list the bucket.
            refused = error.__cause__
            if not (isinstance(refused, Refused) and refused.status == 403 and named_as_photo(key)):
                raise
            return SingleObject(endpoint, key, None, *self._named(shown, address))
        name = f"{address.bucket}/{key}".removesuffix("/").rpartition("/")[2]
        if not key or key.endswith("/"):
            return ObjectFolder(endpoint, store, key, "" if self._alone else shown.rstrip("/") + "/", name)
        if first and first.key == key:
            if named_as_photo(key) is False:
                raise UserError(f"{one_line(shown)}: not a photo by its ending; fetch it first if it holds photos")
            return SingleObject(endpoint, key, first.size, *self._named(shown, address), first.tag)
        if has_wildcard(key):
            return ObjectPattern(endpoint, store, key, address.name + "/")
        if self._first(endpoint, store, key + "/"):
            return ObjectFolder(endpoint, store, key + "/", "" if self._alone else shown + "/", name)
        raise UserError(f"{one_line(shown)}: no such object or folder; check the address")

    def _named(self, shown: str, address: Address) -> tuple[str, str]:
        """The path of a single object, and the name of the folder that it lies in."""
        root, _, name = f"{address.bucket}/{address.key}".rpartition("/")
        return name if self._alone else shown, root.rpartition("/")[2]

    def _first(self, endpoint: Endpoint, store: ObjectStore, prefix: str) -> Entry | None:
        """The first object whose key begins with a prefix."""
        page = page_of(endpoint.begin(endpoint.ask(partial(store.page, prefix, count=1))), endpoint, store)
        return page.entries[0] if page.entries else None

    def _endpoint(self, address: Address) -> tuple[Endpoint, ObjectStore]:
        if address.name not in self._stores:
            require_packages(address.scheme)
            store = KINDS[address.scheme](address.bucket, IN_FLIGHT)
            self._stores[address.name] = Endpoint(address.name, store, self._notify), store
        return self._stores[address.name]


def require_packages(scheme: str) -> None:
    """Raise UserError where what a scheme needs is not installed."""
    require_extra("remote", f"{scheme}://", ("fsspec", _PACKAGES[scheme]))
