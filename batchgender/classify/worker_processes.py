"""Worker processes that answer photos: a decoder that crashes, hangs or takes all memory costs one row, not the run.

One process, forked before this one has threads, forks the workers, and new ones in the place of those that die.
"""

import contextlib
import gc
import mmap
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import LifoQueue
from threading import Lock
from typing import NoReturn

from batchgender.classify.inference import INFERRING, Answer, Begins, Inference, NamedData
from batchgender.errors import UserError, os_reason
from batchgender.io import Notify
from batchgender.model.session import CPU, provider_named
from batchgender.photos.limits import DECODING
from batchgender.photos.memory import ProcessesMemory
from batchgender.threads import wait_for_ended_threads

# Seconds that the decoding of a photo may take, on a core of its own.
SECONDS = 20.0
# Of a photo whose process gets little of a core, or waits for memory, so many times that; and of a process that
# computes nothing at all.
_PATIENCE = 10
# Seconds of a core that are nothing.
_NOTHING = 0.05
# Seconds within which the process that starts workers answers, and ends.
_ANSWERS = 120.0
# Bytes that a worker may take beside what it begins with. A photo within the limit of pixels takes up to 2.4 GB.
_MEMORY = 2**32
# Seconds from one look at the time of a photo to the next.
_LOOK = 1.0
# Seconds from one look at the end of a process to the next.
_BRIEFLY = 0.002
# What a worker is at: the place of the photo, and the wall-clock and processor seconds at which it began.
_STATE = struct.Struct("=qdd")
# A request (start a worker, or give the exit status of one) with its number, and the answer to it.
_REQUEST, _START, _STATUS = struct.Struct("=cq"), b"s", b"w"
_REPLY = struct.Struct("=q")

Answers = list[list[Answer]]
Answering = Callable[[Sequence[NamedData], Begins], Answers]


def can_isolate(provider: str) -> bool:
    """Whether photos can be answered in worker processes: on Linux, by a session of onnxruntime on the CPU.

    `provider` is what the session calls itself. Others don't work in a process that was forked.
    """
    return sys.platform == "linux" and provider_named(provider) == CPU


@dataclass
class _Worker:
    """A worker by its number, and its process once it has one."""

    number: int
    pid: int = 0
    connection: Connection | None = None


class _DiedError(Exception):
    """A worker that is gone: the place of the photo that it was at, and what became of it.

    `overdue` is one whose photo took too long, `stuck` one that waited for what never came.
    """

    def __init__(self, place: int, reason: str, overdue: bool, stuck: bool = False) -> None:
        super().__init__(reason)
        self.place, self.reason, self.overdue, self.stuck = place, reason, overdue, stuck


