"""Photos of a web server by their URLs, and the pages that list them."""

from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

from batchgender.photos.places.remote import web_requests
from batchgender.photos.places.remote.address import decoded, encoded
from batchgender.photos.places.remote.answers import LargePhoto, Refused
from batchgender.photos.places.remote.store import options

# Bytes that a page of links may have: some 300,000 of them.
_PAGE_LIMIT = 2**26


class Web:
    """A web server. The keys are URLs, encoded."""

    credentials_advice = "names and passwords are taken from ~/.netrc"

    def __init__(self) -> None:
        from fsspec.implementations.http import HTTPFileSystem

        self._files = HTTPFileSystem(**options(("http", "https"), {"client_kwargs": {"trust_env": True}}))

    async def get(self, key: str, limit: int) -> bytes:
        """What stands at a URL."""
        return (await web_requests.get(await self._files.set_session(), key, limit))[0]

    async def links(self, url: str) -> dict[str, str]:
        """The entries of a page that lists a folder: names, those of folders with a slash at their end, and URLs."""
        try:
            page, url = await web_requests.get(await self._files.set_session(), url, _PAGE_LIMIT)
        except LargePhoto as error:
            raise Refused("too large for a page of links") from error
        parser = _Links()
        parser.feed(page.decode("utf-8", "replace"))
        folder = unquote(url.rpartition("/")[0])
        found: dict[str, str] = {}
        for link in parser.found:
            try:
                target = encoded(urljoin(url, link))
            except ValueError:
                continue
            above, _, name = target.removesuffix("/").rpartition("/")
            # What lies in the folder itself: no link to its parent, to another order of its lines, or to other sites.
            if unquote(above) == folder and name and "?" not in name:
                found.setdefault(decoded(name) + ("/" if target.endswith("/") else ""), target)
        return found


class _Links(HTMLParser):
    """Where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link."""
        if tag == "a":
            self.found += [value.strip() for name, value in attrs if name == "href" and value]
