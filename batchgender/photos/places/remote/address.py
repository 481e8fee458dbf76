"""Addresses of photos: what they name, and how they are shown."""

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from batchgender.errors import UserError
from batchgender.io import one_line

WEB = ("http", "https")
_STORES = ("s3", "gs", "az")
# At least two letters: a single one is a drive of Windows.
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://(.*)", re.DOTALL)
# What signs a request, in small letters: of S3, Google and Azure, of CloudFront, and what others call it.
_SECRETS = re.compile(
    r"x-(amz|goog)-.*|awsaccesskeyid|googleaccessid|signature|policy|expires|key-pair-id"
    r"|sig|se|sp|sv|sr|st|spr|sip|sdd|ske|sks|skt|skv|skoid|sktid|access_token|token|api_key|apikey"
)
# What stands in a URL as it is; anything else is encoded.
_LEGAL = "%/:=&?~#+!$,;'@()*[]-._"


@dataclass(frozen=True)
class Address:
    """What an address names: its scheme, the bucket (of a web server the host), and the key within it.

    Keys of stores are taken as they are written; that of a web server is the whole URL, encoded.
    """

    scheme: str
    bucket: str
    key: str

    @property
    def name(self) -> str:
        """Where it leads, without the key: `s3://bucket`."""
        return f"{self.scheme}://{self.bucket}"


def is_address(text: str) -> bool:
    """Whether a text is an address, of whatever scheme, not a path of this machine."""
    return _ADDRESS.fullmatch(text) is not None


def parse_address(text: str) -> Address:
    """Take an address apart; raises UserError where it is none of a known scheme, or names no bucket or host."""
    found = _ADDRESS.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", text)
    if scheme in WEB:
        url = encoded(f"{scheme}://{rest}")
        parts = urlsplit(url)
        if not parts.hostname:
            raise UserError(f"{one_line(text)}: names no host; write https://host/photo.jpg")
        return Address(scheme, parts.netloc.rpartition("@")[2], url if parts.path else url + "/")
    if scheme not in _STORES:
        known = ", ".join(f"{each}://" for each in (*_STORES, *reversed(WEB)))
        raise UserError(f"{one_line(text)}: not an address that can be read; they begin with {known}")
    bucket, _, key = rest.partition("/")
    if not bucket or re.search(r"[*?\[]", bucket):
        raise UserError(f"{one_line(text)}: names no bucket; write {scheme}://bucket/photos/")
    return Address(scheme, bucket, key)


def parse_target(text: str) -> Address:
    """Take the address of results or a report apart; raises UserError where it can be none."""
    found = _ADDRESS.fullmatch(text)
    scheme = found[1].lower() if found else ""
    if scheme not in _STORES:
        known = ", ".join(f"{each}://" for each in _STORES)
        raise UserError(
            f"{one_line(shown_address(text))}: no place for results and reports; these are files of this machine, or"
            f" lie at {known}"
        )
    address = parse_address(text)
    if "@" in address.bucket:
        raise UserError(f"{scheme}://: credentials stand before the bucket; leave them to the environment")
    if not address.key.strip("/"):
        raise UserError(f"{one_line(text)}: names nothing in the bucket; write {address.name}/results.csv")
    if {"", ".", ".."} & {*address.key.removesuffix("/").split("/")}:
        raise UserError(f"{one_line(text)}: has an empty part, or a dot for one; write {address.name}/runs/results.csv")
    return address


def shown_address(text: str) -> str:
    """An address without what is secret in it: a password, a signature; any other text as it is."""
    found = _ADDRESS.fullmatch(text)
    if not found or found[1].lower() not in WEB:
        return text
    parts = urlsplit(text)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _SECRETS.fullmatch(name.lower())]
    query = parts.query if len(kept) == len(pairs) else urlencode(kept)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query, fragment="").geturl()


def last_name(url: str) -> str:
    """The name of a photo by its URL: the last part of its path, decoded; where there is none, the URL."""
    shown = shown_address(url).partition("://")[2]
    return decoded(os.path.basename(shown.partition("?")[0])) or shown


def encoded(url: str) -> str:
    """A URL without its fragment, in which all that may not stand there as it is is encoded."""
    return quote(url.partition("#")[0], safe=_LEGAL)


def decoded(part: str) -> str:
    """A part of a URL's path as it is read; as it is where it holds an encoded slash or no UTF-8."""
    text = unquote(part, errors="surrogateescape")
    return part if "/" in text or (not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text)) else text
