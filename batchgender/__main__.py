"""The program's beginning: `batchgender` and `python -m batchgender`. Ctrl-C ends it in one line from here on."""

import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130


def run() -> None:
    """Run the command line; an interrupt, even while modules are imported, ends in one line and exit code 130.

    A second one ends it at once, whatever it waits for.
    """
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            # The first one waits for the photos at hand: a model or a decoder may never come back.
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
