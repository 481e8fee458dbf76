"""One request to a web server, by aiohttp, and what its errors mean."""

import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from batchgender.errors import PlaceLost, UnreadablePhoto, UserError, os_reason
from batchgender.io import first_line
from batchgender.photos.places.remote.answers import LargePhoto, Refused, TryAgain, by_status
from batchgender.photos.places.remote.store import CHUNK, CONNECT_LIMIT, SILENCE_LIMIT, whole


async def get(session: Any, url: str, limit: int) -> tuple[bytes, str]:
    """What stands at a URL, which is encoded, and the URL that it was redirected to.

    Raises what `answered` does, and LargePhoto.
    """
    async with answered(session, "GET", url) as answer:
        return await body(answer, limit), str(answer.url)


async def body(answer: Any, limit: int) -> bytes:
    """The bytes of an answer; raises LargePhoto where they are more than `limit`."""
    # Of an answer that is compressed, the bytes are more.
    return await whole(answer.content.iter_chunked(CHUNK), answer.content_length, limit)


@asynccontextmanager
async def answered(
    session: Any, method: str, url: str, statuses: Collection[int] = (200,), **arguments: Any
) -> AsyncIterator[Any]:
    """The answer to a request, while its body is read; the URL is encoded, `arguments` are those of aiohttp.

    Raises TryAgain, Refused where the status is none of `statuses`, and PlaceLost where the server's certificate is not
    trusted.
    """
    import aiohttp
    import yarl

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT, sock_read=SILENCE_LIMIT)
    try:
        async with session.request(method, yarl.URL(url, encoded=True), timeout=timeout, **arguments) as answer:
            if answer.status not in statuses:
                raise by_status(answer.status, retry_after=answer.headers.get("Retry-After", ""))
            yield answer
    except (TryAgain, LargePhoto, UnreadablePhoto, UserError):
        raise
    except Exception as error:
        raise meaning(error) from error


def meaning(error: Exception) -> Exception:
    """What an error of aiohttp or of the system means for the photo, or the run."""
    import aiohttp

    if isinstance(error, aiohttp.ClientSSLError):
        reason = first_line(error.certificate_error if hasattr(error, "certificate_error") else error)
        return PlaceLost(f"{error.host}: {reason}; SSL_CERT_FILE names certificates to trust")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TryAgain(f"can't find {error.host}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TryAgain(f"can't connect to {error.host}:{error.port} ({_reason(error.os_error)})")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TryAgain("the answer is cut short", cut=True)
    if isinstance(error, TimeoutError):
        return TryAgain(f"nothing came for {SILENCE_LIMIT:.0f} s")
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.TooManyRedirects, aiohttp.ClientHttpProxyError)):
        return Refused(first_line(error))
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return TryAgain(first_line(error))
    return Refused(first_line(error))


def _reason(error: OSError) -> str:
    """The system's own words: asyncio has others in their place."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else os_reason(error)
