"""Buckets of S3 and of stores that speak as S3 does, by s3fs."""

import logging
from collections.abc import Mapping
from typing import Any

from batchgender.errors import PlaceLost, UserError
from batchgender.io import first_line
from batchgender.photos.places.remote.answers import LargePhoto, Refused, TryAgain, by_status
from batchgender.photos.places.remote.store import (
    CHUNK,
    CONNECT_LIMIT,
    KEYS_A_PAGE,
    SILENCE_LIMIT,
    Entry,
    Page,
    options,
    whole,
)
from batchgender.photos.places.remote.web_requests import meaning
from batchgender.version import __version__

# Codes of answers that are about whoever asks, not about the object: the credentials have ended, or are none.
_CREDENTIALS = (
    *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"),
    *("SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired", "AuthFailure"),
)
# Codes of answers that pass though their status says otherwise.
_PASSING = ("RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "PriorRequestNotComplete")


class S3:
    """A bucket of S3. Raises UserError where no client can be made."""

    credentials_advice = (
        "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket, FSSPEC_S3_ANON=true"
    )

    def __init__(self, bucket: str, in_flight: int) -> None:
        import s3fs

        logging.getLogger("aiobotocore").addHandler(logging.NullHandler())
        # Tried again here, not below: `max_attempts` counts what follows the first.
        config = {
            "connect_timeout": CONNECT_LIMIT,
            "read_timeout": SILENCE_LIMIT,
            "retries": {"max_attempts": 0, "mode": "standard"},
            "max_pool_connections": in_flight,
            # That of botocore says more of the machine, and is put together anew for each request.
            "user_agent": f"batchgender/{__version__}",
        }
        self._bucket = bucket
        self._files = s3fs.S3FileSystem(**options(("s3", "s3a"), {"config_kwargs": config}))

    async def get(self, key: str, limit: int) -> bytes:
        """The bytes of an object."""
        try:
            answer = await self._call("get_object", Key=key)
            async with answer["Body"] as body:
                return await whole(body.iter_chunks(CHUNK), answer.get("ContentLength"), limit)
        except (LargePhoto, UserError):
            raise
        except Exception as error:
            raise self._meant(error) from error

    async def page(self, prefix: str, token: str = "", count: int = KEYS_A_PAGE) -> Page:
        """A page of keys."""
        at = {"ContinuationToken": token} if token else {}
        try:
            answer = await self._call("list_objects_v2", Prefix=prefix, MaxKeys=count, **at)
        except Exception as error:
            raise self._meant(error) from error
        entries = [Entry(each["Key"], each["Size"], _tag(each)) for each in answer.get("Contents", ())]
        return Page(entries, answer.get("NextContinuationToken", ""))

    async def _call(self, method: str, **arguments: Any) -> Any:
        await self._files.set_session()
        client = await self._files.get_s3(self._bucket)
        return await getattr(client, method)(Bucket=self._bucket, **arguments, **self._files.req_kw)

    def _meant(self, error: Exception) -> Exception:
        """What an error of the client means for the photo, or the run."""
        from botocore import exceptions
        from botocore.parsers import ResponseParserError

        if isinstance(error, exceptions.ClientError):
            about, answer = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            code, status = about.get("Code", ""), answer.get("HTTPStatusCode", 0)
            if code in _CREDENTIALS:
                return PlaceLost(
                    f"s3://{self._bucket}: the credentials are not accepted ({code}); {self.credentials_advice}"
                )
            if code == "NoSuchBucket":
                return PlaceLost(f"s3://{self._bucket}: no such bucket; check the address")
            retry_after = answer.get("HTTPHeaders", {}).get("retry-after", "")
            return by_status(503 if code in _PASSING else status, code, retry_after)
        if isinstance(error, exceptions.SSLError):
            return PlaceLost(f"s3://{self._bucket}: {first_line(error)}; AWS_CA_BUNDLE names certificates to trust")
        cut = (exceptions.IncompleteReadError, exceptions.ResponseStreamingError, exceptions.FlexibleChecksumError)
        if isinstance(error, cut):
            return TryAgain("the answer is cut short, or damaged", cut=True)
        if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError, ResponseParserError)):
            return TryAgain(first_line(error).partition("?")[0])
        if isinstance(error, exceptions.ParamValidationError):
            return Refused(" ".join(str(error).split()))
        if isinstance(error, exceptions.BotoCoreError):
            # What is left of them is about credentials, profiles and regions.
            return PlaceLost(f"s3://{self._bucket}: {first_line(error)}; {self.credentials_advice}")
        # The transfer of a body is aiohttp's.
        return meaning(error)


def _tag(listed: Mapping[str, Any]) -> str:
    """What tells two versions of an object apart."""
    return str(listed.get("ETag") or listed.get("LastModified") or "")
