"""The program's beginning: `batchgender` and `python -m batchgender`. Ctrl-C ends it in one line from here on."""

import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130


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
    """Run the command line; an interrupt, even while modules are imported, ends in one line and exit code 130.

    A second one ends it at once, whatever it waits for.
    """
    interrupted = False
    _open_standard_streams()

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        # After a first interrupt, a model or a decoder may never come back.
        if interrupted or not _may_raise(frame):
            os.write(2, b"interrupted\n")
            os._exit(_INTERRUPTED)
        interrupted = True
        raise KeyboardInterrupt

    # A process whose parent had it ignore Ctrl-C goes on ignoring it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        from batchgender.cli import main

        main(prog_name="batchgender")
    except (KeyboardInterrupt, ImportError):
        # An extension module may turn the interrupt of its import into an error of its own.
        if not interrupted:
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    run()
