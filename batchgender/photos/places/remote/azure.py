"""Containers of Azure Blob Storage, by adlfs."""

import logging
from collections.abc import Mapping

from batchgender.errors import PlaceLost, UserError
from batchgender.io import first_line
from batchgender.photos.places.remote.answers import LargePhoto, TryAgain, by_status
from batchgender.photos.places.remote.store import (
    CONNECT_LIMIT,
    KEYS_A_PAGE,
    SILENCE_LIMIT,
    Entry,
    Page,
    options,
    whole,
)
from batchgender.photos.places.remote.web_requests import meaning

LIMITS = {"retry_total": 0, "connection_timeout": CONNECT_LIMIT, "read_timeout": SILENCE_LIMIT}


class Azure:
    """A container of Azure Blob Storage. Raises UserError where no account is named."""

    credentials_advice = (
        "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or"
        " AZURE_STORAGE_CONNECTION_STRING; for a public container, AZURE_STORAGE_ANON=true"
    )

    def __init__(self, bucket: str, in_flight: int) -> None:
        import adlfs

        logging.getLogger("azure").addHandler(logging.NullHandler())
        self._bucket = bucket
        try:
            # Kept: it closes the connections when it goes.
            self._files = adlfs.AzureBlobFileSystem(**options(("abfs", "abfss", "az"), {}))
            self._container = self._files.service_client.get_container_client(bucket)
        except Exception as error:
            raise UserError(f"az://{bucket}: {first_line(error)}; {self.credentials_advice}") from error

    async def get(self, key: str, limit: int) -> bytes:
        """The bytes of a blob."""
        try:
            stream = await self._container.download_blob(key, **LIMITS)
            return await whole(stream.chunks(), stream.size, limit)
        except LargePhoto:
            raise
        except Exception as error:
            raise self._meant(error) from error

    async def page(self, prefix: str, token: str = "", count: int = KEYS_A_PAGE) -> Page:
        """A page of keys."""
        listed = self._container.list_blobs(name_starts_with=prefix or None, results_per_page=count, **LIMITS)
        pages = listed.by_page(token or None)
        try:
            blobs = await anext(pages)
            return Page(
                [Entry(blob.name, blob.size, blob.etag or "") async for blob in blobs], pages.continuation_token or ""
            )
        except StopAsyncIteration:
            return Page([], "")
        except Exception as error:
            raise self._meant(error) from error

    def _meant(self, error: Exception) -> Exception:
        """What an error of the client means for the photo, or the run."""
        from azure.core import exceptions

        if isinstance(error, exceptions.HttpResponseError):
            code, status = str(getattr(error, "error_code", None) or ""), error.status_code or 0
            # A login that failed has no status; one that has run out gets 401, a wrong key 403.
            if isinstance(error, exceptions.ClientAuthenticationError) and (
                status != 403 or code == "AuthenticationFailed"
            ):
                return PlaceLost(
                    f"az://{self._bucket}: the credentials are not accepted ({code or first_line(error)});"
                    f" {self.credentials_advice}"
                )
            headers: Mapping[str, str] = getattr(error.response, "headers", {})
            return by_status(status, code, headers.get("Retry-After", ""))
        if isinstance(error, exceptions.IncompleteReadError):
            return TryAgain("the answer is cut short", cut=True)
        return TryAgain(first_line(error)) if isinstance(error, exceptions.AzureError) else meaning(error)
