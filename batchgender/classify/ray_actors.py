"""Actors of Ray that classify shards, one a core, and how shards are handed to them while machines come and go."""

import os
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgender.classify.pipeline import Classifier
from batchgender.classify.run import classify_photos
from batchgender.classify.run_options import RunOptions
from batchgender.errors import UserError
from batchgender.io import Notify, first_line
from batchgender.photos.shard import Shard
from batchgender.photos.source import PhotoSource
from batchgender.results.results_file import ResultsFile
from batchgender.results.shard_record import record_file

# Seconds after which it is looked for machines that have joined, and for which one is waited for where all are gone.
_LOOK, _PATIENCE = 5.0, 60.0
# A shard at which so many actors have died is the reason.
_TRIES = 3


@dataclass(frozen=True)
class RayJob:
    """What an actor needs to classify a shard as the one who asks would, whose current folder is `folder`.

    `load` and `open` open the model and the photos; `labels` are those stated by path. `options` say how to classify.
    """

    folder: str
    load: Callable[[], Classifier]
    open: Callable[[Notify], PhotoSource]
    labels: Mapping[str, str]
    options: RunOptions


@dataclass(frozen=True)
class DoneShard:
    """A shard that is classified: its results file and its record, and what its walk found beside photos."""

    number: int
    rows: bytes
    record: bytes
    photos: int
    skipped: Counter[str]
    unlistable: int
    unknown_labels: Counter[str]
    said: tuple[str, ...]


class _ShardWorker:
    """Classifies shards on one core; Ray makes an actor of it, which holds the model's session."""

    def __init__(self, job: RayJob) -> None:
        self._job = job
        self._opened: tuple[Classifier, PhotoSource] | None = None
        self._said: list[str] = []

    def ready(self) -> None:
        """Answer once there is a core for it."""

    def classify(self, number: int, of: int) -> DoneShard:
        """Classify a shard; raises UserError."""
        self._opened = self._opened or self._open()
        classifier, source = self._opened
        source.take_shard(Shard(number, of))
        with tempfile.TemporaryDirectory(prefix="batchgender-") as folder:
            out = Path(folder) / "shard.csv"
            done = classify_photos(classifier, source, ResultsFile(str(out)), self._job.options, self._said.append)
            files = out.read_bytes(), record_file(out).read_bytes()
        said, self._said = tuple(self._said), []
        return DoneShard(number, *files, done.figures.photos, done.skipped, done.unlistable, done.unknown_labels, said)

    def _open(self) -> tuple[Classifier, PhotoSource]:
        try:
            # Paths mean the same here as where the run was begun.
            os.chdir(self._job.folder)
        except OSError as error:
            raise UserError(f"{self._job.folder}: no such folder on a machine of the cluster") from error
        classifier, source = self._job.load(), self._job.open(self._said.append)
        if self._job.labels:
            source.state_labels(self._job.labels)
        return classifier, source


class RayActors:
    """Up to `limit` actors, of which some are starting, some at a shard of so many, and some idle."""

    def __init__(self, ray: Any, job: RayJob, of: int, limit: int, notify: Notify) -> None:
        self._ray, self._of, self._limit, self._notify = ray, of, limit, notify
        self._kind = ray.remote(num_cpus=1)(_ShardWorker)
        self._job = ray.put(job)
        # Each actor and the number of its shard by what is waited for; 0 where it is starting.
        self._at: dict[Any, tuple[Any, int]] = {}
        self._idle: list[Any] = []
        self._deaths = Counter[int]()

    def done(self, numbers: list[int]) -> Iterator[DoneShard]:
        """Yield these shards as they are done, in any order; those of actors that die are given to others.

        Raises UserError where a shard can't be classified, and where no machine is left.
        """
        shards = deque(numbers)
        working = time.monotonic()
        self._start(len(shards))
        while shards or self._at_work():
            while shards and self._idle:
                actor, number = self._idle.pop(), shards.popleft()
                self._at[actor.classify.remote(number, self._of)] = actor, number
            found, _ = self._ray.wait(list(self._at), timeout=_LOOK) if self._at else ([], [])
            for each in found:
                actor, number = self._at.pop(each)
                try:
                    done: DoneShard | None = self._ray.get(each)
                except self._ray.exceptions.RayTaskError as error:
                    raise _cause(error) from error
                except self._ray.exceptions.RayError as error:
                    if number:
                        self._note_death(number, error)
                        shards.appendleft(number)
                    continue
                self._idle.append(actor)
                if done:
                    yield done
            if self._at_work() or self._idle:
                working = time.monotonic()
            elif time.monotonic() - working > _PATIENCE:
                raise UserError(f"no machine of the Ray cluster had a core free for {_PATIENCE:.0f} s")
            if not found:
                self._start(len(shards))

    def _at_work(self) -> int:
        return sum(number > 0 for _, number in self._at.values())

    def _start(self, wanted: int) -> None:
        """Start actors for the cores that are free: machines may have joined, or come back."""
        if len(self._at) > self._at_work():
            return  # Some wait for a core already.
        there = len(self._at) + len(self._idle)
        free = int(self._ray.available_resources().get("CPU", 0))
        for _ in range(min(max(free, 1 - there), self._limit - there, wanted)):
            actor = self._kind.remote(self._job)
            self._at[actor.ready.remote()] = actor, 0

    def _note_death(self, number: int, error: Exception) -> None:
        self._deaths[number] += 1
        if self._deaths[number] >= _TRIES:
            raise UserError(
                f"shard {number}/{self._of}: {_TRIES} processes that were at it have died ({first_line(error)})"
            ) from error
        self._notify(f"shard {number}/{self._of}: its process is gone, perhaps with its machine; it is done again")


def _cause(error: Any) -> Exception:
    """What an actor has raised: what a user can cause, else the error as Ray shows it."""
    cause = error.cause
    return UserError(str(cause)) if isinstance(cause, UserError) else error
