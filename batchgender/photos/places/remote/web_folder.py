"""Photos that the pages of a web server list."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import islice

from batchgender.errors import PlaceLost, UnreadablePhoto
from batchgender.photos.file_type import named_as_photo
from batchgender.photos.photo import Photo
from batchgender.photos.places.folder import is_system_folder
from batchgender.photos.places.place import Findings
from batchgender.photos.places.remote.address import decoded, shown_address
from batchgender.photos.places.remote.endpoint import PAGE_TRIES, Endpoint
from batchgender.photos.places.remote.objects import not_listed
from batchgender.photos.places.remote.remote_file import RemoteFile
from batchgender.photos.places.remote.web import Web

# Folders of one folder that are listed before they are asked for.
_AHEAD = 8
# Folders in folders: pages that list themselves would never end.
_DEPTH = 50


@dataclass(frozen=True)
class WebFolder:
    """All photos that a page, and the pages of its folders, list; walked and filtered as a folder of this machine.

    `key` is its URL, which ends in a slash. What has an unknown ending is left out. `shown` begins the paths.
    """

    endpoint: Endpoint
    web: Web
    key: str
    shown: str
    root: str
    sequential = False

    def holds(self, key: str) -> bool:
        """Whether this is the URL of something in it, photo or not."""
        *folders, name = map(decoded, key[len(self.key) :].split("/"))
        return key.startswith(self.key) and not name.startswith(".") and not any(map(is_system_folder, folders))

    def photos(self, findings: Findings) -> Iterator[Photo]:
        """Yield its photos in the order of their paths."""
        return self._walk(self.key, self.shown, 0, self._begun(self.key), findings)

    def _walk(
        self, url: str, prefix: str, depth: int, listing: Future[dict[str, str]], findings: Findings
    ) -> Iterator[Photo]:
        try:
            links = listing.result()
        except UnreadablePhoto as error:
            reason = not_listed(shown_address(url), error, self.web)
            if not depth:
                raise PlaceLost(reason) from error
            findings.not_listed(f"{reason}; its photos are missing")
            return
        names = [name for name in sorted(links) if not is_system_folder(name.removesuffix("/"))]
        folders = [links[name] for name in names if name.endswith("/")]
        if folders and depth == _DEPTH:
            findings.not_listed(f"{shown_address(url)}: {_DEPTH} folders deep, those in it are not followed")
            names, folders = [name for name in names if not name.endswith("/")], []
        begun = deque(map(self._begun, folders[:_AHEAD]))
        coming = iter(folders[_AHEAD:])
        try:
            for name in names:
                if name.endswith("/"):
                    yield from self._walk(links[name], prefix + name, depth + 1, begun[0], findings)
                    begun.popleft()
                    begun.extend(map(self._begun, islice(coming, 1)))
                elif named_as_photo(name):
                    yield Photo(prefix + name, RemoteFile(self.endpoint, links[name]), self.root, findings.names)
                else:
                    findings.skip(name)
        finally:
            for each in begun:
                each.cancel()

    def _begun(self, url: str) -> Future[dict[str, str]]:
        return self.endpoint.begin(self.endpoint.ask(partial(self.web.links, url), tries=PAGE_TRIES))
