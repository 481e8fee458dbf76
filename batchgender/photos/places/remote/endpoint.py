"""Requests to one store or server: so many at a time, each with a time limit, and tried again while it may help."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from batchgender.errors import PlaceLost, UnreadablePhoto
from batchgender.io import Notify, one_line
from batchgender.photos.places.remote.answers import LargePhoto, TryAgain
from batchgender.photos.places.remote.store import Store

# Requests at one time: a store that takes 50 ms for each gives some 600 photos a second.
IN_FLIGHT = 32
# How often a photo is asked for, and a page of a listing, without which there is nothing to go on with; and how often
# at least, however long it takes.
TRIES, PAGE_TRIES, _FEW_TRIES = 6, 10, 3
# Seconds before the second try, doubled for each further one up to the longest; a random part of it is left out, so
# that those who failed together do not come back together.
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 15.0
# Seconds for a whole answer, and bytes a second that a large one may take beside.
TIME_LIMIT, _SLOWEST = 30.0, 100_000
# Seconds in which an endpoint may be silent: one that photos were read from, and one that gave none yet.
PATIENCE, FIRST_PATIENCE = 600.0, 20.0

Answer = TypeVar("Answer")
Request = Callable[[], Awaitable[Answer]]


def seconds_for(size: int) -> float:
    """The seconds that one request has which carries so many bytes."""
    return TIME_LIMIT + size / _SLOWEST


class Endpoint:
    """A bucket, or a web server, and how it has answered until now.

    A photo that fails in each of its tries has an error of its own where others are read meanwhile, or one that was
    read before can be read again. Else the endpoint is down: all wait for it, and once it is silent for too long every
    request raises PlaceLost. `single` is for photos that were named one by one: these are rows with an error then.
    """

    def __init__(self, name: str, store: Store, notify: Notify, single: bool = False) -> None:
        self.name, self.store = name, store
        self._notify, self._single = notify, single
        self._slots, self._probing = asyncio.Semaphore(IN_FLIGHT), asyncio.Lock()
        # When a photo was last answered, and when the last probe that was not began.
        self._answered = self._in_vain = -math.inf
        # How to read the smallest photo that was read until now, or what else was answered before.
        self._good: Request[Any] | None = None
        self._good_size = math.inf
        self._waiting = False
        self._lost = ""

    def begin(self, request: Coroutine[Any, Any, Answer]) -> Future[Answer]:
        """Begin something on fsspec's event loop; a future that is cancelled takes its request back."""
        from fsspec.asyn import get_loop

        return asyncio.run_coroutine_threadsafe(request, get_loop())

    async def photo(self, key: str, listed: int | None, limit: int) -> bytes:
        """Read a photo: of `listed` bytes, or, where that is None, of up to `limit`.

        Raises UnreadablePhoto, PlaceLost, and LargePhoto where it has more than `limit`.
        """
        request = partial(self._whole, key, listed, limit)
        try:
            data = await self.ask(request, seconds_for(limit if listed is None else listed))
        except PlaceLost as error:
            if self._single:
                raise UnreadablePhoto(str(error)) from error
            raise
        if len(data) < self._good_size:
            self._good, self._good_size = request, len(data)
        return data

    async def ask(self, request: Request[Answer], seconds: float = TIME_LIMIT, tries: int = TRIES) -> Answer:
        """The answer to a request, which is tried again as above; each try has so many seconds.

        Raises UnreadablePhoto where it fails, PlaceLost, and what `request` raises but for TryAgain.
        """
        tried, since, alone = 0, time.monotonic(), False
        while True:
            async with self._slots:
                if self._lost:
                    raise PlaceLost(self._lost)
                began = time.monotonic()
                try:
                    async with asyncio.timeout(seconds):
                        return await request()
                except TryAgain as error:
                    failure = error
                except TimeoutError:
                    failure = TryAgain(f"no whole answer in {seconds:.0f} s")
            tried += 1
            since = began if tried == 1 else since
            reason = one_line(str(failure))
            silent = time.monotonic() - max(since, self._answered) > self._patience
            if tried >= tries - 1 or (silent and (self._good or tried >= _FEW_TRIES)):
                was_alone, alone = alone, (failure.cut and not self._good) or await self._answers_others(began)
                # Once more where others are answered: the last try may have been before the end of an outage.
                if alone and was_alone:
                    raise UnreadablePhoto(f"tried {tried} times: {reason}") from failure
                if not alone:
                    self._wait_or_give_up(silent, reason)
            wait = min(_FIRST_WAIT * 2 ** (tried - 1), _LONGEST_WAIT)
            await asyncio.sleep(max(wait * random.uniform(0.5, 1), failure.wait))

    async def prove(self, request: Request[Any]) -> None:
        """Have a request answered that tells, asked again, whether the endpoint answers; raises as `ask` does."""
        await self.ask(request)
        self._good, self._good_size = request, 0
        self._note_answer()

    async def _whole(self, key: str, listed: int | None, limit: int) -> bytes:
        """Read a photo once."""
        try:
            data = await self.store.get(key, limit if listed is None else listed)
        except (UnreadablePhoto, LargePhoto) as error:
            self._note_answer()
            if isinstance(error, LargePhoto) and listed is not None:
                raise UnreadablePhoto(f"it has changed: {error.size:,} bytes, {listed:,} when listed") from error
            raise
        if listed is not None and len(data) != listed:
            raise TryAgain(f"{len(data):,} bytes came, {listed:,} were listed: cut short, or changed", cut=True)
        self._note_answer()
        return data

    async def _answers_others(self, began: float) -> bool:
        """Whether another photo has been answered since `began`, or the good one is now."""
        async with self._probing:
            if self._answered > began:
                return True
            # What others have tried in the meantime is not tried again.
            if self._good is None or self._in_vain > began:
                return False
            probed = time.monotonic()
            try:
                async with asyncio.timeout(TIME_LIMIT):
                    await self._good()
            except (TryAgain, TimeoutError):
                self._in_vain = probed
            except UnreadablePhoto:
                pass  # An answer, too.
            return self._answered > began

    @property
    def _patience(self) -> float:
        return PATIENCE if self._good else FIRST_PATIENCE

    def _wait_or_give_up(self, silent: bool, reason: str) -> None:
        """Say that the endpoint is waited for; raises PlaceLost where it is silent for too long."""
        if silent:
            self._lost = f"{self.name}: no answer for {self._patience:.0f} s: {reason}"
            raise PlaceLost(self._lost)
        if not self._waiting:
            self._waiting = True
            self._notify(f"{self.name}: {reason}; trying again, up to {self._patience:.0f} s long")

    def _note_answer(self) -> None:
        self._answered = time.monotonic()
        self._waiting = False
