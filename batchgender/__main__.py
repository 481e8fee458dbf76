"""The program's beginning: `batchgender` and `python -m batchgender`.

Ctrl-C, and the signals by which schedulers and closed terminals end a program, end it in one line from here on.
"""

import gc
import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130
# New objects before the garbage collector looks: the libraries that are imported alone make many, and none is garbage.
_OBJECTS = 50_000
# Windows has no SIGHUP.
_ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def _may_raise(frame: FrameType | None) -> bool:
    """Whether an interrupt may be raised as an exception where the program is: in a command, and in no import.

    An import that an exception leaves may keep its lock, and what waits for it waits for ever. Outside of a command
    there is nothing to keep.
    """
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return False
        if frame.f_code.co_qualname == "_Group.invoke":
            return True
        frame = frame.f_back
    return False


def _open_standard_streams() -> None:
    """Open what is closed of stdin, stdout and stderr to nothing, as a file of a run would take its number.

    What libraries in C print would be written into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free.
            os.open(os.devnull, os.O_RDWR)


def run() -> None:
    """Run the command line; Ctrl-C, SIGTERM and SIGHUP, even during imports, end in one line and exit code 130.

    A second one ends it at once, whatever it waits for.
    """
    gc.set_threshold(_OBJECTS)
    interrupted, ours = False, os.getpid()
    _open_standard_streams()

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if os.getpid() != ours and number != signal.SIGINT:
            # A process that was forked, and is ended by this one.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        # After a first interrupt, a model or a decoder may never come back.
        if interrupted or not _may_raise(frame):
            os.write(2, b"interrupted\n")
            os._exit(_INTERRUPTED)
        interrupted = True
        raise KeyboardInterrupt

    for ending in _ENDING:
        # A process whose parent had it ignore a signal, as nohup does, goes on ignoring it.
        if signal.getsignal(ending) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(ending, interrupt)
    try:
        from batchgender.cli import main

        main(prog_name="batchgender")
    except (KeyboardInterrupt, ImportError):
        # An extension module may turn the interrupt of its import into an error of its own.
        if not interrupted:
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    finally:
        # What goes with the process is not collected before.
        gc.freeze()


if __name__ == "__main__":
    run()
