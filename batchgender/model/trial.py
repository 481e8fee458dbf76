"""A model file of a stranger, opened and run in a process of its own first: some graphs kill the runtime, or never end.

Integers divided by -1 or normalised pictures without pixels, for example, end onnxruntime's process by a signal.
"""

import faulthandler
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchgender.errors import UserError
from batchgender.model.session import open_session
from batchgender.threads import wait_for_ended_threads

# Seconds of a core that a file may take to be opened and run on one picture, and that Python has left to say so.
_SECONDS = 60
# What a dimension that the file leaves open is in the trial, and how many values an input may have there.
_SIDE, _LARGEST = 64, 2**26
_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


def try_model(file: str) -> None:
    """Raise UserError where a file, which is there, kills the runtime or takes a minute of a core; other errors pass.

    For systems that can fork, and programs without other threads: elsewhere it does nothing.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return
    wait_for_ended_threads()
    with warnings.catch_warnings():
        # Threads of libraries, which they look after themselves.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            child = os.fork()
        except OSError:
            return
    if not child:
        _open_and_run(file)
    status = None
    try:
        _, status = os.waitpid(child, 0)
    finally:
        if status is None:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        raise UserError(f"{file}: takes more than {_SECONDS} s to open and run; the file is damaged, or made to do so")
    if code < 0:
        name = signal.Signals(-code).name
        raise UserError(f"{file}: crashes the runtime ({name}); the file is damaged, or made to do so")


def _open_and_run(file: str) -> None:
    """Open a file and run it on pictures of zeros, say nothing, and end this process."""
    try:
        import resource

        faulthandler.disable()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 1))
        session = open_session(file)
        session.run(None, {value.name: _zeros(value.shape, value.type) for value in session.inputs})
    except BaseException:  # The same error comes again where the file is opened.
        pass
    finally:
        os._exit(0)


def _zeros(shape: list[int | str | None], kind: str) -> NDArray[Any]:
    # Channels last as files of ours have them, where the file leaves all sides open.
    sides = [each if isinstance(each, int) else 1 if not at else _SIDE for at, each in enumerate(shape)]
    if prod(sides) > _LARGEST:
        raise ValueError
    return np.zeros(sides, _TYPES[kind])
