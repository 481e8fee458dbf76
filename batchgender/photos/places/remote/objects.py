"""Photos of an object store: all under a prefix, those that match a pattern, or a single one."""

import re
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial

from batchgender.errors import PlaceLost, UnreadablePhoto
from batchgender.photos.file_type import named_as_photo
from batchgender.photos.photo import Photo
from batchgender.photos.places.folder import is_system_folder, made_by_a_system
from batchgender.photos.places.place import Findings
from batchgender.photos.places.remote.answers import Refused
from batchgender.photos.places.remote.endpoint import PAGE_TRIES, Endpoint
from batchgender.photos.places.remote.remote_file import RemoteFile
from batchgender.photos.places.remote.store import Entry, ObjectStore, Page, Store

_WILDCARD = re.compile(r"(\*+|\?|\[[!^]?\]?[^\]]*\])")


@dataclass(frozen=True)
class ObjectFolder:
    """All photos whose keys begin with `key`: a prefix that ends in a slash, or all of the bucket.

    Hidden ones and those in folders that systems make are left out, as in a folder of this machine, and what has an
    ending that is unknown: to look at its first bytes takes a request for each. `shown` begins the paths.
    """

    endpoint: Endpoint
    store: ObjectStore
    key: str
    shown: str
    root: str
    sequential = False

    def holds(self, key: str) -> bool:
        """Whether this is the key of one of its objects, photo or not."""
        *folders, name = key[len(self.key) :].split("/")
        return key.startswith(self.key) and not name.startswith(".") and not any(map(is_system_folder, folders))

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos in the order of their keys."""
        for key, size, tag in listed(self.endpoint, self.store, self.key):
            # A key that ends in a slash stands for an empty folder.
            if self.holds(key) and not key.endswith("/"):
                if named_as_photo(key):
                    content = RemoteFile(self.endpoint, key, size, tag)
                    yield Photo(self.shown + key[len(self.key) :], content, self.root, findings.names)
                else:
                    findings.skip(key.rpartition("/")[2])


@dataclass(frozen=True)
class ObjectPattern:
    """The objects whose keys match a pattern, but for those that have an ending of something else than a photo.

    A wildcard matches no slash, and neither a hidden object nor a folder that systems make; `**` matches any folders.
    """

    endpoint: Endpoint
    store: ObjectStore
    key: str
    shown: str
    sequential = False

    def holds(self, key: str) -> bool:
        """Whether this is the key of an object that matches."""
        named = set(self.key.split("/"))
        hidden = any(part not in named and made_by_a_system(part) for part in key.split("/")[:-1])
        return not hidden and _regex(self.key).fullmatch(key) is not None

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield what matches in the order of the keys."""
        for key, size, tag in listed(self.endpoint, self.store, _WILDCARD.split(self.key)[0]):
            if self.holds(key) and not key.endswith("/"):
                if named_as_photo(key) is False:
                    findings.skip(key.rpartition("/")[2])
                else:
                    content = RemoteFile(self.endpoint, key, size, tag)
                    yield Photo(self.shown + key, content, "", findings.names)


@dataclass(frozen=True)
class SingleObject:
    """One photo; `path` is what its row shows, `size` its bytes and `tag` its version as far as they are known."""

    endpoint: Endpoint
    key: str
    size: int | None
    path: str
    root: str
    tag: str = ""
    sequential = False

    def holds(self, key: str) -> bool:
        """Whether this is its key."""
        return key == self.key

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield it."""
        yield Photo(self.path, RemoteFile(self.endpoint, self.key, self.size, self.tag), self.root, findings.names)


def listed(endpoint: Endpoint, store: ObjectStore, prefix: str) -> Iterator[Entry]:
    """All objects whose keys begin with a prefix.

    The next page is fetched while one is looked through. Raises PlaceLost where the store gives no page.
    """

    def begun(token: str) -> Future[Page]:
        return endpoint.begin(endpoint.ask(partial(store.page, prefix, token), tries=PAGE_TRIES))

    ahead: Future[Page] | None = begun("")
    try:
        while ahead:
            page = page_of(ahead, endpoint, store)
            ahead = begun(page.token) if page.token else None
            yield from page.entries
    finally:
        if ahead:
            ahead.cancel()


def page_of(begun: Future[Page], endpoint: Endpoint, store: ObjectStore) -> Page:
    """A page that was begun; raises PlaceLost where the store does not give it."""
    try:
        return begun.result()
    except UnreadablePhoto as error:
        if isinstance(error, Refused) and error.status == 404:
            raise PlaceLost(f"{endpoint.name}: no such bucket; check the address") from error
        raise PlaceLost(not_listed(endpoint.name, error, store)) from error


def not_listed(name: str, error: UnreadablePhoto, store: Store) -> str:
    """Why a bucket or folder is not listed, and what to do."""
    if not isinstance(error, Refused):
        return f"{name}: can't list it: {error}"
    advice = f"; {store.credentials_advice}" if error.status in (401, 403) else ""
    return f"{name}: can't list it: {error.reason}{advice}"


def has_wildcard(key: str) -> bool:
    """Whether a key may be a pattern."""
    return _WILDCARD.search(key) is not None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    """What matches a pattern: wildcards within a part, and `**` for any number of folders."""
    *folders, name = pattern.split("/")
    folder = r"(?:(?!\.)[^/]+/)*"
    parts = [folder if part == "**" else _part(part) + "/" for part in folders]
    return re.compile("".join(parts) + (folder + _part("*") if name == "**" else _part(name)), re.DOTALL)


def _part(pattern: str) -> str:
    """A part of a pattern as a regular expression; what begins with a wildcard matches nothing hidden."""
    found = _WILDCARD.split(pattern)
    texts = [_wildcard(text) if index % 2 else re.escape(text) for index, text in enumerate(found)]
    return (r"(?!\.)" if len(found) > 1 and not found[0] else "") + "".join(texts)


def _wildcard(text: str) -> str:
    if text[0] == "[":
        listed = text[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"(?!/)[^{listed[1:]}]" if listed[0] in "!^" else f"[{listed}]"
    return "[^/]" if text == "?" else "[^/]*"
