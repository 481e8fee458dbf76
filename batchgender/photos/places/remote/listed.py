"""Photos that are named one by one by addresses, of any bucket and host: those of a list."""

from collections.abc import Iterable

from batchgender.errors import UserError
from batchgender.io import Notify
from batchgender.photos.photo import Content, Refused
from batchgender.photos.places.remote.address import WEB, Address, parse_address
from batchgender.photos.places.remote.endpoint import IN_FLIGHT, Endpoint
from batchgender.photos.places.remote.open_places import KINDS, require_packages
from batchgender.photos.places.remote.remote_file import RemoteFile
from batchgender.photos.places.remote.store import Store
from batchgender.photos.places.remote.web import Web


class ListedAddresses:
    """Gives the contents of addresses; nothing is asked for before they are read.

    Those of one bucket or host share its endpoint. Raises UserError where `schemes` need packages that are missing.
    """

    def __init__(self, schemes: Iterable[str], notify: Notify) -> None:
        for scheme in sorted({*schemes} & {*KINDS, *WEB}):
            require_packages(scheme)
        self._notify = notify
        self._endpoints: dict[str, Endpoint] = {}
        self._web: Web | None = None

    def content(self, text: str) -> Content:
        """The photo at an address; where that is none, one that can't be read."""
        try:
            address = parse_address(text)
        except UserError as error:
            return Refused(str(error))
        endpoint = self._endpoints.get(address.name)
        if endpoint is None:
            # A list may name many hosts, of which some are gone; a bucket that is gone ends the run, to be resumed.
            single = address.scheme in WEB
            endpoint = Endpoint(address.name, self._store(address), self._notify, single)
            self._endpoints[address.name] = endpoint
        return RemoteFile(endpoint, address.key)

    def _store(self, address: Address) -> Store:
        if address.scheme not in WEB:
            return KINDS[address.scheme](address.bucket, IN_FLIGHT)
        # One for all hosts: a list may name thousands.
        self._web = self._web or Web()
        return self._web