class WorkerProcesses:
    """Up to `count` processes, each of which answers photos on one core. To be made before this process has threads.

    `seconds` is what the decoding of one photo may take; `notify` gets what the workers have to say. Raises UserError
    where the system lets no process begin.
    """

    def __init__(
        self,
        inference: Inference,
        thresholds: Mapping[str, float],
        count: int,
        notify: Notify,
        seconds: float = SECONDS,
    ) -> None:
        self._seconds, self._notify = seconds, notify
        self._states = mmap.mmap(-1, count * _STATE.size)
        self._memory = ProcessesMemory(count)
        self._lock, self._closed = Lock(), False
        said: list[str] = []
        beside = Inference(inference.model, inference.batch_size, inference.faces, said.append)

        def answering(photos: Sequence[NamedData], begins: Begins) -> Answers:
            return beside.answers(photos, thresholds, begins)

        self._control, theirs = socket.socketpair()
        self._control.settimeout(_ANSWERS)
        wait_for_ended_threads()
        # What is there already is not looked through by each worker's garbage collector, which would copy it.
        gc.freeze()
        try:
            self._starter = os.fork()
        except OSError as error:
            raise _no_process(error) from error
        if not self._starter:
            _close_others(theirs.fileno(), self._memory.lock)
            _start_workers(theirs, self._states, self._memory, answering, said)
        gc.unfreeze()
        theirs.close()
        # Those that have begun are taken first: few photos need few.
        self._idle = LifoQueue[_Worker]()
        for number in reversed(range(count)):
            self._idle.put(_Worker(number))

    def answers(self, photos: Sequence[NamedData]) -> Answers:
        """As `Inference.answers`, in the next worker that is idle. Several threads may call it."""
        worker = self._idle.get()
        try:
            return self._answered(worker, photos)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End all workers at once, whatever they are at."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._control.close()
        end = time.monotonic() + _ANSWERS
        # It ends the workers first.
        while not os.waitpid(self._starter, os.WNOHANG)[0]:
            if time.monotonic() > end:
                os.kill(self._starter, signal.SIGKILL)
            time.sleep(_BRIEFLY)
        self._memory.close()

    def _answered(self, worker: _Worker, photos: Sequence[NamedData], again: bool = True) -> Answers:
        """The answers; of a photo that a worker died at, in the second try too, the reason as its error."""
        try:
            return self._asked(worker, photos)
        except _DiedError as died:
            place, reason, overdue, stuck = died.place, died.reason, died.overdue, died.stuck
        if stuck and not again:
            raise UserError(f"{reason}, twice; try --no-isolate")
        if len(photos) == 1:
            # The worker may have died of what came before, or for want of memory beside others.
            return self._answered(worker, photos, again=False) if again and not overdue else [[Answer(error=reason)]]
        if place == INFERRING:
            return [answer for photo in photos for answer in self._answered(worker, [photo])]
        answers = self._answered(worker, photos[:place]) if place else []
        answers += [[Answer(error=reason)]] if overdue else self._answered(worker, photos[place : place + 1])
        return answers + (self._answered(worker, photos[place + 1 :]) if place + 1 < len(photos) else [])

    def _asked(self, worker: _Worker, photos: Sequence[NamedData]) -> Answers:
        """Have a worker answer; raises _DiedError where it dies, or must be ended."""
        connection = worker.connection or self._begin(worker)
        overdue = stuck = False
        try:
            connection.send(photos)
            moved, used = time.monotonic(), -1.0
            while not connection.poll(_LOOK):
                if overdue or stuck:
                    continue
                if (now := _processor_seconds(worker.pid)) > used + _NOTHING:
                    moved, used = time.monotonic(), now
                overdue = self._is_overdue(worker, now)
                # A photo may wait for memory as long as it is not overdue.
                waits = self._state(worker)[0] == INFERRING
                stuck = waits and time.monotonic() - moved > _PATIENCE * self._seconds
                if overdue or stuck:
                    os.kill(worker.pid, signal.SIGKILL)
            found, said = connection.recv()
        except (EOFError, OSError):
            raise self._end(worker, overdue, stuck) from None
        for line in said:
            self._notify(line)
        if isinstance(found, Exception):
            raise found
        answers: Answers = found
        return answers

    def _begin(self, worker: _Worker) -> Connection:
        """Start a worker's process."""
        _STATE.pack_into(self._states, worker.number * _STATE.size, INFERRING, 0, 0)
        with self._lock:
            pid, descriptors = self._request(_START, worker.number)
        if pid < 0:
            raise _no_process(OSError(-pid, os.strerror(-pid)))
        worker.pid, worker.connection = pid, Connection(descriptors[0])
        return worker.connection

    def _end(self, worker: _Worker, overdue: bool, stuck: bool) -> _DiedError:
        """What a worker that is gone died of, and where it was."""
        assert worker.connection
        worker.connection.close()
        worker.connection = None
        with self._lock:
            status, _ = self._request(_STATUS, worker.pid)
        self._memory.given_back(worker.number)
        place, _, _ = self._state(worker)
        if overdue:
            return _DiedError(place, f"takes more than {self._seconds:g} s to decode", overdue)
        if stuck:
            return _DiedError(place, f"a worker did nothing for {_PATIENCE * self._seconds:g} s", overdue, stuck)
        return _DiedError(place, _reason(os.waitstatus_to_exitcode(status), place), overdue)

    def _state(self, worker: _Worker) -> tuple[int, float, float]:
        """The place of the photo that a worker is at, and the wall-clock and processor seconds at which it began."""
        place, began, used = _STATE.unpack_from(self._states, worker.number * _STATE.size)
        return place, began, used

    def _is_overdue(self, worker: _Worker, now: float) -> bool:
        """Whether decoding takes too long; `now` are the seconds of a core that the worker has had."""
        place, began, used = self._state(worker)
        passed = time.monotonic() - began
        if place == INFERRING or passed <= self._seconds:
            return False
        return passed > _PATIENCE * self._seconds or now - used > self._seconds

    def _request(self, kind: bytes, number: int) -> tuple[int, list[int]]:
        """Ask the process that starts workers; raises UserError where it is gone."""
        try:
            if self._closed:
                raise OSError
            self._control.sendall(_REQUEST.pack(kind, number))
            reply, descriptors, _, _ = socket.recv_fds(self._control, _REPLY.size, 1)
            return _REPLY.unpack(reply)[0], descriptors
        except (OSError, struct.error):
            raise UserError("the process that starts the workers is gone; was the memory full?") from None


