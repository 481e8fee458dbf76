"""What a server's answer means: try again, no such photo, or a photo larger than expected."""

import time
from http import HTTPStatus

from batchgender.errors import UnreadablePhoto

# What passes: a server that is busy, restarts, or asks for patience.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
# Seconds: a server that asks to wait longer is asked again after so long.
_LONGEST_WAIT = 120.0


class TryAgain(Exception):
    """A request that failed, but may not fail again.

    `wait` is how many seconds the server asks for; `cut` whether an answer came that was not whole.
    """

    def __init__(self, reason: str, wait: float = 0.0, cut: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.cut = wait, cut


class Refused(UnreadablePhoto):
    """An answer that stays as it is: no such photo, no permission; `status` is HTTP's, 0 where there is none."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(f"can't read it: {reason}")
        self.reason, self.status = reason, status


class LargePhoto(Exception):
    """A photo that turns out larger than what was asked for: of `size` bytes, 0 where the server does not say."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size:,} bytes")
        self.size = size


def by_status(status: int, code: str = "", retry_after: str = "") -> TryAgain | Refused:
    """The error that stands for an answer's status; `code` is the store's own word for it."""
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = f"status {status}"
    reason = f"{phrase} ({code})" if code and code != str(status) else phrase
    if status in _PASSING:
        return TryAgain(reason, _seconds(retry_after))
    return Refused(reason, status)


def _seconds(retry_after: str) -> float:
    """How long a Retry-After header asks to wait: it has a number of seconds or a date."""
    try:
        seconds = float(retry_after)
    except ValueError:
        import email.utils

        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT)
