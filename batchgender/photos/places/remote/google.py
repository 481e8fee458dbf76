"""Buckets of Google Cloud Storage, by gcsfs."""

import json
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

from batchgender.errors import PlaceLost, UserError
from batchgender.io import first_line
from batchgender.photos.places.remote import web_requests
from batchgender.photos.places.remote.answers import Refused, TryAgain
from batchgender.photos.places.remote.store import KEYS_A_PAGE, Entry, Page, options

# A page of a listing is far below.
_PAGE_LIMIT = 2**26


class Google:
    """A bucket of Google Cloud Storage. Raises UserError where the credentials can't be used."""

    credentials_advice = (
        "set GOOGLE_APPLICATION_CREDENTIALS, or log in by `gcloud auth application-default login`;"
        " for a public bucket, FSSPEC_GS_TOKEN=anon"
    )

    # What is asked for of Google's permissions.
    _access = "read_only"

    def __init__(self, bucket: str, in_flight: int) -> None:
        import gcsfs

        logging.getLogger("gcsfs").addHandler(logging.NullHandler())
        ours = {"access": self._access, "session_kwargs": {"trust_env": True}}
        self._bucket = bucket
        try:
            self._files = gcsfs.GCSFileSystem(**options(("gs", "gcs"), ours))
        except Exception as error:
            raise UserError(f"gs://{bucket}: {first_line(error)}; {self.credentials_advice}") from error

    async def get(self, key: str, limit: int) -> bytes:
        """The bytes of an object."""
        return await self._answer(f"/{quote(key, safe='')}", {"alt": "media"}, limit)

    async def page(self, prefix: str, token: str = "", count: int = KEYS_A_PAGE) -> Page:
        """A page of keys."""
        at = {"pageToken": token} if token else {}
        fields = "items(name,size,etag),nextPageToken"
        query = {"prefix": prefix, "maxResults": str(count), "fields": fields, **at}
        data = await self._answer("", query, _PAGE_LIMIT)
        try:
            answer = json.loads(data)
            entries = [
                Entry(each["name"], int(each["size"]), str(each.get("etag", ""))) for each in answer.get("items", ())
            ]
            return Page(entries, answer.get("nextPageToken", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TryAgain(f"the answer is no listing ({first_line(error)})") from error

    async def _answer(self, path: str, query: dict[str, str], limit: int) -> bytes:
        async with self._answered("GET", self._url(path), query) as answer:
            return await web_requests.body(answer, limit)

    def _url(self, path: str) -> str:
        return f"{self._files.base}b/{quote(self._bucket, safe='')}/o{path}"

    @asynccontextmanager
    async def _answered(
        self,
        method: str,
        url: str,
        query: Mapping[str, str],
        statuses: Collection[int] = (200,),
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> AsyncIterator[Any]:
        """The answer to a request, as `web_requests.answered` gives it."""
        from google.auth import exceptions

        try:
            # What gcsfs sends itself, without its own tries, which end after a minute at the earliest.
            session, signed = await self._files._set_session(), self._files._get_headers(headers)
            asked = f"{url}{'&' if '?' in url else '?'}{urlencode(self._files._get_params(query))}".rstrip("?&")
            async with web_requests.answered(session, method, asked, statuses, headers=signed, data=data) as answer:
                yield answer
        except exceptions.TransportError as error:
            raise TryAgain(first_line(error)) from error
        except (exceptions.GoogleAuthError, Refused) as error:
            if isinstance(error, Refused) and error.status != 401:
                raise
            raise PlaceLost(f"gs://{self._bucket}: {first_line(error)}; {self.credentials_advice}") from error