def _no_process(error: OSError) -> UserError:
    return UserError(f"no more processes here ({os_reason(error)}); try --workers 1, or --no-isolate")


def _reason(code: int, place: int) -> str:
    """What a worker died of, as the error of the photo that it was at."""
    what = "the model" if place == INFERRING else "its decoder"
    if code == -signal.SIGKILL:
        return f"{what} was killed: it took too much memory"
    if code < 0:
        return f"{what} crashed ({signal.Signals(-code).name})"
    return f"{what} ended its process (exit code {code})"


def _processor_seconds(pid: int) -> float:
    """Seconds that a process has computed, 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _close_others(*kept: int) -> None:
    """Close what was inherited: the locks of a run must end with it, and its pipes."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _start_workers(
    control: socket.socket, states: mmap.mmap, memory: ProcessesMemory, answering: Answering, said: list[str]
) -> NoReturn:
    """Start workers, and tell what they died of, until the one who asks is gone."""
    workers: set[int] = set()
    try:
        # Ctrl-C goes to all processes of a terminal, and a scheduler's signal to all of a job; the first one decides.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while len(request := control.recv(_REQUEST.size)) == _REQUEST.size:
            kind, number = _REQUEST.unpack(request)
            if kind == _STATUS:
                workers.discard(number)
                control.sendall(_REPLY.pack(os.waitpid(number, 0)[1]))
                continue
            ours, theirs = socket.socketpair()
            try:
                pid = os.fork()
            except OSError as error:
                control.sendall(_REPLY.pack(-(error.errno or 1)))
                continue
            if not pid:
                control.close()
                ours.close()
                _work(Connection(theirs.detach()), number, states, memory, answering, said)
            workers.add(pid)
            socket.send_fds(control, [_REPLY.pack(pid)], [ours.fileno()])
            ours.close()
            theirs.close()
    except OSError:
        pass  # The one who asks is gone.
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        for pid in workers:
            os.waitpid(pid, 0)
        os._exit(0)


def _work(
    connection: Connection,
    number: int,
    states: mmap.mmap,
    memory: ProcessesMemory,
    answering: Answering,
    said: list[str],
) -> NoReturn:
    """Answer what comes, until the other end is closed."""

    def begins(place: int) -> None:
        _STATE.pack_into(states, number * _STATE.size, place, time.monotonic(), time.process_time())

    try:
        _limit_memory()
        DECODING.share(memory, number)
        while True:
            photos = connection.recv()
            found: Answers | Exception
            try:
                found = answering(photos, begins)
            except UserError as error:
                found = error
            except Exception:
                # Shown as it is: a fault of ours.
                found = RuntimeError(traceback.format_exc())
            begins(INFERRING)
            del photos
            connection.send((found, said))
            said.clear()
    except (EOFError, OSError):
        pass  # The one who asks is gone.
    finally:
        os._exit(0)


def _limit_memory() -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = pages * os.sysconf("SC_PAGE_SIZE") + _MEMORY
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
